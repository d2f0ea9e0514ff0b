//! SHELL: the recorder of a route: one bounded queue and one thread that empties it, so that exchanges are read in the order
//! in which they ended, and those that come together are admitted together.

#![expect(clippy::disallowed_methods, reason = "exchanges are told of when they have lasted")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use capture::Happening;
use schemas::SessionId;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::exchange::{Exchange, Item, Told};
use super::losses::Loss;
use super::read::{self, Reader};
use super::route::Route;
use super::sessions::Sessions;
use crate::auth::Credential;
use crate::budget::Reservation;
use crate::error::Error;
use crate::gateway::{Gateway, Request, Submitted};
use crate::load::Load;
use crate::refusal::{Code, Refusal};

/// Exchanges that wait for the recorder. Their bytes are bounded by the gateway's `in_flight_bytes_max`.
const ITEMS_MAX: usize = 16_384;
/// Exchanges admitted together.
const BATCH_MAX: usize = 64;
/// How long exchanges gather. A kill forgets those of this time too.
const GATHER_TIME: Duration = Duration::from_millis(5);
/// How soon after a loss it is told of, and after that was in vain, again.
const LOSS_PAUSE: Duration = Duration::from_secs(1);
/// How long it sleeps where nothing is known to come.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// Empties a route's queue.
struct Recorder {
    gateway: Arc<Gateway>,
    route: Arc<Route>,
    reader: Reader,
    runtime: Handle,
    tasks: TaskTracker,
    /// Where losses are told of.
    session: Option<SessionId>,
    losses_at: Instant,
}

/// An event to be admitted, and the room that its exchange takes.
struct Entry {
    happenings: Vec<Happening>,
    room: Option<Reservation>,
    waiting: Waiting,
}

/// Whose event it is, and who is told whether it is durable.
struct Waiting {
    exchange: Arc<Exchange>,
    /// How many events it has.
    count: usize,
    is_end: bool,
    told: Option<Told>,
}

/// Starts the recorder of a route.
pub(crate) fn start(
    gateway: &Arc<Gateway>,
    route: &Arc<Route>,
    sessions: &Arc<Mutex<Sessions>>,
) -> Result<SyncSender<Item>, Error> {
    let (queue, items) = sync_channel(ITEMS_MAX);
    let recorder = Recorder {
        gateway: Arc::clone(gateway),
        route: Arc::clone(route),
        reader: Reader::new(Arc::clone(sessions), route),
        runtime: Handle::current(),
        tasks: TaskTracker::new(),
        session: None,
        losses_at: Instant::now(),
    };
    let thread = std::thread::Builder::new().name(route.speech.name().to_owned());
    let thread = thread.spawn(move || recorder.run(&items));
    thread.map_err(|source| Error::Thread { source })?;
    Ok(queue)
}

