//! SHELL: the gateway: from a request's body to the sink, and from the sink's outcome to the answer.
//!
//! One lock covers "plan, hand to the sink, remember": so the order of admission is the order on the log, for each
//! session and for all of a topic. It is never held while anything waits; hashing and parsing happen before it is taken.
//!
//! Where bodies must be in the store first (claim checks), planning says so and changes nothing; they are put without the
//! lock, and the request is planned anew, as one that came just then: others may have gone before it meanwhile, as
//! requests that overlap may, and no event is in the sink before the bodies that it refers to are in the store. A client
//! that waits for its answer before it sends more has its order either way.

#![expect(clippy::disallowed_methods, reason = "admissions say when they were made")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use capture::redact::Rules;
use futures_util::FutureExt;
use schemas::{Digest, Micros, SessionId};
use spool::Message;
use tokio::sync::oneshot;

use crate::admit::{self, Admitted, Pending, Plan, State};
use crate::auth::{Auth, Credential};
use crate::budget::{Budget, Reservation};
use crate::claim::{Claim, Halt};
use crate::claims::Claims;
use crate::class::Class;
use crate::config::Config;
use crate::door::Door;
use crate::draft::{Intake, uuid_v7};
use crate::error::Error;
use crate::form;
use crate::frames::Frames;
use crate::load::Load;
use crate::metrics::{Metrics, wide};
use crate::produce::Job;
use crate::random::{self, Random};
use crate::redact::{Redacted, redact};
use crate::redaction;
use crate::refusal::{Code, Refusal};
use crate::sinks::{Gather, Part, Sinks, parts};
use crate::sources::Sources;
use crate::submitted::{Submitted, Wait};
use crate::traces::Traces;

/// Times that a request is planned: a session may be forgotten while its bodies are put, and then has new salts.
const PLANS_MAX: usize = 3;

/// Takes events and answers for them.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) config: Config,
    pub(crate) auth: Auth,
    pub(crate) sinks: Sinks,
    claims: Option<Claims>,
    frames: Frames,
    sources: Option<Sources>,
    rules: Option<Rules>,
    pub(crate) traces: Traces,
    pub(crate) metrics: Metrics,
    pub(crate) epoch: i64,
    state: Mutex<State<Wait>>,
    pub(crate) budget: Budget,
}

/// A request that was read.
pub(crate) struct Request {
    pub(crate) load: Load,
    /// The door's name in the admissions.
    pub(crate) capture_point: &'static str,
    pub(crate) credential: Credential,
    pub(crate) reservation: Reservation,
}

/// What came of planning a request.
enum Step {
    Submitted(Submitted),
    /// These bodies must be in the store; then it is to be planned again.
    Claims(Request, Vec<Claim>),
}

/// A request that was planned once.
pub(crate) struct Begun {
    /// Of events that name none.
    session: SessionId,
    step: Step,
}

impl Gateway {
    /// A gateway whose admissions say `gateway_epoch`, which must be greater than that of any before it with the same
    /// `gateway_id`: the time of the start in microseconds will do.
    ///
    /// # Errors
    /// [`Error::Config`], and those of reading the rules of redaction.
    pub fn new(
        config: Config,
        sinks: impl Into<Sinks>,
        auth: Auth,
        gateway_epoch: i64,
    ) -> Result<Self, Error> {
        config.check()?;
        let sinks = sinks.into();
        if sinks.count() != 1 + config.topics.len() {
            let why = format!(
                "has {} classes, and {} have a sink",
                config.topics.len(),
                sinks.count() - 1
            );
            return Err(Error::Config { field: "topics", why });
        }
        let budget = Budget::new(config.in_flight_bytes_max);
        let (metrics, state) = (Metrics::new(), Mutex::new(State::new()));
        let claims = None;
        let (frames, sources, epoch) = (Frames::default(), None, gateway_epoch);
        let (traces, rules) = (Traces::new(), redaction::rules(&config.redaction)?);
        Ok(Self {
            config,
            auth,
            sinks,
            claims,
            frames,
            sources,
            rules,
            traces,
            metrics,
            epoch,
            state,
            budget,
        })
    }

