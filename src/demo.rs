//! `chancery demo`: a deployment, agents at work, sealing, verifying and one trace, in a folder that stays.
//!
//! The agents are made up, the way of their events is not: they go through the HTTP door of what `up` runs.

mod others;
mod recorder;
mod refund;

use std::path::{Path, PathBuf};

use anyhow::Context;
use schemas::{Micros, Tenant};
use serde_json::Value;

use crate::cli::{self, Demo};
use crate::door::Door;
use crate::exit::{Exit, OrExit};
use crate::output::notice;
use crate::read;
use crate::up::{self, Deployment};
use crate::verify;

/// Events of one request: an SDK would flush so few.
const REQUEST_EVENTS: usize = 4;

/// Runs the demo.
pub(crate) async fn run(args: Demo) -> anyhow::Result<Exit> {
    let dir = folder(args.dir)?;
    let shown = dir.display();
    notice(format_args!("a deployment in {shown}: log in spool/, sealed segments in store/"));
    let listen = [([127, 0, 0, 1], 0).into()];
    let auth = ingest::Auth::loopback(Tenant::new("default")?);
    let sections = up::sections(&cli::SettingsArgs::default())?;
    let mut deployment = Deployment::start(&dir, &listen, auth, sections).await?;
    let sessions = Sessions::new(Micros(up::gateway_epoch()?));
    notice(format_args!("agents send to {}", deployment.url()));
    let door = Door::new(&deployment.url(), None)?;
    tokio::select! {
        sent = sessions.send(&door) => sent?,
        ended = deployment.ended() => ended.and(Err(anyhow::anyhow!("it stopped by itself")))?,
    }
    let events = sessions.events();
    notice(format_args!("{events} events of 3 sessions acknowledged, one of them sent twice"));
    deployment.stop().await?;
    notice("stopped: all of it is sealed. chancery verify:");
    let (store, json) = (shown.to_string(), || cli::Json { json: false });
    let args = cli::Verify::new(store.clone(), dir.join("log.vkey"), dir.join("state"));
    let verified = verify::run(args).await?;
    notice(format_args!("chancery trace {shown} {}:", sessions.refund.id));
    let store = cli::Store { store, tenant: None, json: json() };
    let session = Some(sessions.refund.id.clone());
    let trace = cli::Trace { store, session, trace_id: None, only: true, full: false };
    let traced = read::trace(trace).await?;
    whats_next(&dir, &sessions);
    Ok(if verified == Exit::Good { traced } else { verified })
}

/// A session that an agent of the demo has had.
struct Session {
    id: String,
    events: Vec<Value>,
}

struct Sessions {
    refund: Session,
    analyst: Session,
    operator: Session,
}

impl Sessions {
    /// They began a few minutes before `now`.
    fn new(now: Micros) -> Self {
        let ago = |minutes: i64| Micros(now.0 - minutes * 60_000_000);
        let session = |name: &str, events: fn(&str, Micros) -> Vec<Value>, began: Micros| {
            let id = session_id(name);
            Session { events: events(&id, began), id }
        };
        Self {
            refund: session("refund", refund::session, ago(4)),
            analyst: session("analyst", others::analyst, ago(2)),
            operator: session("operator", others::operator, ago(1)),
        }
    }

    fn events(&self) -> usize {
        [&self.refund, &self.analyst, &self.operator].iter().map(|s| s.events.len()).sum()
    }

    /// All of them side by side; one event goes twice, as after an answer that was lost.
    async fn send(&self, door: &Door) -> anyhow::Result<()> {
        tokio::try_join!(
            self.refund.send(door),
            self.analyst.send(door),
            self.operator.send(door),
        )?;
        let again: Vec<Value> = self.refund.events.iter().take(1).cloned().collect();
        post(door, &again).await
    }
}

impl Session {
    async fn send(&self, door: &Door) -> anyhow::Result<()> {
        for events in self.events.chunks(REQUEST_EVENTS) {
            post(door, events).await.with_context(|| format!("session {}", self.id))?;
        }
        Ok(())
    }
}

async fn post(door: &Door, events: &[Value]) -> anyhow::Result<()> {
    door.post(serde_json::to_vec(events)?.into()).await
}

/// A session's id ought to be unguessable.
fn session_id(name: &str) -> String {
    let random = uuid::Uuid::now_v7().simple().to_string();
    let (_time, random) = random.split_at(16);
    format!("{name}-{random}")
}

/// The folder asked for, which must be fresh, or a new one.
fn folder(dir: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let Some(dir) = dir else {
        let dir = tempfile::Builder::new().prefix("chancery-demo-").tempdir();
        return Ok(dir.context("cannot make a temporary folder")?.keep());
    };
    let not_fresh = std::fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some());
    if not_fresh {
        let why = format!("{} is not empty; the demo takes a fresh folder", dir.display());
        return Err(Exit::Usage.error(why));
    }
    std::fs::create_dir_all(&dir)
        .or_exit(Exit::Infrastructure, format!("cannot make the folder {}", dir.display()))?;
    Ok(dir)
}

fn whats_next(dir: &Path, sessions: &Sessions) {
    let (dir, operator, analyst) = (dir.display(), &sessions.operator.id, &sessions.analyst.id);
    notice(format_args!(
        "\
what to try next:
  chancery sessions {dir}
  chancery sessions {dir} --status denied
  chancery trace {dir} {operator} --full
  chancery export {dir} --session {analyst} --as openai-chat
  chancery verify {dir} --json
  duckdb -c \"SELECT session_id, kind, tool_name, status, usage_output_tokens
             FROM '{dir}/store/segments/**/*.parquet' ORDER BY occurred_at\"
  change a byte of a file in {dir}/store/segments and verify again"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_there_once_and_counted() {
        let sessions = Sessions::new(Micros(1_700_000_000_000_000));
        for session in [&sessions.refund, &sessions.analyst, &sessions.operator] {
            let mut ids: Vec<_> =
                session.events.iter().map(|event| event["event_id"].as_str().unwrap()).collect();
            let last = session.events.last().unwrap();
            assert_eq!(last["session_event_count"], session.events.len());
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), session.events.len());
        }
    }

    #[test]
    fn the_story_has_what_it_promises() {
        let sessions = Sessions::new(Micros(1_700_000_000_000_000));
        let kinds: Vec<_> =
            sessions.refund.events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
        for kind in [
            "user.message",
            "llm.call",
            "tool.call",
            "retrieval",
            "policy.decision",
            "agent.handoff",
            "approval",
            "state.change",
            "evaluation",
            "session.end",
        ] {
            assert!(kinds.contains(&kind), "{kind}");
        }
    }
}
