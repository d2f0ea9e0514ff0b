//! Against a listener that says what no test can make a real registry say. The real one is asked in the end-to-end tests.

use schemas::PUBLISHED;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::error::Kind;

const ID: SchemaId = SchemaId(7);

fn latest() -> &'static Published {
    PUBLISHED.last().unwrap()
}

/// A registry that gives these answers, each once, and then is away; what it was asked comes out at the end.
async fn answering(answers: Vec<String>) -> (Registry, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://me:pass%20word@{}/api/", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 64 << 10];
            let length = stream.read(&mut request).await.unwrap();
            asked.push(String::from_utf8_lossy(&request[..length]).into_owned());
            // Whoever asked may have heard enough.
            stream.write_all(answer.as_bytes()).await.ok();
        }
        asked
    });
    (Registry::new(&Config { url, ..Config::default() }, None).unwrap(), asked)
}

fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn schema(text: &str) -> String {
    http("200 OK", &json!({ "schema": text }).to_string())
}

#[tokio::test]
async fn what_was_learnt_outlives_the_registry() {
    let (registry, _) = answering(vec![schema(latest().text), schema("\"bytes\"")]).await;
    assert_eq!(registry.published(ID).await.unwrap(), Some(latest()));
    assert_eq!(registry.published(SchemaId(8)).await.unwrap(), None);
    assert_eq!(registry.published(ID).await.unwrap(), Some(latest()));
    assert_eq!(registry.clone().published(SchemaId(8)).await.unwrap(), None);
    let unknown = registry.published(SchemaId(9)).await.unwrap_err();
    assert!(matches!(unknown, Error::Silent { .. }) && unknown.kind() == Kind::Transient);
}

#[tokio::test]
async fn an_id_is_unknown_only_where_the_registry_says_so() {
    let unknown = http("404 Not Found", r#"{"error_code":40403,"message":"no"}"#);
    let (registry, _) = answering(vec![unknown.clone(), unknown, schema(latest().text)]).await;
    assert_eq!(registry.published(ID).await.unwrap(), None);
    assert_eq!(registry.published(ID).await.unwrap(), None);
    assert_eq!(registry.published(ID).await.unwrap(), Some(latest()), "it was registered since");
    assert_eq!(registry.published(SchemaId(u32::MAX)).await.unwrap(), None, "it is not asked");
}

#[tokio::test]
async fn whatever_else_is_answered_says_nothing_about_the_id() {
    let long = "x".repeat(ANSWER_BYTES_MAX + 1);
    for (answer, kind) in [
        (http("404 Not Found", "<html>"), Kind::Transient),
        (http("404 Not Found", r#"{"error_code":404,"message":"HTTP 404"}"#), Kind::Transient),
        (http("200 OK", "<html>"), Kind::Transient),
        (http("200 OK", &long), Kind::Transient),
        (http("302 Found\r\nlocation: http://127.0.0.1:1/", ""), Kind::Transient),
        (http("503 Service Unavailable", ""), Kind::Transient),
        (http("429 Too Many Requests", r#"{"message":"later"}"#), Kind::Transient),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{".to_owned(), Kind::Transient),
        (http("401 Unauthorized", r#"{"message":"who?"}"#), Kind::Refused),
    ] {
        let (registry, _) = answering(vec![answer.clone()]).await;
        let error = registry.published(ID).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error} after {:.60}", answer);
    }
}

#[tokio::test]
async fn a_schema_is_registered_under_the_topic_after_its_compatibility_was_set() {
    let set = http("200 OK", "{}");
    let (registry, asked) = answering(vec![set, http("200 OK", r#"{"id":7}"#)]).await;
    assert_eq!(registry.register("a/b", latest()).await.unwrap(), ID);
    assert_eq!(registry.published(ID).await.unwrap(), Some(latest()), "it is not asked");
    let asked = asked.await.unwrap();
    assert!(asked[0].starts_with("PUT /api/config/a%2Fb-value HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(asked[0].contains("\r\nauthorization: Basic bWU6cGFzcyB3b3Jk\r\n"), "{}", asked[0]);
    assert!(asked[0].contains("FULL_TRANSITIVE"), "{}", asked[0]);
    assert!(asked[1].starts_with("POST /api/subjects/a%2Fb-value/versions HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_refusal_repeats_the_registry_and_no_secret() {
    let conflict = http("409 Conflict", r#"{"error_code":409,"message":"incom\npatible"}"#);
    let (registry, _) = answering(vec![conflict]).await;
    let error = registry.register("t", latest()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().ends_with("subject t-value: incompatible"), "{error}");
    let silent = registry.published(ID).await.unwrap_err();
    for text in [format!("{registry:?}"), format!("{silent:?}"), format!("{silent}")] {
        assert!(!text.contains("pass"), "{text}");
    }
}

#[test]
fn an_address_must_be_one() {
    for url in ["", "registry:80", "ftp://registry", "mailto:a@b"] {
        let config = Config { url: url.to_owned(), ..Config::default() };
        assert_eq!(Registry::new(&config, None).unwrap_err().kind(), Kind::Refused, "{url}");
    }
    let config = Config { url: "http://registry".to_owned(), ..Config::default() };
    assert!(Registry::new(&config, Some("no colon")).is_err());
}
