//! SHELL: the recorder of a route: threads that empty its queue. They read side by side; what they read becomes events in the
//! order in which exchanges ended, and those that come together are admitted together.

#![expect(clippy::disallowed_methods, reason = "exchanges are told of when they have lasted")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use capture::Happening;
use capture::llm::Ended;
use schemas::SessionId;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::exchange::{Exchange, Item, Told};
use super::losses::Loss;
use super::queue::{Batch, Queue};
use super::read::{self, Read, Reader};
use super::route::Route;
use super::sessions::Sessions;
use super::target::Speech;
use crate::auth::Credential;
use crate::budget::Reservation;
use crate::error::Error;
use crate::gateway::{Gateway, Request};
use crate::load::Load;
use crate::random::Random;
use crate::refusal::{Code, Refusal};
use crate::submitted::Submitted;

/// Threads of a route. Events are made and admitted by one at a time, which costs about as much as reading.
const THREADS_MAX: usize = 4;
/// How soon after a loss it is told of, and after that was in vain, again.
const LOSS_PAUSE: Duration = Duration::from_secs(1);

/// Empties a route's queue.
struct Recorder {
    gateway: Arc<Gateway>,
    route: Arc<Route>,
    queue: Queue,
    runtime: Handle,
    tasks: TaskTracker,
    desk: Mutex<Desk>,
}

/// What is used in turn.
struct Desk {
    reader: Reader,
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

/// What came of reading an item by itself.
enum Reading {
    Nothing,
    End(oneshot::Sender<()>),
    Exchange { waiting: Waiting, ended: Option<Ended>, read: Option<Read> },
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
    let (sender, queue) = Queue::new();
    let reader = Reader::new(Arc::clone(sessions), route);
    let recorder = Arc::new(Recorder {
        gateway: Arc::clone(gateway),
        route: Arc::clone(route),
        queue,
        runtime: Handle::current(),
        tasks: TaskTracker::new(),
        desk: Mutex::new(Desk { reader, session: None, losses_at: Instant::now() }),
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = match route.speech {
        Speech::Llm => cores.min(THREADS_MAX),
        // All of it is read in turn.
        Speech::Mcp => 1,
    };
    for _ in 0..threads {
        let recorder = Arc::clone(&recorder);
        let thread = std::thread::Builder::new().name(route.speech.name().to_owned());
        let thread = thread.spawn(move || recorder.run());
        thread.map_err(|source| Error::Thread { source })?;
    }
    Ok(sender)
}

impl Recorder {
    fn run(&self) {
        let mut random = Random::new();
        let losses = || !self.route.losses().is_empty() || !self.tasks.is_empty();
        let loss_pause = || losses().then_some(LOSS_PAUSE);
        while let Some(Batch { items, turn }) = self.queue.take(&self.route, loss_pause) {
            let read = |item| self.read(item, &mut random);
            let readings: Vec<Reading> = items.into_iter().map(read).collect();
            turn.wait();
            self.record(readings, &mut self.desk.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Reads an exchange by itself. Whatever it holds, the next one is read too.
    fn read(&self, item: Item, random: &mut Random) -> Reading {
        let (exchange, ended, told) = match item {
            Item::Asked(exchange, told) => (exchange, None, told),
            Item::Over(exchange, ended, told) => (exchange, Some(ended), told),
            Item::Look => return Reading::Nothing,
            Item::End(done) => return Reading::End(done),
        };
        let read = catch_unwind(AssertUnwindSafe(|| read::read(&exchange, ended, random)));
        let read = read.unwrap_or_else(|_| self.failed());
        let waiting = Waiting { exchange, count: 0, is_end: ended.is_some(), told };
        Reading::Exchange { waiting, ended, read }
    }

    fn failed<T>(&self) -> Option<T> {
        tracing::error!(route = self.route.name, "an exchange could not be read");
        None
    }

    /// Makes events of what was read, and hands them on.
    fn record(&self, readings: Vec<Reading>, desk: &mut Desk) {
        let (mut entries, mut ends) = (Vec::new(), Vec::new());
        for reading in readings {
            match reading {
                Reading::Nothing => {}
                Reading::End(done) => ends.push(done),
                Reading::Exchange { waiting, ended, read } => {
                    self.enter(waiting, ended, read, desk, &mut entries);
                }
            }
        }
        self.admit(&mut entries);
        self.tell_of_losses(desk);
        for done in ends {
            self.end(desk);
            done.send(()).ok();
        }
    }

    fn enter(
        &self,
        mut waiting: Waiting,
        ended: Option<Ended>,
        read: Option<Read>,
        desk: &mut Desk,
        entries: &mut Vec<Entry>,
    ) {
        let is_begun = |entry: &Entry| Arc::ptr_eq(&entry.waiting.exchange, &waiting.exchange);
        if entries.iter().any(is_begun) {
            // Its end names the event that told of its beginning.
            self.admit(entries);
        }
        let (exchange, traces) = (&waiting.exchange, &self.gateway.traces);
        let reader = &mut desk.reader;
        let told = catch_unwind(AssertUnwindSafe(|| match (read?, ended) {
            (Read::Asked(asked), _) => reader.start(exchange, *asked, traces),
            (Read::Over(over), _) => reader.whole(exchange, *over, traces),
            (Read::InTurn, ended) => reader.in_turn(exchange, ended?, traces),
        }));
        match told.unwrap_or_else(|_| self.failed()) {
            // What was asked waits for an answer that comes otherwise.
            Some((happenings, _)) if happenings.is_empty() => waiting.settle(true, "internal"),
            Some((happenings, room)) => {
                waiting.count = happenings.len();
                entries.push(Entry { happenings, room, waiting });
            }
            None => waiting.settle(false, "internal"),
        }
    }

    /// Hands events to the gateway, those of one credential together.
    fn admit(&self, entries: &mut Vec<Entry>) {
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
        let begun = catch_unwind(AssertUnwindSafe(|| self.gateway.begin(request)));
        let begun = begun.unwrap_or_else(|_| {
            tracing::error!(route = self.route.name, "events could not be taken");
            Err(Refusal::new(Code::Internal, "the gateway failed on this request"))
        })?;
        self.runtime.block_on(self.gateway.finish(begun))
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
    fn tell_of_losses(&self, desk: &mut Desk) {
        if desk.losses_at > Instant::now() {
            return;
        }
        desk.losses_at = Instant::now() + LOSS_PAUSE;
        for loss in self.route.losses().take() {
            let session = desk.session.take().or_else(|| desk.reader.session());
            let mut happening = read::stamped(
                loss.happening(&self.route.name, self.route.speech.proxy()),
                &self.route,
                None,
            );
            happening.envelope.session_id =
                session.as_ref().map(ToString::to_string).unwrap_or_default().into();
            desk.session = session;
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
    fn end(&self, desk: &mut Desk) {
        for (credential, happenings) in desk.reader.unanswered() {
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
            desk.losses_at = Instant::now();
            self.tell_of_losses(desk);
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
