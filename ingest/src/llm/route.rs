//! SHELL: the way to one upstream: its client, its count of exchanges, and which of them are not on record.

#![expect(clippy::disallowed_methods, reason = "exchanges are told of when they have lasted")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue};
use schemas::Micros;

use super::client::{self, Sender};
use super::config::{Address, OnFailure, Upstream};
use super::exchange::Exchange;
use super::losses::Losses;
use super::metrics::Counters;
use super::target::Speech;
use crate::auth::Credential;
use crate::error::Error;
use crate::gateway::Gateway;

/// Milliseconds between two parts of an answer, unless a setting says otherwise.
const MODEL_PAUSE_MS: u64 = 300_000;
const SERVER_PAUSE_MS: u64 = 24 * 3_600_000;
/// Exchanges that wait for their time to be told of. Of more it is told when they are over.
const DUE_MAX: usize = 1 << 16;

/// One upstream.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) speech: Speech,
    pub(crate) name: String,
    pub(crate) upstream: Upstream,
    pub(crate) address: Address,
    /// The upstream's `Host`.
    pub(crate) host: HeaderValue,
    pub(crate) session_header: Option<HeaderName>,
    pub(crate) sender: Sender,
    /// Who counts, in the events.
    pub(crate) producer_id: String,
    pub(crate) producer_epoch: u64,
    pub(crate) counters: Counters,
    next: AtomicU64,
    dropped: AtomicU64,
    losses: Mutex<Losses>,
    /// By the time at which they are told of; all wait equally long.
    due: Mutex<VecDeque<(Instant, Weak<Exchange>)>>,
}

impl Route {
    pub(crate) fn new(
        speech: Speech,
        name: &str,
        upstream: Upstream,
        gateway: &Gateway,
    ) -> Result<Self, Error> {
        let field = speech.name();
        let wrong = |why: &str| Error::Config { field, why: format!("has {name}: {why}") };
        let label = match speech {
            Speech::Llm => name.to_owned(),
            Speech::Mcp => format!("mcp/{name}"),
        };
        let address = upstream.address().map_err(wrong)?;
        let host = HeaderValue::from_str(address.authority.as_str());
        let session_header = upstream.session_header();
        Ok(Self {
            speech,
            name: name.to_owned(),
            host: host.map_err(|_| wrong("its host is no header"))?,
            session_header: session_header.map_err(|()| wrong("session_header is no header"))?,
            sender: client::client(&upstream).map_err(|why| wrong(&why))?,
            producer_id: format!("{}/{field}/{name}", gateway.config.gateway_id),
            producer_epoch: u64::try_from(gateway.epoch).unwrap_or_default(),
            counters: gateway.metrics.llm.of(&label),
            next: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            losses: Mutex::default(),
            due: Mutex::default(),
            address,
            upstream,
        })
    }

    pub(crate) fn answer_pause_ms(&self) -> u64 {
        let usual = match self.speech {
            Speech::Llm => MODEL_PAUSE_MS,
            Speech::Mcp => SERVER_PAUSE_MS,
        };
        self.upstream.answer_pause_ms.unwrap_or(usual)
    }

    /// Whether an event tells of an exchange that takes a while when it begins. Messages of MCP are told of when they are
    /// answered.
    pub(crate) fn tells_of_starts(&self) -> bool {
        self.speech == Speech::Llm
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.upstream.on_failure == OnFailure::Closed
    }

    /// The number of an exchange that begins now.
    pub(crate) fn begin(&self) -> u64 {
        self.counters.begun();
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// How many exchanges are not on record so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// An exchange that began then is not on record.
    pub(crate) fn lost(&self, credential: &Credential, began: Micros, reason: &'static str) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.counters.unrecorded(reason);
        if self.losses().add(credential, began, reason) {
            tracing::warn!(route = self.name, reason, "exchanges are not recorded");
        }
    }

    pub(crate) fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the exchange told of in time; says whether the recorder does not know that there is a time to wait for.
    pub(crate) fn due(&self, exchange: &Arc<Exchange>) -> bool {
        let at = Instant::now() + Duration::from_millis(self.upstream.start_after_ms);
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        while due.front().is_some_and(|(_, exchange)| exchange.strong_count() == 0) && due.len() > 1
        {
            due.pop_front();
        }
        if due.len() < DUE_MAX {
            due.push_back((at, Arc::downgrade(exchange)));
        }
        due.len() == 1
    }

    /// The exchanges whose time has come, and when that of the next one does.
    pub(crate) fn take_due(&self, now: Instant) -> (Vec<Arc<Exchange>>, Option<Instant>) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        while let Some((at, exchange)) = due.front() {
            let exchange = exchange.upgrade();
            if exchange.is_some() && *at > now {
                break;
            }
            taken.extend(exchange.filter(|exchange| exchange.is_due()));
            due.pop_front();
        }
        let next = due.front().map(|(at, _)| *at);
        (taken, next)
    }
}
