//! SHELL: a recorder, from its start to its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use schemas::{Invalid, SessionId, Tenant, TraceId};

use crate::config::{Config, Target};
use crate::content::Content;
use crate::encode::Identity;
use crate::error::Error;
use crate::event::Event;
use crate::http::Http;
use crate::kafka::Kafka;
use crate::queue::State;
use crate::sender::{Door, Sender, Trouble};
use crate::session::Session;
use crate::shared::Shared;
use crate::source::{self, Random};
use crate::stats::Stats;

/// Sessions known at most, living or not, before the dead are looked for.
const DEAD_MAX: usize = 1024;

/// Records the sessions of one process. Clones are the same recorder.
///
/// Recording neither waits nor fails. What cannot be kept is counted, and the record says so.
#[derive(Clone, Debug)]
pub struct Recorder {
    handle: Arc<Handle>,
}

/// What recorders and sessions share; the sender ends after the last one.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    sessions: Mutex<HashMap<SessionId, Weak<State>>>,
}

/// How a session begins.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Its id, 1 to 512 bytes, which ought to be unguessable. A new UUIDv7 where absent.
    pub id: Option<String>,
    /// On whose behalf the agent acts, in every event: `user`, `service` or `organisation`, and a pseudonym.
    pub principal: Option<(String, String)>,
    /// The W3C trace it belongs to, in every event.
    pub trace_id: Option<TraceId>,
    /// The session that started this one.
    pub parent_session_id: Option<String>,
    /// Whatever else its start says.
    pub contents: Vec<Content>,
}

impl Recorder {
    /// Starts the thread that sends. It does not wait for the target to be there.
    ///
    /// # Errors
    /// Settings that make no sense, or a system that gives no thread.
    pub fn start(config: Config) -> Result<Self, Error> {
        config.check()?;
        let mut random = Random::new();
        random.draw()?;
        let batch = (config.batch_events_max, config.batch_bytes_max);
        let shared = Arc::new(Shared::new(config.queue_bytes_max, batch));
        let sender = Sender {
            identity: identity(&config)?,
            door: door(&config, &shared)?,
            shared: Arc::clone(&shared),
            random,
            linger: Duration::from_millis(config.linger_ms),
            backoff_max_ms: config.backoff_max_ms,
            trouble: Trouble::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| Error::Thread { source })?;
        let ending = Ending(Arc::clone(&shared));
        let work = move || {
            let _ending = ending;
            runtime.block_on(sender.run(&config));
        };
        let thread = std::thread::Builder::new().name("recorder".to_owned()).spawn(work);
        thread.map_err(|source| Error::Thread { source })?;
        Ok(Self { handle: Arc::new(Handle { shared, sessions: Mutex::default() }) })
    }

    /// Begins a session with a new id.
    #[must_use]
    pub fn session(&self) -> Session {
        match self.session_with(Opening::default()) {
            Ok(session) => session,
            Err(error) => unreachable!("a UUID is a session id: {error}"),
        }
    }

    /// Begins a session; or is one more handle on it, if somebody holds it: then it has begun.
    ///
    /// # Errors
    /// An id that is not 1 to 512 bytes long.
    pub fn session_with(&self, opening: Opening) -> Result<Session, Invalid> {
        let id = opening.id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        let id = SessionId::new(&id)?;
        let Opening { principal, trace_id, parent_session_id, contents, .. } = opening;
        let (state, is_new) = self.handle.state(&id, || {
            let mut state = State::new(id.clone(), true);
            (state.principal, state.trace_id) = (principal, trace_id);
            state
        });
        let session = Session::new(Arc::clone(&self.handle), state);
        if is_new {
            let mut event = Event::new("session.start");
            event.envelope.parent_session_id = parent_session_id.map(Into::into);
            event.contents = contents;
            session.record(event);
        }
        Ok(session)
    }

