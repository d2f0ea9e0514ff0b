//! SHELL: connections to upstreams: TLS by the roots that browsers trust, or those of a file; kept for a while, never shared by
//! two exchanges.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use super::config::Upstream;
use super::question::{Broken, Question};

/// Sends requests to one upstream.
pub(crate) type Sender = Client<Connector, Question>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Tls = HttpsConnector<HttpConnector>;

/// Headers of an answer, and the buffer they must fit in.
const HEADERS_MAX: usize = 256;
const BUFFER_BYTES_MAX: usize = 256 << 10;

/// Opens connections within a time limit, from the name's look-up to the end of the handshake.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    tls: Tls,
    limit: Duration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} ms (connect_timeout_ms)", .0.as_millis())]
pub(crate) struct Late(Duration);

/// A client with the upstream's limits.
///
/// # Errors
/// What is wrong with its `ca_file`.
pub(crate) fn client(upstream: &Upstream) -> Result<Sender, String> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let tls = match &upstream.ca_file {
        Some(path) => HttpsConnectorBuilder::new().with_tls_config(trusting(path)?),
        None => HttpsConnectorBuilder::new().with_webpki_roots(),
    };
    let tls = tls.https_or_http().enable_http1().wrap_connector(tcp);
    let limit = Duration::from_millis(upstream.connect_timeout_ms);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_millis(upstream.idle_timeout_ms))
        .pool_max_idle_per_host(upstream.idle_connections_max)
        .http1_max_headers(HEADERS_MAX)
        .http1_max_buf_size(BUFFER_BYTES_MAX)
        // What was not sent at all is sent on another connection; nothing is ever sent twice.
        .retry_canceled_requests(true)
        .set_host(false)
        .build(Connector { tls, limit });
    Ok(client)
}

/// Believes whom the authorities of this file vouch for, and nobody else.
fn trusting(path: &Path) -> Result<ClientConfig, String> {
    let wrong = |why: String| format!("its ca_file {} {why}", path.display());
    let unread = |error| wrong(format!("cannot be read as PEM: {error}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unread)? {
        let added = roots.add(certificate.map_err(unread)?);
        added.map_err(|error| wrong(format!("has a certificate that cannot be used: {error}")))?;
    }
    if roots.is_empty() {
        return Err(wrong("has no certificate".to_owned()));
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

impl Service<Uri> for Connector {
    type Response = <Tls as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tls.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.tls.call(uri), self.limit);
        Box::pin(async move {
            let connected = tokio::time::timeout(limit, connecting).await;
            connected.map_err(|_| Late(limit))?
        })
    }
}

/// What stopped a request that got no answer, as one word.
pub(crate) fn cause(error: &hyper_util::client::legacy::Error) -> &'static str {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<Late>() {
            return "connect_timeout";
        }
        let text = error.to_string();
        if text.starts_with("dns error") {
            return "dns";
        }
        if text.contains("certificate") || text.contains("handshake") {
            return "tls";
        }
        source = error.source();
    }
    if error.is_connect() { "connect" } else { "broken" }
}

/// What the client did, where that is why its request could not be sent.
pub(crate) fn of_client<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Broken> {
    let mut error = Some(error);
    while let Some(this) = error {
        if let Some(broken) = this.downcast_ref() {
            return Some(broken);
        }
        error = this.source();
    }
    None
}
