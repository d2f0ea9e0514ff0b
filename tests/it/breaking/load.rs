//! Agents: clients of several tenants, each with several sessions, that send until they are told to stop and remember what
//! they have been told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

const AGENTS: u64 = 6;
/// Sessions that an agent has open at a time.
const SESSIONS: u64 = 3;
/// Events after which a session is over.
const SESSION_EVENTS: u64 = 200;
/// Times that a request is sent before the agent gives it up: what it holds may be there or not.
const TRIES: usize = 20;
/// Between requests, and before a request is sent again: a load, not a flood.
const PAUSE: Duration = Duration::from_millis(20);
/// What takes longer than so many pauses will never be.
const LOOKS: usize = 6000;
const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) const TENANTS: [&str; 2] = ["acme", "globex"];

/// Ids of acknowledged events, of each tenant and session, in the order in which they were sent.
pub(crate) type Acknowledged = BTreeMap<(String, String), Vec<String>>;

/// What the agents share.
#[derive(Default)]
pub(crate) struct Load {
    url: Mutex<String>,
    stop: AtomicBool,
    count: AtomicU64,
    refused: AtomicU64,
}

/// The agents at work.
pub(crate) struct Agents {
    pub(crate) load: Arc<Load>,
    tasks: JoinSet<Acknowledged>,
}

impl Agents {
    /// Starts them; `keys` has one for each tenant.
    pub(crate) fn start(url: String, keys: &[String; TENANTS.len()]) -> Self {
        let load = Arc::new(Load { url: Mutex::new(url), ..Load::default() });
        let mut tasks = JoinSet::new();
        for agent in 0..AGENTS {
            let tenant = agent as usize % TENANTS.len();
            let work = Arc::clone(&load).work(agent, TENANTS[tenant], keys[tenant].clone());
            tasks.spawn(work);
        }
        Self { load, tasks }
    }

    /// Stops them; what each has been told.
    pub(crate) async fn stop(self) -> Acknowledged {
        self.load.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await.into_iter().flatten().collect()
    }
}

impl Load {
    /// Where the gateway is now.
    pub(crate) fn set_url(&self, url: String) {
        *self.url.lock().unwrap() = url;
    }

    /// Acknowledged events.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Requests that were answered with 503.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits until so many more events are acknowledged.
    pub(crate) async fn get_on(&self, events: u64) {
        reaches(|| self.count(), events).await;
    }

    /// Waits until so many more requests are answered with 503.
    pub(crate) async fn get_refused(&self, requests: u64) {
        reaches(|| self.refused(), requests).await;
    }

    async fn work(self: Arc<Self>, agent: u64, tenant: &str, key: String) -> Acknowledged {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build().unwrap();
        let mut told = Acknowledged::new();
        let mut number = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let lane = number % SESSIONS;
            let session = format!("s-{agent}-{lane}-{}", number / (SESSIONS * SESSION_EVENTS));
            let ids: Vec<String> =
                (0..1 + number % 3).map(|event| id(agent, number, event)).collect();
            if self.send(&http, &key, request(&session, &ids)).await {
                self.count.fetch_add(ids.len() as u64, Ordering::Relaxed);
                told.entry((tenant.to_owned(), session)).or_default().extend(ids);
            }
            number += 1;
            tokio::time::sleep(PAUSE).await;
        }
        told
    }

    /// Sends it until it is acknowledged, or given up.
    async fn send(&self, http: &reqwest::Client, key: &str, body: String) -> bool {
        for _ in 0..TRIES {
            let url = format!("{}/v1/events", self.url.lock().unwrap());
            let request = http.post(url).header("content-type", "application/json");
            match request.bearer_auth(key).body(body.clone()).send().await {
                Ok(answer) if answer.status() == 200 => return true,
                Ok(answer) => {
                    assert_eq!(answer.status(), 503, "{:?}", answer.text().await);
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE * 5).await;
        }
        false
    }
}

/// Waits until the count is so much more than now.
async fn reaches(count: impl Fn() -> u64, more: u64) {
    let goal = count() + more;
    for _ in 0..LOOKS {
        if count() >= goal {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("the load stands still: {} of {goal}", count());
}

/// A UUIDv7 that no other event has.
fn id(agent: u64, number: u64, event: u64) -> String {
    let bits = u128::from(agent) << 80 | u128::from(number) << 8 | u128::from(event);
    uuid::Uuid::from_u128(bits | 7 << 76 | 2 << 62).to_string()
}

/// The same bytes however often it is sent, so that repeats collapse.
fn request(session: &str, ids: &[String]) -> String {
    let event = |id: &String| {
        json!({
            "event_id": id, "session_id": session, "kind": "user.message",
            "occurred_at": "2026-01-01T00:00:00Z",
            "contents": [
                {"role": "user", "kind": "text", "text": format!("{id} {}", "x".repeat(300))},
                {"role": "system", "kind": "text", "text": format!("the same in all of {session}")},
            ],
        })
    };
    Value::from(ids.iter().map(event).collect::<Vec<_>>()).to_string()
}
