//! The parts: a model API, a bare proxy made of what the gateway's is made of, and the gateway.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingest::{Auth, Config, Gateway, OnFailure, Sink, Upstream, serve};
use schemas::Tenant;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Chunks of a stream.
const CHUNKS: usize = 60;

async fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    listener
}

/// Answers with 2.1 KB, or with a stream of 60 chunks: at once, one every 10 ms, or after the first none for a long time.
pub(crate) async fn upstream() {
    let listener = listen().await;
    let text = "So it goes, and so it went before. ".repeat(48);
    let whole: Bytes = format!(r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"example-1","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3000,"completion_tokens":400,"total_tokens":3400}}}}"#).into();
    let chunk: Bytes = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"example-1\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" and so\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n".into();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let (whole, chunk) = (whole.clone(), chunk.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (whole, chunk) = (whole.clone(), chunk.clone());
            async move {
                let path = request.uri().path().to_owned();
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    drop(frame);
                }
                let pause = if path.contains("paced") { 10 } else { 0 };
                let pause = if path.contains("held") { 60_000 } else { pause };
                let (kind, body) = if path.contains("whole") {
                    let body = Full::new(whole).map_err(|never: Infallible| match never {});
                    ("application/json", Body::new(body))
                } else {
                    let chunks = futures_util::stream::iter(0..CHUNKS).then(move |number| {
                        let chunk = chunk.clone();
                        async move {
                            match pause {
                                0 => tokio::task::yield_now().await,
                                ms if number > 0 => {
                                    tokio::time::sleep(Duration::from_millis(ms)).await
                                }
                                _ => {}
                            }
                            Ok(Frame::data(chunk))
                        }
                    });
                    ("text/event-stream", Body::new(StreamBody::new(chunks)))
                };
                Response::builder().header("content-type", kind).body(body)
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// Passes everything on, and keeps nothing.
pub(crate) async fn bare(upstream: &str) {
    let listener = listen().await;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let mut builder = Client::builder(TokioExecutor::new());
    let client = builder.set_host(false).pool_max_idle_per_host(256).build(connector);
    let client: Client<HttpConnector, Incoming> = client;
    let host = HeaderValue::from_str(upstream.trim_start_matches("http://")).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let (client, host, upstream) = (client.clone(), host.clone(), upstream.to_owned());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (client, host) = (client.clone(), host.clone());
            let uri: Uri = format!("{upstream}{}", request.uri()).parse().unwrap();
            async move {
                *request.uri_mut() = uri;
                let headers = request.headers_mut();
                headers.remove(CONNECTION);
                headers.remove(TRANSFER_ENCODING);
                headers.insert(HOST, host);
                let mut answer = client.request(request).await?;
                answer.headers_mut().remove(CONNECTION);
                answer.headers_mut().remove(TRANSFER_ENCODING);
                Ok::<_, hyper_util::client::legacy::Error>(answer)
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// The gateway, over a spool that is synced to disk.
pub(crate) async fn gateway(upstream: &str, dir: &str, settings: &[&str]) {
    let mut to = Upstream { url: upstream.to_owned(), ..Upstream::default() };
    for setting in settings {
        match setting.split_once('=') {
            Some(("start_after_ms", value)) => to.start_after_ms = value.parse().unwrap(),
            Some(("on_failure", "closed")) => to.on_failure = OnFailure::Closed,
            _ => panic!("{setting}"),
        }
    }
    let config =
        Config { llm: [("api".to_owned(), to)].into(), connections_max: 4096, ..Config::default() };
    let (spool, _) = spool::Spool::open(Path::new(dir), spool::Config::default()).unwrap();
    // Nothing reads it here; a sealer would.
    let emptied = spool.clone();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            emptied.truncate_head(emptied.next()).unwrap();
        }
    });
    let auth = Auth::loopback(Tenant::new("bench").unwrap());
    let gateway = Gateway::new(config, Sink::spool(spool).unwrap(), auth, 1).unwrap();
    serve(vec![listen().await], Arc::new(gateway), CancellationToken::new()).await.unwrap();
}
