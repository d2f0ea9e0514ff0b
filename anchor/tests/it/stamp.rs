//! The client against an authority that runs `openssl ts` for each request.

use std::sync::Arc;

use anchor::timestamp::{Trust, WhyNot, check};
use anchor::{Authority, AuthorityConfig, Error, Kind};
use schemas::Digest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::openssl::{DATA, OpenSsl, P256, ROOT, data};

/// What the authority does with a query.
type Answering = fn(&OpenSsl, &[u8]) -> Vec<u8>;

/// Reads the body of a request.
async fn body(stream: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    loop {
        stream.read_buf(&mut request).await.unwrap();
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.contains("content-type: application/timestamp-query"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().parse().unwrap();
        let start = request.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        if request.len() - start == length {
            return request.split_off(start);
        }
    }
}

/// An authority whose certificate `root` certified, which answers until the test is over.
async fn authority(roots: bool, answering: Answering) -> (Authority, Arc<OpenSsl>) {
    let openssl = Arc::new(OpenSsl::new());
    openssl.certify("tsa", P256, "root", "tsa", 30);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/tsr", listener.local_addr().unwrap());
    let server = openssl.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let query = body(&mut stream).await;
            stream.write_all(&answering(&server, &query)).await.ok();
        }
    });
    let roots = roots.then(|| openssl.path("root.pem"));
    (
        Authority::new(&AuthorityConfig { url, roots, ..AuthorityConfig::default() }).unwrap(),
        openssl,
    )
}

pub(crate) fn http(status: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn granted(openssl: &OpenSsl, query: &[u8]) -> Vec<u8> {
    http("200 OK", "application/timestamp-reply", &openssl.reply(query, "authority", "tsa", &[]))
}

#[tokio::test]
async fn what_comes_back_is_good_for_whoever_checks_it_later() {
    let (authority, openssl) = authority(true, granted).await;
    let answer = authority.stamp(&Digest::of(DATA)).await.unwrap();
    assert_eq!(answer.stamped.trust, Trust::Chained { root: ROOT.to_owned() });
    let again = check(&answer.response, &data(), Some(&openssl.roots("root"))).unwrap();
    assert_eq!(again, answer.stamped);
    openssl.verify(&answer.response, "root").unwrap();
    // Each request has its own nonce.
    let next = authority.stamp(&Digest::of(DATA)).await.unwrap();
    assert_ne!(next.stamped.nonce, answer.stamped.nonce);
}

#[tokio::test]
async fn without_roots_it_is_said_that_nobody_vouches() {
    let (authority, _openssl) = authority(false, granted).await;
    assert_eq!(authority.stamp(&data()).await.unwrap().stamped.trust, Trust::Unchecked);
}

#[tokio::test]
async fn an_answer_to_another_request_is_refused() {
    // The first answer, again and again.
    let (authority, _openssl) = authority(true, |openssl, query| {
        if !openssl.path("first.tsq").exists() {
            openssl.write("first.tsq", query);
        }
        granted(openssl, &openssl.read("first.tsq"))
    })
    .await;
    authority.stamp(&data()).await.unwrap();
    for (digest, why) in [(data(), WhyNot::OtherRequest), (Digest::of(b"more"), WhyNot::OtherData)]
    {
        let error = authority.stamp(&digest).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(matches!(&error, Error::Stamp { source, .. } if *source == why), "{error:?}");
    }
}

#[tokio::test]
async fn an_authority_that_no_root_vouches_for_is_refused() {
    let (authority, _openssl) = authority(true, |openssl, query| {
        openssl.root("stranger");
        openssl.certify("tsa", P256, "stranger", "tsa", 30);
        granted(openssl, query)
    })
    .await;
    let error = authority.stamp(&data()).await.unwrap_err();
    assert!(matches!(error, Error::Stamp { source: WhyNot::Untrusted { .. }, .. }), "{error:?}");
}

#[tokio::test]
async fn whatever_else_is_answered_is_no_time_stamp() {
    let answers: [(Answering, Kind, u16); 6] = [
        (|_, _| http("503 Service Unavailable", "text/plain", b"later"), Kind::Transient, 503),
        (|_, _| http("429 Too Many Requests", "text/plain", b"slower"), Kind::Transient, 429),
        (|_, _| http("404 Not Found", "text/html", b"<html>"), Kind::Refused, 404),
        (|_, _| http("302 Found\r\nlocation: /other", "text/html", b""), Kind::Refused, 302),
        (|_, _| http("200 OK", "text/html", b"<html>"), Kind::Transient, 200),
        (
            |_, _| http("200 OK", "application/timestamp-reply", &vec![0; (64 << 10) + 1]),
            Kind::Transient,
            200,
        ),
    ];
    for (answering, kind, expected) in answers {
        let (authority, _openssl) = authority(true, answering).await;
        let error = authority.stamp(&data()).await.unwrap_err();
        let Error::Answer { status, .. } = &error else { panic!("{error:?}") };
        assert_eq!((error.kind(), *status), (kind, expected));
    }
}

#[tokio::test]
async fn an_authority_that_is_away_is_asked_again_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://me:secret@{}/", listener.local_addr().unwrap());
    drop(listener);
    let authority = Authority::new(&AuthorityConfig { url, ..AuthorityConfig::default() }).unwrap();
    let error = authority.stamp(&data()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Transient);
    let words = format!("{error} {error:?} {authority:?}");
    assert!(!words.contains("secret"), "{words}");
}

#[test]
fn settings_that_cannot_work_are_named() {
    let openssl = OpenSsl::new();
    let new = |url: &str, roots: Option<&str>| {
        let roots = roots.map(|name| openssl.path(name));
        let config = AuthorityConfig { url: url.to_owned(), roots, ..AuthorityConfig::default() };
        Authority::new(&config).map(drop).unwrap_err().to_string()
    };
    assert_eq!(new("", None), "setting url of an anchor is not a URL");
    assert!(new("ftp://tsa.example/", None).contains("must begin with http"));
    assert!(new("http://tsa.example/", Some("root.key")).starts_with("setting roots of an anchor"));
    assert!(new("http://tsa.example/", Some("absent")).starts_with("could not read"));
}