    /// The same gateway with these frames; without them, every topic has single-object framing.
    #[must_use]
    pub fn with_frames(self, frames: Frames) -> Self {
        Self { frames, ..self }
    }

    /// The same gateway, which checks signatures; without sources, none is.
    #[must_use]
    pub fn with_sources(self, sources: Sources) -> Self {
        Self { sources: Some(sources), ..self }
    }

    /// The same gateway, with a store for bodies of events that a sink would not take.
    ///
    /// # Errors
    /// [`Error::Retention`].
    pub fn with_claims(self, claims: Claims) -> Result<Self, Error> {
        claims.check(&self.config)?;
        Ok(Self { claims: Some(claims), ..self })
    }

    /// Hands the request's events to the sinks, all of them or none.
    pub(crate) async fn admit(self: &Arc<Self>, request: Request) -> Result<Submitted, Refusal> {
        let gateway = Arc::clone(self);
        let begun = off_thread(move || gateway.begin(request)).await?;
        self.finish(begun).await
    }

    /// Reads the request and plans it; [`Self::finish`] does the rest. Takes time, for a large body takes a while to inflate,
    /// parse and hash: not for an async thread.
    pub(crate) fn begin(self: &Arc<Self>, request: Request) -> Result<Begun, Refusal> {
        // One for all plans: bodies are salted for their session.
        let mut drawn = [0; 16];
        random::fill(&mut drawn).map_err(|e| Refusal::unavailable(e.to_string()))?;
        let session = uuid::Uuid::from_bytes(uuid_v7(now(), drawn)).to_string();
        let session = SessionId::new(&session).map_err(|e| Refusal::unavailable(e.to_string()))?;
        let step = Arc::clone(self).submit(request, &session, &BTreeSet::new())?;
        Ok(Begun { session, step })
    }

    /// Puts the bodies into the store that must be there, and has the request planned again.
    pub(crate) async fn finish(self: &Arc<Self>, begun: Begun) -> Result<Submitted, Refusal> {
        let Begun { session, mut step } = begun;
        let mut stored = BTreeSet::new();
        for _ in 1..PLANS_MAX {
            let (request, needed) = match step {
                Step::Submitted(submitted) => return Ok(submitted),
                Step::Claims(request, needed) => (request, needed),
            };
            stored.extend(needed.iter().map(|claim| claim.digest));
            if let Some(claims) = &self.claims {
                claims.put(needed, &self.config, now()).await?;
            }
            let (gateway, known, session) = (Arc::clone(self), stored.clone(), session.clone());
            step = off_thread(move || gateway.submit(request, &session, &known)).await?;
        }
        match step {
            Step::Submitted(submitted) => Ok(submitted),
            Step::Claims(..) => {
                Err(Refusal::unavailable("the session was forgotten while its bodies were stored"))
            }
        }
    }

    /// Reads the request and plans it. Takes time: not for an async thread.
    fn submit(
        self: Arc<Self>,
        request: Request,
        session: &SessionId,
        stored: &BTreeSet<Digest>,
    ) -> Result<Step, Refusal> {
        let Request { load, capture_point, credential, mut reservation } = request;
        let mut load = load;
        load.inflate(&self.config, |bytes| reservation.grow(bytes))?;
        let now = now();
        let mut random = Random::new();
        let config = &self.config;
        let intake = Intake { config, tenant: &credential.tenant, now, session };
        let mut drafts = load.drafts(&intake, &self.frames, &self.traces, &mut random)?;
        let redacted = match &self.rules {
            Some(rules) => redact(rules, &mut drafts, &mut || random.draw())?,
            None => Redacted::default(),
        };
        let worths = form::judge(&drafts, self.sources.as_ref())?;
        let mut door = Door {
            config,
            frames: &self.frames,
            credential_id: &credential.id,
            capture_point,
            gateway_epoch: self.epoch,
            now,
            event_bytes_max: config.event_bytes_max.min(self.sinks.event_bytes_max()),
            stored: self.claims.as_ref().map(|_| stored),
        };
        let unknown = self.state().unknown(&drafts, &door);
        admit::salt(&mut drafts, &unknown);

        let mut state = self.state();
        // Read again: of two requests the one that comes second must not seem the older, or its session's base seems over.
        door.now = self::now();
        match state.plan(drafts, &door) {
            Ok(plan) => {
                self.metrics.signatures(&worths);
                self.metrics.redactions(redacted);
                let sent = Arc::clone(&self).send(&mut state, plan, door.now, reservation);
                sent.map(Step::Submitted)
            }
            Err(Halt::Claims(claims)) => {
                let again = Request { load, capture_point, credential, reservation };
                Ok(Step::Claims(again, claims))
            }
            Err(Halt::Refused(refusal)) => Err(refusal),
        }
    }