    /// Goes on with a session that began elsewhere, or here: in another process, or before this one was restarted. Its
    /// events are not counted from 0, since others were counted before.
    ///
    /// # Errors
    /// An id that is not 1 to 512 bytes long.
    pub fn resume(&self, id: &str) -> Result<Session, Invalid> {
        let id = SessionId::new(id)?;
        let (state, _) = self.handle.state(&id, || State::new(id.clone(), false));
        Ok(Session::new(Arc::clone(&self.handle), state))
    }

    /// What became of the events so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.handle.shared.queue().stats()
    }

    /// Waits until everything recorded so far is acknowledged, refused or dropped. It blocks the thread; in async code
    /// use [`Self::flushed`].
    ///
    /// # Errors
    /// [`Error::Unfinished`] where that takes longer. The recorder goes on.
    pub fn flush(&self, timeout: Duration) -> Result<Stats, Error> {
        let shared = &self.handle.shared;
        let target = shared.hurry();
        self.outcome(shared.wait(timeout, |queue| queue.left >= target))
    }

    /// As [`Self::flush`], for as long as it takes, in any executor.
    pub async fn flushed(&self) -> Stats {
        let shared = &self.handle.shared;
        let target = shared.hurry();
        shared.wait_async(|queue| queue.left >= target).await;
        self.stats()
    }

    /// Ends recording: what is here is sent, in the time given; what comes later is dropped and counted. It blocks the
    /// thread.
    ///
    /// # Errors
    /// [`Error::Unfinished`] where not everything could be sent in time. Then it is given up.
    pub fn close(&self, timeout: Duration) -> Result<Stats, Error> {
        let shared = &self.handle.shared;
        shared.close();
        let done = shared.wait(timeout, |queue| queue.has_ended);
        shared.abandoned.cancel();
        self.outcome(done && self.stats().pending == 0)
    }

    fn outcome(&self, done: bool) -> Result<Stats, Error> {
        let stats = self.stats();
        if done { Ok(stats) } else { Err(Error::Unfinished { stats: Box::new(stats) }) }
    }
}

impl Handle {
    /// The session as it is known for as long as somebody holds it, and whether it is new.
    fn state(&self, id: &SessionId, new: impl FnOnce() -> State) -> (Arc<State>, bool) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = sessions.get(id).and_then(Weak::upgrade) {
            return (state, false);
        }
        if sessions.len() == sessions.capacity() && sessions.len() >= DEAD_MAX {
            sessions.retain(|_, state| state.strong_count() > 0);
        }
        let state = Arc::new(new());
        sessions.insert(id.clone(), Arc::downgrade(&state));
        (state, true)
    }
}

/// Says that nothing is sent any more, however that came.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let pending = self.shared.queue().stats().pending;
        if pending > 0 {
            tracing::warn!(
                pending,
                "a recorder is dropped, not closed: what is not sent before the process ends is lost"
            );
        }
        self.shared.close();
        self.shared.dropped.cancel();
    }
}

fn identity(config: &Config) -> Result<Identity, Error> {
    let tenant = Tenant::new(&config.tenant);
    Ok(Identity {
        tenant: tenant
            .map_err(|error| Error::Config { field: "tenant", why: error.why.to_owned() })?,
        agent: config.agent.clone(),
        producer_id: config.producer_id.clone(),
        // Grows with each start, as clocks do.
        producer_epoch: u64::try_from(source::now().0).unwrap_or_default(),
        retention_class: config.retention_class.clone(),
        signer: config.signer.clone(),
        event_bytes_max: config.event_bytes_max,
    })
}

fn door(config: &Config, shared: &Arc<Shared>) -> Result<Door, Error> {
    match &config.target {
        Target::Ingest { url, key } => {
            let timeout = Duration::from_millis(config.request_timeout_ms);
            Ok(Door::Http(Http::new(url, key.as_deref(), timeout)?))
        }
        Target::Kafka { brokers, topic, properties } => {
            let shared = Arc::clone(shared);
            let trouble = Arc::new(move |why: &str| shared.queue().failed(why));
            let max = config.event_bytes_max;
            Ok(Door::Kafka(Box::new(Kafka::new(brokers, topic, properties, max, trouble)?)))
        }
    }
}
