//! SHELL: the listener: connections under limits, and an orderly end.

#![expect(
    clippy::disallowed_methods,
    reason = "a listener out of descriptors is given a moment, and a slow first byte"
)]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::Error;
use crate::gateway::Gateway;
use crate::http;
use crate::llm::Llm;
use crate::stall::Stall;
use crate::taking::Taking;

/// A client's connection.
type Io = TokioIo<Stall<TcpStream>>;

/// Headers of a request, and the buffer they must fit in.
const HEADERS_MAX: usize = 64;
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// What HTTP/2 begins with, and no request of HTTP/1 (RFC 9113, section 3.4).
const HTTP2_FIRST: &[u8; 3] = b"PRI";
/// How long to wait for more of it, where less came.
const PEEK_PAUSE: Duration = Duration::from_millis(10);
/// Requests of one HTTP/2 connection at a time, their headers, and what may be on its way to us unread.
const STREAMS_MAX: u32 = 128;
const HEADER_LIST_BYTES_MAX: u32 = 64 << 10;
const WINDOW_BYTES: u32 = 1 << 20;
/// How long to wait after a failed accept, such as one without a free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What the sink has beyond the time for draining, to withdraw messages and sync them to disk.
/// How long answers that are cut off may take to end.
const CUT_GRACE: Duration = Duration::from_secs(5);
const END_GRACE: Duration = Duration::from_secs(15);

/// Serves until `cancel`; then takes no more connections, ends the requests in flight, waits until the sink has had its
/// say about all of them, and returns. Every listener takes everything.
///
/// # Errors
/// [`Error::NotLoopback`] for a gateway without keys on a public address; [`Error::Listen`]; [`Error::Drain`] if
/// requests or messages were left when the time for ending them was over.
pub async fn serve(
    listeners: Vec<TcpListener>,
    gateway: Arc<Gateway>,
    cancel: CancellationToken,
) -> Result<(), Error> {
    for listener in &listeners {
        let address = listener.local_addr();
        let address =
            address.map_err(|source| Error::Listen { doing: "find the address of", source })?;
        gateway.auth.check(address)?;
        tracing::info!(%address, "listening");
    }
    let connections = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(gateway.config.connections_max));
    let llm = Llm::start(&gateway)?;
    let router = http::router(Arc::clone(&gateway), Arc::clone(&llm));
    let headers = Duration::from_millis(gateway.config.header_timeout_ms);
    let write = Duration::from_millis(gateway.config.write_timeout_ms);
    let accepting = listeners.into_iter().map(|listener| async {
        let listener = listener;
        while let Some((stream, slot)) = next(&listener, &slots, &cancel).await {
            let serving = connection(stream, write, router.clone(), headers, cancel.clone());
            connections.spawn(async move {
                serving.await;
                drop(slot);
            });
        }
    });
    futures_util::future::join_all(accepting).await;
    connections.close();
    let timeout_ms = gateway.config.drain_timeout_ms;
    let limit = Duration::from_millis(timeout_ms);
    let late = |what| move |_| Error::Drain { what, timeout_ms };
    if llm.is_used() && tokio::time::timeout(limit, connections.wait()).await.is_err() {
        tracing::warn!(timeout_ms, "answers of model APIs are cut off");
        llm.cut();
        tokio::time::timeout(CUT_GRACE, connections.wait()).await.map_err(late("requests"))?;
    }
    tokio::time::timeout(limit, connections.wait()).await.map_err(late("requests"))?;
    let recorded = tokio::time::timeout(limit, llm.end()).await;
    recorded.map_err(late("exchanges"))?;
    // A sink that leaves messages on disk does so within the limit; a moment more is for one that does not.
    let ended = gateway.sinks.end(limit);
    let left = tokio::time::timeout(limit + END_GRACE, ended).await.map_err(late("messages"))?;
    if left > 0 {
        tracing::warn!(
            left,
            "messages are left in the spool; they go to Kafka after the next start"
        );
    }
    tracing::info!("stopped listening");
    Ok(())
}

/// The next connection; `None` once cancelled.
async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    cancel: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let accept = async {
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "could not set nodelay");
                    }
                    return Some((stream, slot));
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    cancel.run_until_cancelled(accept).await.flatten()
}

/// Serves a connection to its end, by the version of HTTP that its first bytes speak.
async fn connection(
    stream: TcpStream,
    write_timeout: Duration,
    router: Router,
    header_timeout: Duration,
    cancel: CancellationToken,
) {
    let mut first = [0; HTTP2_FIRST.len()];
    let peeked = tokio::time::timeout(header_timeout, peek(&stream, &mut first));
    let Some(Ok(Ok(()))) = cancel.run_until_cancelled(peeked).await else { return };
    let service = TowerToHyperService::new(router);
    let io = TokioIo::new(Stall::new(stream, write_timeout));
    let served = if first == *HTTP2_FIRST {
        let taking = Taking::default();
        let serving = serve_http2(io, service, taking.clone(), header_timeout, cancel);
        tokio::select! {
            served = serving => served,
            () = taking.stalls(write_timeout) => {
                tracing::debug!("a client takes nothing of an answer");
                return;
            }
        }
    } else {
        serve_http1(io, service, header_timeout, cancel).await
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn serve_http1(
    io: Io,
    router: TowerToHyperService<Router>,
    header_timeout: Duration,
    cancel: CancellationToken,
) -> hyper::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(header_timeout);
    http.max_headers(HEADERS_MAX).max_buf_size(BUFFER_BYTES_MAX);
    let mut served = std::pin::pin!(http.serve_connection(io, router));
    tokio::select! {
        served = served.as_mut() => served,
        () = cancel.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    }
}

async fn serve_http2(
    io: Io,
    router: TowerToHyperService<Router>,
    taking: Taking,
    header_timeout: Duration,
    cancel: CancellationToken,
) -> hyper::Result<()> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX);
    http.keep_alive_interval(header_timeout).keep_alive_timeout(header_timeout);
    http.max_header_list_size(HEADER_LIST_BYTES_MAX).initial_stream_window_size(WINDOW_BYTES);
    http.initial_connection_window_size(WINDOW_BYTES);
    let service = service_fn(move |request: Request<Incoming>| {
        let (answering, taking) = (router.call(request), taking.clone());
        async move { answering.await.map(|answer| answer.map(|body| taking.watch(body))) }
    });
    let mut served = std::pin::pin!(http.serve_connection(io, service));
    tokio::select! {
        served = served.as_mut() => served,
        () = cancel.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    }
}

/// Looks at a connection's first bytes, which stay to be read.
async fn peek(stream: &TcpStream, first: &mut [u8]) -> std::io::Result<()> {
    loop {
        match stream.peek(first).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read if read == first.len() => return Ok(()),
            _ => tokio::time::sleep(PEEK_PAUSE).await,
        }
    }
}
