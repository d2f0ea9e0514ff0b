//! A model API that says what a test wants it to: the other side of the connection, not a part of the gateway.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// What the API was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A body that is there, or comes.
pub(crate) type Body = BoxBody<Bytes, Broken>;
/// A connection, encrypted or not.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}
/// Where a body comes from; when it is dropped, the body is complete.
pub(crate) type Stream = Sender<Result<Frame<Bytes>, Broken>>;

/// The API breaks off.
#[derive(Debug)]
pub(crate) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

/// The API.
pub(crate) struct Api {
    pub(crate) url: String,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    stop: CancellationToken,
    listening: JoinHandle<Option<()>>,
}

impl Api {
    /// One that answers everything so.
    pub(crate) async fn new(
        answer: impl Fn(&Asked) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        Self::over(None, answer).await
    }

    /// The same, over TLS.
    pub(crate) async fn over(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Asked) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let (asked, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let stop = CancellationToken::new();
        let (log, stopping) = (Arc::clone(&asked), stop.clone());
        let listening = tokio::spawn(stopping.run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map(|body| body.to_bytes());
                        let asked = Asked {
                            method: head.method.to_string(),
                            target: head.uri.to_string(),
                            headers: head.headers,
                            body: body.unwrap_or_default(),
                        };
                        log.lock().unwrap().push(asked.clone());
                        Ok::<_, Infallible>(answer(&asked))
                    }
                });
                let tls = tls.clone();
                tokio::spawn(async move {
                    let stream: Box<dyn Wire> = match tls {
                        Some(tls) => Box::new(tls.accept(stream).await.ok()?),
                        None => Box::new(stream),
                    };
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok()
                });
            }
        }));
        Self { url, asked, stop, listening }
    }

    /// One that answers everything with this JSON.
    pub(crate) async fn saying(text: &'static str) -> Self {
        Self::new(move |_| whole(200, &[("content-type", "application/json")], text)).await
    }

    /// One that answers with a stream of events, whose ends it hands out.
    pub(crate) async fn streaming() -> (Self, Arc<Mutex<Vec<Stream>>>) {
        let streams: Arc<Mutex<Vec<Stream>>> = Arc::default();
        let handed = Arc::clone(&streams);
        let answer = move |_: &Asked| {
            let (stream, mut frames) = channel(8);
            handed.lock().unwrap().push(stream);
            let frames = futures_util::stream::poll_fn(move |context| frames.poll_recv(context));
            let answer = Response::builder().header("content-type", "text/event-stream");
            answer.body(BodyExt::boxed(StreamBody::new(frames))).unwrap()
        };
        (Self::new(answer).await, streams)
    }

    /// Takes no more connections.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.listening.await.unwrap();
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// An answer that is there.
pub(crate) fn whole(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {});
    answer.body(body.boxed()).unwrap()
}

/// A part of a stream.
pub(crate) fn part(text: &'static str) -> Result<Frame<Bytes>, Broken> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// The source of the next stream that was begun.
pub(crate) async fn next(streams: &Mutex<Vec<Stream>>) -> Stream {
    loop {
        let stream = streams.lock().unwrap().pop();
        if let Some(stream) = stream {
            return stream;
        }
        tokio::task::yield_now().await;
    }
}
