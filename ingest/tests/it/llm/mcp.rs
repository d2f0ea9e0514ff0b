//! An MCP server behind the gateway, on a route that fails closed: it is asked nothing that cannot be recorded.

use ingest::{Config, OnFailure, Upstream};
use serde_json::Value;

use super::failures::{fill, small};
use super::record::read;
use super::upstream::Api;
use crate::served::{Served, code};

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"n":7}}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;

async fn call(served: &Served) -> (u16, String) {
    let request = served.client.post(format!("http://{}/mcp/files", served.address));
    let request = request.header("content-type", "application/json").body(CALL);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fail_closed_mcp_route_forwards_no_call_that_is_not_on_record() {
    let api = Api::saying(RESULT).await;
    let url = format!("{}/mcp", api.url);
    let upstream = Upstream { url, on_failure: OnFailure::Closed, ..Upstream::default() };
    let config = Config { mcp: [("files".to_owned(), upstream)].into(), ..Config::default() };
    let mut served = small(config).await;
    let full = fill(&served);
    let (status, answer) = call(&served).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, code(&answer)), (503, "unavailable"));
    assert!(api.asked().is_empty());

    served.spool.truncate_head(full).unwrap();
    assert_eq!(call(&served).await, (200, RESULT.to_owned()));
    let asked = api.asked();
    assert_eq!((asked.len(), &*asked[0].target, &*asked[0].body), (1, "/mcp", CALL.as_bytes()));
    served.end().await;
    let events = read(&served);
    let of = |kind: &str, phase: &str| {
        let mut found = events
            .iter()
            .filter(|event| event.envelope.kind == kind && event.envelope.phase == phase);
        let event = found.next().unwrap_or_else(|| panic!("no {kind} of phase {phase}"));
        assert!(found.next().is_none(), "more than one {kind} of phase {phase}");
        event
    };
    let (begun, called) = (of("http.exchange", "start"), of("tool.call", "complete"));
    assert_eq!(called.envelope.causation_id, Some(begun.envelope.event_id));
    assert_eq!(called.envelope.producer_seq, Some(1));
    assert_eq!(begun.rebuilt(&begun.http()[0]), CALL.as_bytes());
    let gap = of("producer.gap", "complete");
    assert_eq!(gap.envelope.producer_dropped, Some(1));
}