    /// Hands the plan to the sinks and remembers it, under the lock that made it.
    fn send(
        self: Arc<Self>,
        state: &mut MutexGuard<'_, State<Wait>>,
        plan: Plan<Wait>,
        now: Micros,
        reservation: Reservation,
    ) -> Result<Submitted, Refusal> {
        let (answered, outcome) = oneshot::channel();
        let outcome = outcome.shared();
        let answers = plan.answers;
        if plan.messages.is_empty() {
            return Ok(Submitted { answers, outcome });
        }
        let count = plan.messages.len();
        let parts = parts(messages(plan.messages, now, &self.metrics));
        let gather = Gather::new(count, parts.len(), answered, reservation);
        let wait = |index| Wait { outcome: outcome.clone(), index };
        let mut is_first = true;
        for part in parts {
            let places = part.places.clone();
            let pending = part.pending.clone();
            match self.send_part(part, &gather) {
                Ok(()) => {}
                // Nothing was sent: nothing happened.
                Err(why) if is_first => return Err(Refusal::unavailable(why)),
                // As if the log had failed half-way. What was not sent is not remembered.
                Err(_) => {
                    gather.part(&places, &vec![false; places.len()]);
                    self.metrics.events("unavailable", places.len());
                    continue;
                }
            }
            is_first = false;
            let known = pending.iter().zip(places);
            state.commit(known, &self.config, wait);
        }
        // A number that was given to an event that could not be sent is not given again.
        state.count(count);
        Ok(Submitted { answers, outcome })
    }

    /// Hands the messages of one class to their sink.
    fn send_part(
        self: &Arc<Self>,
        part: Part<Pending>,
        gather: &Arc<Gather<Reservation>>,
    ) -> Result<(), &'static str> {
        let Part { class, messages, pending, places } = part;
        let bytes = messages.iter().map(|message| message.value.len()).sum();
        let (gateway, gather) = (Arc::clone(self), Arc::clone(gather));
        let done = Box::new(move |durable: Vec<bool>| {
            gateway.settle(pending, &durable, bytes);
            gather.part(&places, &durable);
        });
        self.sinks.of(class).send(Job::Write(messages, done))
    }

    fn settle(&self, messages: Vec<Pending>, durable: &[bool], bytes: usize) {
        let good = durable.iter().filter(|durable| **durable).count();
        self.metrics.events("accepted", good);
        self.metrics.events("unavailable", durable.len().saturating_sub(good));
        if good == durable.len() {
            self.metrics.bytes.inc_by(wide(bytes));
        }
        let mut state = self.state();
        for (message, durable) in messages.into_iter().zip(durable) {
            state.settle(message, *durable, &self.config);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<Wait>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does what takes time where that holds nobody up.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request could not be read to its end");
        Err(Refusal::new(Code::Internal, "the gateway failed on this request"))
    })
}

/// The messages of a plan, with their classes and with what is to be settled about each.
fn messages(
    admitted: Vec<Admitted>,
    now: Micros,
    metrics: &Metrics,
) -> Vec<(Class, Message, Pending)> {
    let timestamp_ms = now.0.div_euclid(1000);
    let message = |admitted: Admitted| {
        let Admitted { bodies_inline, bodies_stored, bodies_by_digest, class, .. } = admitted;
        metrics.bodies(bodies_inline, bodies_stored, bodies_by_digest);
        let (key, value, pending) = admitted.split();
        (class, Message { timestamp_ms, key: Some(key), value }, pending)
    };
    admitted.into_iter().map(message).collect()
}

/// The time, as events say it.
pub(crate) fn now() -> Micros {
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}
