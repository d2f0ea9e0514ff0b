//! What passes: heads, framings and sessions.

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingest::OnFailure;
use serde_json::json;
use tokio::net::TcpStream;

use super::record::read;
use super::upstream::{Api, whole};
use super::{CHAT, SAID, before};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_on_as_it_came_but_for_what_ends_at_a_proxy() {
    let api = Api::new(|asked| match asked.method.as_str() {
        "HEAD" => whole(200, &[("content-length", "1234")], ""),
        "DELETE" => whole(204, &[], ""),
        _ => whole(418, &[("connection", "x-hop"), ("x-hop", "1"), ("x-kept", "1")], "no"),
    })
    .await;
    let mut served = before(&api, |upstream| upstream.url.push_str("/base")).await;
    let head = "POST /llm/api/v1/x%2F?q=%20&a HTTP/1.1\r\nhost: gateway\r\nconnection: close, x-once\r\n\
                x-once: 1\r\nauthorization: Bearer a\r\nx-many: 1\r\nx-many: 2\r\nupgrade: h2c\r\n";
    let length = format!("{head}content-length: 3\r\nexpect: 100-continue\r\n\r\nabc");
    let answer = served.raw(length.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 418 "), "{answer}");
    assert!(answer.contains("x-kept: 1") && !answer.contains("x-hop"), "{answer}");
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n");
    assert!(served.raw(chunked.as_bytes()).await.ends_with("\r\n\r\nno"));
    // Two framings: the one that hyper goes by is the one that goes on.
    let both = format!(
        "{head}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    );
    let answered = served.raw(both.as_bytes()).await;
    assert!(answered.starts_with("HTTP/1.1 418 "), "{answered}");
    for asked in api.asked() {
        assert_eq!((&*asked.target, &*asked.body), ("/base/v1/x%2F?q=%20&a", &b"abc"[..]));
        let headers = asked.headers;
        assert_eq!(headers["host"].to_str().unwrap(), api.url.strip_prefix("http://").unwrap());
        assert_eq!(headers["authorization"], "Bearer a");
        assert_eq!(headers.get_all("x-many").iter().count(), 2);
        for gone in ["x-once", "connection", "expect", "upgrade"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
    }
    let request = "HEAD /llm/api HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = served.raw(request.as_bytes()).await;
    assert!(
        answer.contains("content-length: 1234\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    let request = "DELETE /llm/api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(served.raw(request.as_bytes()).await.starts_with("HTTP/1.1 204 "));
    served.end().await;
    let events = read(&served);
    assert_eq!(events.len(), 5);
    for (event, asked) in events.iter().zip(["abc", "abc", "abc", "", ""]) {
        assert_eq!(event.rebuilt(&event.http()[0]), asked.as_bytes());
        assert_eq!(event.http()[1]["ended"], "complete");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_2_gets_what_one_of_http_1_does() {
    let api = Api::saying(SAID).await;
    let mut served = before(&api, |_| {}).await;
    let stream = TokioIo::new(TcpStream::connect(&served.address).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::post(served.llm("/v1/chat/completions")).header("te", "trailers");
    let request = request.header("cookie", "a=1").header("cookie", "b=2");
    let request = request.body(Full::new(bytes::Bytes::from(CHAT))).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), SAID);
    drop(sender);
    connection.await.unwrap().unwrap();
    let asked = &api.asked()[0];
    assert_eq!(
        (&asked.headers["cookie"], &*asked.body),
        (&"a=1; b=2".parse().unwrap(), CHAT.as_bytes())
    );
    assert_eq!(asked.headers["host"].to_str().unwrap(), api.url.strip_prefix("http://").unwrap());
    served.end().await;
    let events = read(&served);
    assert_eq!((events.len(), events[0].rebuilt(&events[0].http()[1])), (1, SAID.into()));
}

/// Once as it is, once on a fail-closed route: the bytes are the same.
#[tokio::test(flavor = "multi_thread")]
async fn exchanges_that_continue_each_other_are_one_session_and_others_are_not() {
    for on_failure in [OnFailure::Open, OnFailure::Closed] {
        let api = Api::saying(SAID).await;
        let mut served = before(&api, |upstream| upstream.on_failure = on_failure).await;
        let next = json!({"model": "m", "messages": [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Bye"},
        ]});
        assert_eq!(served.chat(CHAT).await, (200, SAID.to_owned()));
        assert_eq!(served.chat(&next.to_string()).await, (200, SAID.to_owned()));
        assert_eq!(served.chat(&CHAT.replace("Hi", "Ho")).await, (200, SAID.to_owned()));
        served.end().await;
        let events = read(&served);
        let ends: Vec<_> = events.iter().filter(|event| event.envelope.phase != "start").collect();
        let [first, second, other] = ends.as_slice() else { panic!("{}", ends.len()) };
        assert_eq!(first.envelope.session_id, second.envelope.session_id);
        assert_ne!(first.envelope.session_id, other.envelope.session_id);
        assert_eq!(second.said("user", "message").len(), 2);
        assert_eq!(first.envelope.kind, "llm.call");
        let starts = events.len() - ends.len();
        assert_eq!(starts, if on_failure == OnFailure::Closed { 3 } else { 0 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_what_the_configured_header_names_or_a_vendors_or_the_traces() {
    let api = Api::saying(SAID).await;
    let mut served = before(&api, |upstream| upstream.session_header = Some("x-run".into())).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let vendor = "x-claude-code-session-id";
    for lines in [
        &[("x-run", "one"), (vendor, "two")][..],
        &[(vendor, "two"), ("traceparent", trace)],
        &[("traceparent", trace)],
        &[("traceparent", trace)],
        &[("x-run", "")],
    ] {
        let mut request = served.client.post(served.llm("/v1/messages"));
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        assert_eq!(request.body(CHAT).send().await.unwrap().status().as_u16(), 200);
    }
    served.end().await;
    let events = read(&served);
    let sessions: Vec<_> = events.iter().map(|event| &*event.envelope.session_id).collect();
    assert_eq!(sessions[..4], ["one", "two", "two", "two"], "the trace is known for its session");
    assert!(uuid::Uuid::parse_str(sessions[4]).is_ok());
    let envelope = &events[2].envelope;
    assert_eq!(envelope.trace_id.unwrap().to_string(), &trace[3..35]);
    assert_eq!(envelope.parent_span_id.unwrap().to_string(), &trace[36..52]);
    assert_ne!(envelope.span_id, events[3].envelope.span_id);
}
