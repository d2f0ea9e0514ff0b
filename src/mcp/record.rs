//! SHELL: a thread that makes events of what is said, and hands them to the recorder.

#![expect(clippy::disallowed_methods, reason = "what is said has a time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use capture::mcp::{Conversation, Heard, Side, Tools};
use capture::redact::Rules;
use capture::{Happening, Slot};
use recorder::{Agent, Config, Content, Event, Recorder, Session, Target};
use schemas::Micros;
use serde_json::json;
use tokio::sync::oneshot;

use super::lines::Line;
use crate::cli;
use crate::exit::{Exit, OrExit};
use crate::output::notice;

/// The environment variable with the gateway's key.
pub(super) const KEY: &str = "CHANCERY_KEY";
/// Lines that wait to be read.
const LINES_MAX: usize = 4096;
/// Their bytes.
const LINES_BYTES_MAX: usize = 64 << 20;
/// How long the end waits for everything to be taken.
const END_TIME_MAX: Duration = Duration::from_secs(5);

/// The record of one server.
#[derive(Debug)]
pub(super) struct Record {
    recorder: Recorder,
    into: SyncSender<Said>,
    room: Arc<Room>,
    ended: oneshot::Receiver<()>,
}

/// Hears one side.
#[derive(Debug)]
pub(super) struct Ear {
    side: Side,
    into: SyncSender<Said>,
    room: Arc<Room>,
}

#[derive(Debug)]
enum Said {
    Line(Heard),
    /// It is over, well or not.
    End(bool),
}

/// What waits, and what had to be left out.
#[derive(Debug, Default)]
struct Room {
    bytes: AtomicUsize,
    lost_lines: AtomicU64,
    lost_bytes: AtomicU64,
}

impl Record {
    /// Begins the session, or goes on with the one that is named.
    pub(super) fn start(args: &cli::Mcp, name: &str) -> anyhow::Result<Self> {
        let target = Target::Ingest { url: args.url.clone(), key: std::env::var(KEY).ok() };
        let config = Config::new(target, &args.tenant, Agent::default());
        let recorder = Recorder::start(config).or_exit(Exit::Usage, "cannot record")?;
        let session = match &args.session {
            Some(id) => recorder.resume(id).or_exit(Exit::Usage, "--session cannot be used")?,
            None => recorder.session(),
        };
        let rules = ingest::redaction::rules(&args.redaction);
        let rules = rules.or_exit(Exit::Usage, "--redaction cannot be used")?;
        let (into, said) = sync_channel(LINES_MAX);
        let room = Arc::new(Room::default());
        let (done, ended) = oneshot::channel();
        let mut reading = Reading {
            session,
            is_own: args.session.is_none(),
            conversation: Conversation::new(name),
            tools: Tools::default(),
            rules,
            room: Arc::clone(&room),
        };
        let work = move || {
            reading.run(&said);
            drop(done);
        };
        let thread = std::thread::Builder::new().name("record".to_owned()).spawn(work);
        thread.context("cannot start a thread")?;
        Ok(Self { recorder, into, room, ended })
    }

    /// What one side says, from now on.
    pub(super) fn ear(&self, side: Side) -> Ear {
        Ear { side, into: self.into.clone(), room: Arc::clone(&self.room) }
    }

    /// Ends the session. Waits for a while, and then says what is not in the record.
    pub(super) async fn end(self, is_good: bool) {
        let until = Instant::now() + END_TIME_MAX;
        let Self { recorder, into, ended, .. } = self;
        let end = move || into.send(Said::End(is_good));
        let heard = async {
            let _sent = tokio::task::spawn_blocking(end).await;
            ended.await
        };
        let _late = tokio::time::timeout(END_TIME_MAX, heard).await;
        let left = until.saturating_duration_since(Instant::now());
        let closed = tokio::task::spawn_blocking(move || recorder.close(left)).await;
        if let Ok(Err(error)) = closed {
            notice(format_args!("chancery: the record is not complete: {error}"));
        }
    }
}

impl Ear {
    /// Takes a line, if there is room.
    pub(super) fn hear(&self, line: Line) {
        let Line { text, dropped } = line;
        let bytes = text.len();
        let heard = Heard { side: self.side, text, dropped, at: now() };
        let before = self.room.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= LINES_BYTES_MAX;
        let sent = fits.then(|| self.into.try_send(Said::Line(heard)));
        if !matches!(sent, Some(Ok(()) | Err(TrySendError::Disconnected(_)))) {
            self.room.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.room.lost_lines.fetch_add(1, Ordering::Relaxed);
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(dropped);
            self.room.lost_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

/// What the thread works with.
struct Reading {
    session: Session,
    /// Whether the session began here.
    is_own: bool,
    conversation: Conversation,
    tools: Tools,
    /// The gateway cannot change what the recorder has hashed.
    rules: Option<Rules>,
    room: Arc<Room>,
}

impl Reading {
    fn run(&mut self, said: &Receiver<Said>) {
        while let Ok(said) = said.recv() {
            self.tell_lost();
            match said {
                Said::Line(heard) => {
                    let happenings = self.conversation.hear(&heard, &mut self.tools);
                    self.record(happenings);
                    self.room.bytes.fetch_sub(heard.text.len(), Ordering::Relaxed);
                }
                Said::End(is_good) => {
                    let happenings = self.conversation.end(now());
                    self.record(happenings);
                    if self.is_own {
                        self.session.end(if is_good { "ok" } else { "error" });
                    }
                    return;
                }
            }
        }
    }

    fn record(&self, happenings: Vec<Happening>) {
        for mut happening in happenings {
            if let Some(rules) = &self.rules
                && let Err(field) = rules.apply_to(&mut happening)
            {
                tracing::error!(
                    field,
                    "an event has a secret where none can be taken away: it is not recorded"
                );
                continue;
            }
            self.session.record(event(happening));
        }
    }

    /// What was said and not heard, for want of room.
    fn tell_lost(&self) {
        let lines = self.room.lost_lines.swap(0, Ordering::Relaxed);
        let bytes = self.room.lost_bytes.swap(0, Ordering::Relaxed);
        if lines > 0 {
            let lost = json!({ "lost_lines": lines, "lost_bytes": bytes });
            let mut gap = Event::new("producer.gap").with(Content::json("attributes", &lost));
            gap.envelope.error_type = Some("no_room".into());
            gap.envelope.capture_source = "mcp_proxy".into();
            self.session.record(gap);
        }
    }
}

/// A happening as the recorder takes it. Contents are shared, not copied.
fn event(happening: Happening) -> Event {
    let Happening { envelope, contents, slots, .. } = happening;
    let mut event = Event::new(envelope.kind.clone());
    event.envelope = envelope;
    for capture::Content { role, kind, media_type, data } in contents {
        event.contents.push(Content { role, kind, media_type, data });
    }
    for (slot, content) in slots {
        let slot = match slot {
            Slot::Document(index) => recorder::Slot::Document(index),
            Slot::Before(index) => recorder::Slot::Before(index),
            Slot::After(index) => recorder::Slot::After(index),
        };
        event.refer(slot, content);
    }
    event
}

fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
