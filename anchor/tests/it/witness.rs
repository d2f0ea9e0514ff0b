//! What is made of a witness's answers, those included that no test can make a real one give.

use anchor::{Cosignature, Error, Kind, Witness};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use schemas::signature::SigningKey;
use schemas::tlog::{
    self, Checkpoint, KeyName, LogSigner, SignedCheckpoint, VerifierKey, VerifierKind,
};
use schemas::{Digest, Seconds};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::stamp::http;

const TIME: u64 = 1_795_855_308;

fn signer(name: &str, seed: u8) -> LogSigner {
    LogSigner::new(KeyName::new(name).unwrap(), SigningKey::from_bytes(&[seed; 32]))
}

fn cosigner_key(name: &str, seed: u8) -> VerifierKey {
    let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
    VerifierKey::new(KeyName::new(name).unwrap(), VerifierKind::Cosignature, key)
}

fn checkpoint(size: u64) -> SignedCheckpoint {
    let origin = KeyName::new("log.example/1").unwrap();
    let note =
        Checkpoint { origin, size, root: Digest([3; 32]) }.sign(&[&signer("log.example/1", 1)]);
    SignedCheckpoint::parse(note.to_string().as_bytes()).unwrap()
}

/// The line of a witness that cosigns a text at this time.
fn cosigned(name: &str, seed: u8, time: u64, text: &str) -> String {
    let signature =
        signer(name, seed).sign(&format!("cosignature/v1\ntime {time}\n{text}")).to_string();
    let signature = signature.trim_end().rsplit(' ').next().unwrap();
    let signature = BASE64_STANDARD.decode(signature).unwrap();
    let id = cosigner_key(name, seed).id();
    let (_, signature) = signature.split_first_chunk::<4>().unwrap();
    let bytes = [id.as_slice(), &time.to_be_bytes(), signature].concat();
    format!("— {name} {}\n", BASE64_STANDARD.encode(bytes))
}

/// What the client makes of an answer, and what it asked.
async fn asked(answer: Vec<u8>) -> (Result<Cosignature, Error>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/prefix/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        // The last line of the checkpoint is the last of the request.
        while !(request.ends_with(b"=\n") && String::from_utf8_lossy(&request).contains('—')) {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        stream.write_all(&answer).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    let key = cosigner_key("witness.example/w", 2);
    let witness = tlog::Witness { name: "w".to_owned(), key, url: Some(url) };
    let witness = Witness::new(&witness, None, 5000).unwrap();
    let answer = witness.cosign(5, &[Digest([7; 32]), Digest([8; 32])], &checkpoint(9)).await;
    (answer, server.await.unwrap())
}

async fn answered(status: &str, media_type: &str, body: &str) -> Result<Cosignature, Error> {
    asked(http(status, media_type, body.as_bytes())).await.0
}

#[tokio::test]
async fn the_request_is_spelled_as_the_specification_has_it() {
    let (_, request) = asked(http("200 OK", "text/plain", b"")).await;
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /prefix/add-checkpoint HTTP/1.1\r\n"), "{head}");
    let (seven, eight) = (BASE64_STANDARD.encode([7; 32]), BASE64_STANDARD.encode([8; 32]));
    assert_eq!(body, format!("old 5\n{seven}\n{eight}\n\n{}", checkpoint(9).note));
}

#[tokio::test]
async fn a_cosignature_comes_back_alone_and_with_its_time() {
    let text = checkpoint(9).note.text;
    let own = cosigned("witness.example/w", 2, TIME, &text);
    let others = cosigned("witness.example/w", 3, TIME, "anything\n")
        + &cosigned("other.example", 2, TIME, "anything\n");
    let cosignature = answered("200 OK", "text/plain", &(others + &own)).await.unwrap();
    assert_eq!(cosignature.time, Seconds(TIME.try_into().unwrap()));
    assert_eq!(cosignature.line.to_string(), own);
}

#[tokio::test]
async fn what_is_not_the_keys_over_the_checkpoint_is_no_cosignature() {
    let text = checkpoint(9).note.text;
    let good = cosigned("witness.example/w", 2, TIME, &text);
    let mut changed = good.clone().into_bytes();
    changed[60] = if changed[60] == b'A' { b'B' } else { b'A' };
    for body in [
        String::new(),
        "\n".to_owned(),
        "yes\n".to_owned(),
        cosigned("witness.example/w", 2, TIME, &checkpoint(8).note.text),
        cosigned("witness.example/w", 3, TIME, &text),
        cosigned("other.example", 2, TIME, &text),
        cosigned("witness.example/w", 2, u64::MAX, &text),
        String::from_utf8(changed).unwrap(),
        signer("witness.example/w", 2).sign(&text).to_string(),
        format!("{good}yes\n").replacen('—', "-", 1),
    ] {
        let error = answered("200 OK", "text/plain", &body).await.unwrap_err();
        assert!(matches!(error, Error::Cosignature { .. }), "{body:?}: {error:?}");
        assert_eq!(error.kind(), Kind::Refused);
    }
}

#[tokio::test]
async fn a_conflict_says_where_to_go_on() {
    let size = "text/x.tlog.size";
    let error = answered("409 Conflict", size, "7\n").await.unwrap_err();
    assert!(matches!(error, Error::Size { size: 7, .. }), "{error:?}");
    assert_eq!(error.kind(), Kind::Conflict);
    for (media_type, body) in [
        (size, "7"),
        (size, "+7\n"),
        (size, "\n"),
        (size, "99999999999999999999\n"),
        ("text/plain", "7\n"),
    ] {
        let error = answered("409 Conflict", media_type, body).await.unwrap_err();
        assert!(matches!(error, Error::Answer { status: 409, .. }), "{body:?}: {error:?}");
    }
}

#[tokio::test]
async fn each_refusal_says_what_to_do() {
    let answer = |status| answered(status, "text/plain", "no\n");
    let error = answer("422 Unprocessable Entity").await.unwrap_err();
    assert!(matches!(error, Error::Inconsistent { .. }), "{error:?}");
    assert_eq!(error.kind(), Kind::Corrupt);
    for status in ["403 Forbidden", "404 Not Found"] {
        let error = answer(status).await.unwrap_err();
        assert!(matches!(error, Error::UnknownLog { .. }), "{error:?}");
        assert_eq!(error.kind(), Kind::Refused);
    }
    for (status, kind) in [
        ("400 Bad Request", Kind::Refused),
        ("429 Too Many Requests", Kind::Transient),
        ("500 Internal Server Error", Kind::Transient),
    ] {
        let error = answer(status).await.unwrap_err();
        assert!(matches!(error, Error::Answer { .. }), "{error:?}");
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn a_witness_without_a_url_cannot_be_asked() {
    let key = cosigner_key("witness.example/w", 2);
    let witness = tlog::Witness { name: "w".to_owned(), key, url: None };
    let error = Witness::new(&witness, None, 5000).unwrap_err();
    assert!(matches!(error, Error::Config { field: "url", .. }), "{error:?}");
}