impl Recorder {
    fn run(mut self, items: &Receiver<Item>) {
        let mut wait = SLEEP_MAX;
        loop {
            let first = match items.recv_timeout(wait) {
                Ok(item) => Some(item),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let (mut entries, mut ends) = (Vec::new(), Vec::new());
            for item in self.batch(first, items) {
                match item {
                    Item::End(done) => ends.push(done),
                    item => self.read(item, &mut entries),
                }
            }
            let (due, next) = self.route.take_due(Instant::now());
            for exchange in due {
                self.read(Item::Asked(exchange, None), &mut entries);
            }
            self.admit(&mut entries);
            self.tell_of_losses();
            for done in ends {
                self.end();
                done.send(()).ok();
            }
            wait = self.wait(next);
        }
    }

    /// What is to be done now. Where nobody waits for it, it gathers for a moment: together it costs less.
    fn batch(&self, first: Option<Item>, items: &Receiver<Item>) -> Vec<Item> {
        let mut batch: Vec<Item> = first.into_iter().collect();
        batch.extend(items.try_iter().take(BATCH_MAX.saturating_sub(batch.len())));
        let is_urgent = batch.iter().any(|item| matches!(item, Item::End(_)));
        let is_short = (1..BATCH_MAX).contains(&batch.len());
        if is_short && !is_urgent && !self.route.is_closed() {
            std::thread::sleep(GATHER_TIME);
            batch.extend(items.try_iter().take(BATCH_MAX.saturating_sub(batch.len())));
        }
        batch
    }

    /// Until something is to be done that nobody tells of.
    fn wait(&self, due: Option<Instant>) -> Duration {
        let loss = !self.route.losses().is_empty() || !self.tasks.is_empty();
        let loss = loss.then_some(self.losses_at);
        let next = due.into_iter().chain(loss).min();
        next.map_or(SLEEP_MAX, |next| next.saturating_duration_since(Instant::now()))
    }

    /// Reads an exchange. Whatever it holds, the next one is read too.
    fn read(&mut self, item: Item, entries: &mut Vec<Entry>) {
        let (exchange, ended, told) = match item {
            Item::Asked(exchange, told) => (exchange, None, told),
            Item::Over(exchange, ended, told) => (exchange, Some(ended), told),
            Item::Look | Item::End(_) => return,
        };
        let is_begun = |entry: &Entry| Arc::ptr_eq(&entry.waiting.exchange, &exchange);
        if entries.iter().any(is_begun) {
            // Its end names the event that told of its beginning.
            self.admit(entries);
        }
        let (reader, traces) = (&mut self.reader, &self.gateway.traces);
        let read = catch_unwind(AssertUnwindSafe(|| match ended {
            None => reader.start(&exchange, traces).map(|happening| (vec![happening], None)),
            Some(ended) => reader.end(&exchange, ended, traces),
        }));
        let mut waiting = Waiting { exchange, count: 0, is_end: ended.is_some(), told };
        match read {
            // What was asked waits for an answer that comes otherwise.
            Ok(Some((happenings, _))) if happenings.is_empty() => waiting.settle(true, "internal"),
            Ok(Some((happenings, room))) => {
                waiting.count = happenings.len();
                entries.push(Entry { happenings, room, waiting });
            }
            Ok(None) => waiting.settle(false, "internal"),
            Err(_) => {
                tracing::error!(route = self.route.name, "an exchange could not be read");
                waiting.settle(false, "internal");
            }
        }
    }

    /// Hands events to the gateway, those of one credential together.
    fn admit(&mut self, entries: &mut Vec<Entry>) {
        let mut entries = std::mem::take(entries).into_iter().peekable();
        while let Some(first) = entries.next() {
            let credential = first.waiting.exchange.credential.clone();
            let mut batch = vec![first];
            let is_same = |next: &Entry| next.waiting.exchange.credential == credential;
            while let Some(next) = entries.next_if(is_same) {
                batch.push(next);
            }
            self.admit_batch(&credential, batch);
        }
    }

    /// All of them; or, where one of them is refused, each by itself.
    fn admit_batch(&self, credential: &Credential, batch: Vec<Entry>) {
        let (mut happenings, mut waiting) = (Vec::new(), Vec::new());
        let mut reservation: Option<Reservation> = None;
        for entry in batch {
            happenings.extend(entry.happenings);
            waiting.push(entry.waiting);
            match (&mut reservation, entry.room) {
                (Some(all), Some(room)) => all.merge(room),
                (None, room) => reservation = room,
                (Some(_), None) => {}
            }
        }
        let happenings = Arc::new(happenings);
        match self.submit(credential, Arc::clone(&happenings), reservation) {
            Ok(submitted) => self.wait_for(submitted, waiting),
            Err(refusal) if is_for_all(&refusal) || waiting.len() == 1 => {
                let reason = reason(&refusal);
                tracing::debug!(reason, message = refusal.message, "exchanges were refused");
                waiting.into_iter().for_each(|waiting| waiting.settle(false, reason));
            }
            Err(_) => {
                let mut rest = happenings.as_slice();
                for waiting in waiting {
                    let (own, after) = rest.split_at_checked(waiting.count).unwrap_or((rest, &[]));
                    rest = after;
                    let alone = Arc::new(own.to_vec());
                    match self.submit(credential, alone, None) {
                        Ok(submitted) => self.wait_for(submitted, vec![waiting]),
                        Err(refusal) => waiting.settle(false, reason(&refusal)),
                    }
                }
            }
        }
    }

    fn submit(
        &self,
        credential: &Credential,
        happenings: Arc<Vec<Happening>>,
        reservation: Option<Reservation>,
    ) -> Result<Submitted, Refusal> {
        let reservation = reservation.map_or_else(|| self.gateway.budget.reserve(), Ok)?;
        let (load, credential) = (Load::Happenings(happenings), credential.clone());
        let capture_point = self.route.speech.proxy();
        let request = Request { load, capture_point, credential, reservation };
        self.runtime.block_on(self.gateway.admit(request))
    }

    fn wait_for(&self, submitted: Submitted, waiting: Vec<Waiting>) {
        let mut ids = submitted.event_ids();
        for waiting in &waiting {
            let first = ids.by_ref().take(waiting.count).next();
            if !waiting.is_end {
                waiting.exchange.begun(first);
            }
        }
        drop(ids);
        let gateway = Arc::clone(&self.gateway);
        let wait = async move {
            let is_durable = gateway.wait(submitted).await.is_ok();
            waiting.into_iter().for_each(|waiting| waiting.settle(is_durable, "unavailable"));
        };
        self.tasks.spawn_on(wait, &self.runtime);
    }

    /// Has events tell of what is not on record, in a session of the gateway's own.
    fn tell_of_losses(&mut self) {
        if self.losses_at > Instant::now() {
            return;
        }
        self.losses_at = Instant::now() + LOSS_PAUSE;
        for loss in self.route.losses().take() {
            let session = self.session.take().or_else(|| self.reader.session());
            let mut happening = read::stamped(
                loss.happening(&self.route.name, self.route.speech.proxy()),
                &self.route,
                None,
            );
            happening.envelope.session_id =
                session.as_ref().map(ToString::to_string).unwrap_or_default().into();
            self.session = session;
            match self.submit(&loss.credential, Arc::new(vec![happening]), None) {
                Ok(submitted) => self.wait_for_loss(submitted, loss),
                Err(_) => self.route.losses().put(loss),
            }
        }
    }

    fn wait_for_loss(&self, submitted: Submitted, loss: Loss) {
        let (gateway, route) = (Arc::clone(&self.gateway), Arc::clone(&self.route));
        let wait = async move {
            if gateway.wait(submitted).await.is_ok() {
                let (route, count) = (&route.name, loss.count());
                tracing::warn!(route, count, "an event tells of exchanges that are not on record");
            } else {
                route.losses().put(loss);
            }
        };
        self.tasks.spawn_on(wait, &self.runtime);
    }

    /// Waits for what is on its way to the log, and tells of losses a last time.
    fn end(&mut self) {
        for (credential, happenings) in self.reader.unanswered() {
            let count = happenings.len();
            match self.submit(&credential, happenings.into(), None) {
                Ok(submitted) => self.wait_for(submitted, Vec::new()),
                Err(_) => tracing::error!(count, "requests without an answer are not on record"),
            }
        }
        for _ in 0..2 {
            self.tasks.close();
            self.runtime.block_on(self.tasks.wait());
            self.tasks.reopen();
            self.losses_at = Instant::now();
            self.tell_of_losses();
        }
        self.tasks.close();
        self.runtime.block_on(self.tasks.wait());
        for loss in self.route.losses().take() {
            let (route, count) = (&self.route.name, loss.count());
            tracing::error!(route, count, "exchanges are not on record, and no event tells of it");
        }
    }
}

impl Waiting {
    fn settle(self, is_durable: bool, reason: &'static str) {
        let Self { exchange, is_end, told, .. } = self;
        if !is_durable && !is_end {
            exchange.begun(None);
        }
        if !is_durable && (is_end || exchange.route.is_closed()) {
            exchange.route.lost(&exchange.credential, exchange.began, reason);
        }
        if let Some(told) = told {
            told.send(is_durable).ok();
        }
    }
}

/// Whether others beside it would be refused too.
fn is_for_all(refusal: &Refusal) -> bool {
    matches!(refusal.code, Code::Unavailable | Code::Internal)
}

fn reason(refusal: &Refusal) -> &'static str {
    match refusal.code {
        Code::Unavailable => "unavailable",
        Code::TooLarge | Code::LimitExceeded => "too_large",
        Code::Internal => "internal",
        _ => "refused",
    }
}
