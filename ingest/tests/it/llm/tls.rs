//! Upstreams that a private authority vouches for: which are believed, and what is on record of those that are not.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ingest::{Config, Error, Upstream};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::record::read;
use super::upstream::{Api, whole};
use super::{CHAT, SAID, before};
use crate::served::Served;

/// An authority of OpenSSL's, in a temporary folder.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = ["-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"];
        openssl(folder.path(), &[&["req"], &KEY[..], &["-subj", "/CN=authority"], &made].concat());
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// An API with a certificate for this name, which says `SAID`.
    async fn api(&self, name: &str) -> Api {
        let folder = self.0.path();
        let asked = ["-keyout", "api.key", "-out", "api.csr", "-subj", "/CN=api"];
        openssl(folder, &[&["req"], &KEY[..], &asked].concat());
        std::fs::write(folder.join("names"), format!("subjectAltName={name}\n")).unwrap();
        let signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"];
        let files = ["x509", "-req", "-days", "2", "-in", "api.csr", "-out", "api.pem"];
        openssl(folder, &[&files[..], &signed].concat());
        let certificate = CertificateDer::from_pem_file(folder.join("api.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("api.key")).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate], key).unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        Api::over(Some(tls), |_| whole(200, &[("content-type", "application/json")], SAID)).await
    }
}

/// How a key is made.
const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

fn openssl(folder: &Path, args: &[&str]) {
    let output = Command::new("openssl").current_dir(folder).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_the_configured_authority_vouches_for_is_reached_and_recorded() {
    let authority = Authority::new();
    let api = authority.api("IP:127.0.0.1").await;
    let mut served = before(&api, |upstream| upstream.ca_file = Some(authority.file())).await;
    assert_eq!(served.chat(CHAT).await, (200, SAID.to_owned()));
    served.end().await;
    let event = read(&served).pop().unwrap();
    assert_eq!((&*event.envelope.kind, &*event.envelope.status), ("llm.call", "ok"));
    assert_eq!(event.rebuilt(&event.http()[1]), SAID.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_not_to_be_believed_is_told_nothing_and_that_is_on_record() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (name, ca_file) in [
        // Nobody that browsers trust vouches for it, nor does another authority; and this is the certificate of another host.
        ("IP:127.0.0.1", None),
        ("IP:127.0.0.1", Some(other.file())),
        ("DNS:api.example", Some(authority.file())),
    ] {
        let api = authority.api(name).await;
        let mut served = before(&api, |upstream| upstream.ca_file = ca_file.clone()).await;
        let (status, answer) = served.chat(CHAT).await;
        assert!(status == 502 && answer.contains("upstream_failed"), "{name}: {status} {answer}");
        assert!(api.asked().is_empty());
        served.end().await;
        let event = read(&served).pop().unwrap();
        assert_eq!(event.envelope.error_type.as_deref(), Some("tls"), "{name} {ca_file:?}");
        assert_eq!(event.http()[1]["ended"], "upstream_error");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_does_not_start_with_authorities_that_it_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "# nobody\n").unwrap();
    for (ca_file, what) in
        [(empty, "has no certificate"), (folder.path().join("none.pem"), "cannot be read")]
    {
        let (url, ca_file) = ("https://127.0.0.1:1".to_owned(), Some(ca_file));
        let upstream = Upstream { url, ca_file, ..Upstream::default() };
        let config = Config { llm: [("api".to_owned(), upstream)].into(), ..Config::default() };
        let served = Served::new(config).await;
        match served.task.await.unwrap() {
            Err(Error::Config { field: "llm", why }) => assert!(why.contains(what), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}
