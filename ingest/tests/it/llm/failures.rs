//! What cannot be recorded: on a fail-open route it goes on and is told of later, on a fail-closed one it does not go on.

use ingest::{Config, OnFailure};
use serde_json::{Value, json};
use spool::Message;

use super::record::read;
use super::upstream::{Api, next, part};
use super::{CHAT, SAID, before, config};
use crate::served::{Served, code};

/// Small enough to be filled.
const SPOOL_BYTES: u64 = 300_000;

pub(super) async fn small(config: Config) -> Served {
    let limits = spool::Config {
        bytes_max: SPOOL_BYTES,
        segment_bytes_max: 20_000,
        ..spool::Config::default()
    };
    Served::with(config, limits, None).await
}

/// Takes all the room there is; returns where what took it begins and ends.
pub(super) fn fill(served: &Served) -> u64 {
    let message = |bytes| Message { timestamp_ms: 1, key: None, value: vec![7; bytes] };
    for bytes in [10_000, 1000, 100, 10, 0] {
        while served.spool.append(vec![message(bytes)]).is_ok() {}
    }
    served.spool.next()
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_begin_with_an_event_where_they_last_and_the_end_names_it() {
    let (api, streams) = Api::streaming().await;
    let mut served = before(&api, |upstream| upstream.start_after_ms = 50).await;
    let request = served.client.post(served.llm("/v1/chat/completions")).body(CHAT);
    let answer = request.send().await.unwrap();
    while served.records().is_empty() {
        tokio::task::yield_now().await;
    }
    let begun = read(&served).pop().unwrap();
    assert_eq!((&*begun.envelope.phase, &*begun.envelope.kind), ("start", "llm.call"));
    let stream = next(&streams).await;
    stream.send(part("data: [DONE]\n\n")).await.unwrap();
    drop(stream);
    assert_eq!(answer.text().await.unwrap(), "data: [DONE]\n\n");
    served.end().await;
    let events = read(&served);
    let [start, end] = events.as_slice() else { panic!("{}", events.len()) };
    assert_eq!(end.envelope.phase, "end");
    assert_eq!(end.envelope.causation_id, Some(start.envelope.event_id));
    assert_eq!(end.envelope.span_id, start.envelope.span_id);
    assert_eq!(end.envelope.producer_seq, start.envelope.producer_seq);
    assert_eq!(end.envelope.context_prefix.as_ref().unwrap().event_digest, start.digest);
    assert_eq!(end.rebuilt(&end.http()[0]), CHAT.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fail_open_route_goes_on_without_a_record_and_tells_of_it_later() {
    let api = Api::saying(SAID).await;
    let mut served = small(config(&api, |_| {})).await;
    assert_eq!(served.chat(CHAT).await.0, 200);
    served.metric("chancery_ingest_events_total{outcome=\"accepted\"} 1").await;
    let full = fill(&served);
    for _ in 0..3 {
        assert_eq!(served.chat(CHAT).await, (200, SAID.to_owned()));
    }
    served
        .metric("chancery_ingest_llm_unrecorded_total{route=\"api\",reason=\"unavailable\"} 3")
        .await;
    served.spool.truncate_head(full).unwrap();
    while served.spool.next() == full {
        tokio::task::yield_now().await;
    }
    assert_eq!(served.chat(CHAT).await.0, 200);
    served.end().await;
    let events = read(&served);
    let [gap, call] = events.as_slice() else { panic!("{}", events.len()) };
    assert_eq!(gap.envelope.kind, "producer.gap");
    assert_eq!(gap.envelope.producer_dropped, Some(3));
    assert_eq!(gap.envelope.producer_id, call.envelope.producer_id);
    let (_, kind, reason) = &gap.contents[0];
    let reason: Value = serde_json::from_slice(reason).unwrap();
    assert_eq!(
        (&**kind, &reason["exchanges"], &reason["route"]),
        ("reason", &json!(3), &json!("api"))
    );
    assert_eq!(reason["reasons"], json!({"unavailable": 3}));
    assert!(reason["first"].as_str().unwrap() <= reason["last"].as_str().unwrap());
    assert_eq!((call.envelope.producer_seq, call.envelope.producer_dropped), (Some(4), Some(3)));
    assert_ne!(gap.envelope.session_id, call.envelope.session_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fail_closed_route_forwards_nothing_that_is_not_on_record() {
    let api = Api::saying(SAID).await;
    let mut served = small(config(&api, |upstream| upstream.on_failure = OnFailure::Closed)).await;
    let full = fill(&served);
    let request = served.client.post(served.llm("/v1/chat/completions")).body(CHAT);
    let answer = request.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(code(&answer), "unavailable");
    assert!(api.asked().is_empty());
    served.spool.truncate_head(full).unwrap();
    assert_eq!(served.chat(CHAT).await, (200, SAID.to_owned()));
    served.end().await;
    let events = read(&served);
    let kinds: Vec<_> =
        events.iter().map(|event| (&*event.envelope.kind, &*event.envelope.phase)).collect();
    assert!(kinds.contains(&("llm.call", "start")) && kinds.contains(&("llm.call", "end")));
    assert!(kinds.contains(&("producer.gap", "complete")), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fail_closed_route_breaks_an_answer_off_whose_end_is_not_on_record() {
    for streamed in [true, false] {
        let (api, streams) = if streamed {
            Api::streaming().await
        } else {
            (Api::saying(SAID).await, std::sync::Arc::default())
        };
        let served = small(config(&api, |upstream| upstream.on_failure = OnFailure::Closed)).await;
        let sent = served.client.post(served.llm("/v1/chat/completions")).body(CHAT).send();
        if streamed {
            let answer = sent.await.unwrap();
            fill(&served);
            let stream = next(&streams).await;
            stream.send(part("data: [DONE]\n\n")).await.unwrap();
            drop(stream);
            assert!(answer.text().await.is_err(), "it never ends");
        } else {
            // The request is on record and answered by then, or turned away.
            let answer = sent.await.unwrap();
            assert_eq!(answer.text().await.unwrap(), SAID);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_to_keep_passes_and_is_on_record_as_cut_short() {
    let text: &'static str = "x".repeat(50_000).leak();
    let api = Api::saying(text).await;
    let mut served = before(&api, |upstream| upstream.exchange_bytes_max = 10_000).await;
    assert_eq!(served.chat(CHAT).await, (200, text.to_owned()));
    served.end().await;
    let events = read(&served);
    let envelope = &events[0].envelope;
    assert_eq!(envelope.capture_fidelity, "truncated");
    let kept = events[0].rebuilt(&events[0].http()[1]).len();
    assert_eq!(envelope.source_dropped, Some(u64::try_from(50_000 - kept).unwrap()));

    let closed = before(&api, |upstream| {
        (upstream.exchange_bytes_max, upstream.on_failure) = (10_000, OnFailure::Closed);
    })
    .await;
    let request = closed.client.post(closed.llm("/v1/chat/completions")).body("x".repeat(20_000));
    assert_eq!(request.send().await.unwrap().status().as_u16(), 413);
    let request = closed.client.post(closed.llm("/v1/chat/completions")).body(CHAT);
    // The end of its head may go with what breaks off.
    if let Ok(answer) = request.send().await {
        assert!(answer.text().await.is_err());
    }
}
