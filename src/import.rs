//! `chancery import`: recorded sessions become the events that live agents would have sent.
//!
//! `session.rs` reads a line and `events.rs` makes its events, both core; `lines.rs` and `input.rs` bring the lines,
//! `send.rs` takes the events to a gateway.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it reads the clock for sessions without a time"
)]

mod events;
mod input;
mod lines;
mod send;
mod session;

use std::env::{self, VarError};
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context;
use schemas::Tenant;

use crate::cli::{OpenaiChat, SettingsArgs};
use crate::door::Door;
use crate::exit::{Exit, OrExit};
use crate::output::notice;
use crate::up::{self, Deployment};

use input::Input;
use send::{Making, Sent, send};

/// Environment variable with the key for a gateway.
const KEY: &str = "CHANCERY_KEY";

/// Imports sessions in OpenAI chat form.
pub(crate) async fn openai_chat(args: OpenaiChat) -> anyhow::Result<Exit> {
    let input = Input::new(&args.file);
    let time = input.time(SystemTime::now())?;
    if let Input::File(_) = &input {
        check(input.clone()).await?;
    }
    let making = Making { tenant: args.tenant, time };
    match (args.to, args.dir) {
        (Some(url), _) => {
            let door = Door::new(&url, key()?)?;
            report(send(input, door, making).await, "acknowledged")?;
        }
        (None, Some(dir)) => into_folder(&dir, input, making).await?,
        (None, None) => return Err(Exit::Usage.error("say where to: --to or --dir")),
    }
    Ok(Exit::Good)
}

/// Reads the whole file, so that a bad line is found before anything is sent.
async fn check(input: Input) -> anyhow::Result<()> {
    let read = move || input.lines()?.try_for_each(|line| line.map(drop));
    tokio::task::spawn_blocking(read).await.context("the checking task failed")?
}

/// Through a deployment of our own, which seals all of it before this returns.
async fn into_folder(dir: &Path, input: Input, making: Making) -> anyhow::Result<()> {
    let tenant = making.tenant.as_deref().unwrap_or("default");
    let listen = [([127, 0, 0, 1], 0).into()];
    let tenant = Tenant::new(tenant).or_exit(Exit::Usage, "--tenant cannot be used")?;
    let auth = ingest::Auth::loopback(tenant);
    let sections = up::sections(&SettingsArgs::default())?;
    let mut deployment = Deployment::start(dir, &listen, auth, sections).await?;
    let door = Door::new(&deployment.url(), None)?;
    let sent = tokio::select! {
        sent = send(input, door, making) => sent,
        ended = deployment.ended() => {
            return ended.and(Err(anyhow::anyhow!("the deployment stopped by itself")));
        }
    };
    // Also after an error: what was acknowledged is sealed.
    deployment.stop().await?;
    report(sent, "sealed")
}

fn report((sent, outcome): (Sent, anyhow::Result<()>), how: &str) -> anyhow::Result<()> {
    let Sent { sessions, events } = sent;
    match outcome {
        Ok(()) => {
            notice(format_args!("{sessions} sessions, {events} events {how}"));
            Ok(())
        }
        Err(error) => {
            let what = format!(
                "the import is not complete: {sessions} sessions, {events} events were {how}; \
                 repeated, it shows nothing twice"
            );
            let exit = Exit::of(&error);
            Err(error).or_exit(exit, what)
        }
    }
}

fn key() -> anyhow::Result<Option<String>> {
    match env::var(KEY) {
        Ok(key) => Ok(Some(key)),
        Err(VarError::NotPresent) => Ok(None),
        Err(error) => Err(error).or_exit(Exit::Usage, format!("{KEY} cannot be used")),
    }
}
