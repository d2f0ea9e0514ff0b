//! The sealer's metrics over HTTP, as Prometheus reads them. The gateway serves its own.
#![expect(clippy::disallowed_methods, reason = "a shell: a listener that fails is given time")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, OrExit};

/// Bytes of a request that are read; what is asked for does not matter.
const REQUEST_BYTES_MAX: u64 = 8192;
/// Time for a request and its answer; they are answered one after the other.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);

/// Section `[metrics]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Address that `GET /metrics` is answered on. Default none: metrics are not served.
    pub(crate) listen: Option<SocketAddr>,
}

/// Begins to serve, where an address is set, until `stop`.
pub(crate) async fn serve(
    config: &Config,
    registry: Registry,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Some(address) = config.listen else { return Ok(()) };
    let listener = TcpListener::bind(address)
        .await
        .or_exit(Exit::Infrastructure, format!("cannot serve metrics on {address}"))?;
    let registry = Arc::new(registry);
    tokio::spawn(async move {
        let answering = async {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(REQUEST_TIME_MAX).await;
                    continue;
                };
                // A client that fails loses its answer and nothing else.
                let answered = answer(stream, &registry);
                let _lost = tokio::time::timeout(REQUEST_TIME_MAX, answered).await;
            }
        };
        stop.run_until_cancelled(answering).await
    });
    Ok(())
}

async fn answer(mut stream: TcpStream, registry: &Registry) -> anyhow::Result<()> {
    let (from, mut to) = stream.split();
    let mut lines = BufReader::new(from).take(REQUEST_BYTES_MAX).lines();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let mut text = String::new();
    encode(&mut text, registry).context("metrics could not be written")?;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    to.write_all(head.as_bytes()).await?;
    to.write_all(text.as_bytes()).await?;
    Ok(to.shutdown().await?)
}
