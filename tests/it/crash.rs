//! SIGKILL, again and again, under load: whatever was answered with 200 is sealed, once, in one chain.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::binary::{Service, expect, up_with, verified};

const KILLS: u64 = 50;
const CLIENTS: u64 = 4;

/// What the clients have been told: ids of events that were answered with 200.
type Acknowledged = Arc<Mutex<BTreeSet<String>>>;

/// Posts requests of a few events each until the server is gone. Every fourth request is sent again: a client that got no
/// answer does that.
async fn load(url: String, client: u64, next: Arc<AtomicU64>, acknowledged: Acknowledged) {
    let http = reqwest::Client::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let ids: Vec<String> = (0..3)
            .map(|event| uuid::Uuid::from_u128(u128::from(number * 4 + event) | 7 << 76 | 2 << 126))
            .map(|id| id.to_string())
            .collect();
        let event = |id: &String| {
            serde_json::json!({
                "event_id": id, "session_id": format!("s-{client}-{}", number % 5), "kind": "user.message",
                "occurred_at": "2026-01-01T00:00:00Z",
                "contents": [{"role": "user", "kind": "text", "text": format!("{id} {}", "x".repeat(500))}],
            })
        };
        let body = serde_json::Value::from(ids.iter().map(event).collect::<Vec<_>>()).to_string();
        for _ in 0..if number.is_multiple_of(4) { 2 } else { 1 } {
            let sent = http
                .post(format!("{url}/v1/events"))
                .header("content-type", "application/json")
                .body(body.clone())
                .send()
                .await;
            let Ok(answer) = sent else { return };
            if answer.status() == 200 {
                acknowledged.lock().unwrap().extend(ids.iter().cloned());
            }
        }
    }
}

fn start(dir: &Path) -> Service {
    // So small that kills fall into sealing as often as into appending.
    up_with(dir, "sealer.segment_rows_max=40")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_under_load_lose_nothing_and_fork_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir");
    let acknowledged = Acknowledged::default();
    let next = Arc::new(AtomicU64::new(0));
    for kill in 0..KILLS {
        let up = start(&dir);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| tokio::spawn(load(up.url(), client, next.clone(), acknowledged.clone())))
            .collect();
        // A different moment of the work each time.
        tokio::time::sleep(Duration::from_millis(20 + kill * 37 % 300)).await;
        assert_eq!(up.end("-KILL"), None);
        for client in clients {
            client.await.unwrap();
        }
    }
    assert_eq!(start(&dir).end("-TERM"), Some(0));

    let dir = dir.to_str().unwrap();
    let events = verified(dir);
    let exported = expect(0, &["export", dir, "--as", "jsonl"]);
    let sealed: Vec<String> = exported
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|event| event["envelope"]["event_id"].as_str().unwrap().to_owned())
        .collect();
    let distinct: BTreeSet<String> = sealed.iter().cloned().collect();
    let acknowledged = acknowledged.lock().unwrap();
    let lost: Vec<&String> = acknowledged.difference(&distinct).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged events are lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    assert_eq!(sealed.len(), distinct.len(), "a reader is shown an event twice");
    assert!(
        acknowledged.len() > 1000,
        "{} acknowledged, {events} sealed: hardly a load",
        acknowledged.len()
    );
}
