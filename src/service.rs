//! The gateway of a deployment over Kafka, and the keys that agents come with.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use ingest::keys::{self, Key};
use ingest::sources::Sources;
use schemas::Tenant;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::exit::{Exit, OrExit};
use crate::framing;
use crate::output::{notice, stdout};
use crate::sections::Sections;
use crate::signal;
use crate::up::gateway_epoch;

/// Runs a gateway over Kafka until SIGTERM or ctrl-c.
pub(crate) async fn ingest(args: cli::Ingest) -> anyhow::Result<Exit> {
    let sections = Sections::load(&args.upstreams.with(&args.settings), |settings| {
        settings.set("kafka", "brokers", args.kafka.as_str());
        settings.set("kafka", "topic", args.topic.as_str());
    })?;
    let mut signals = signal::Stop::new()?;
    let claims = claims(args.store.as_deref(), &sections)?;
    // Not listening yet, so nobody is told that the gateway is ready: without an id there is nothing to write.
    let frames = tokio::select! {
        () = signals.came() => return Ok(Exit::Good),
        frames = framing::frames(&sections) => frames?,
    };
    let sinks = sinks(args.spool, &sections).await?;
    let auth = ingest::Auth::keys(&args.keys).map_err(failure)?;
    let listeners = bind(&args.at.listen).await?;
    let addresses = addresses(&listeners)?;
    let gateway = ingest::Gateway::new(sections.ingest, sinks, auth, gateway_epoch()?);
    let gateway = gateway.map_err(failure)?;
    let gateway = match claims {
        Some(claims) => gateway.with_claims(claims).map_err(failure)?,
        None => gateway,
    };
    let gateway = match &args.sources {
        Some(path) => gateway.with_sources(Sources::open(path).map_err(failure)?),
        None => gateway,
    };
    let gateway = Arc::new(gateway.with_frames(frames));
    let stop = CancellationToken::new();
    let mut serving = tokio::spawn(ingest::serve(listeners, gateway, stop.clone()));
    tell(&addresses);
    let served = tokio::select! {
        () = signals.came() => {
            stop.cancel();
            serving.await
        }
        served = &mut serving => served,
    };
    served.context("the gateway's task failed")?.map_err(failure)?;
    Ok(Exit::Good)
}

/// Listens on these addresses.
pub(crate) async fn bind(addresses: &[SocketAddr]) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let bound = TcpListener::bind(address).await;
        let what = || format!("cannot listen on {address}; --listen names other addresses");
        listeners.push(bound.or_exit(Exit::Infrastructure, what())?);
    }
    Ok(listeners)
}

/// The addresses that were taken.
pub(crate) fn addresses(listeners: &[TcpListener]) -> anyhow::Result<Vec<SocketAddr>> {
    Ok(listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?)
}

/// Says where agents reach us.
pub(crate) fn tell(addresses: &[SocketAddr]) {
    for address in addresses {
        notice(format_args!("listening on http://{address}"));
    }
}

/// The topics, each with its part of the spool. The brokers are asked for them, which takes a while if they are away.
async fn sinks(spool: Option<PathBuf>, sections: &Sections) -> anyhow::Result<ingest::Sinks> {
    let (kafka, config) = (sections.kafka.clone(), sections.ingest.clone());
    let open = move || ingest::Sinks::kafka(&kafka, &config, spool.as_deref());
    let opened = tokio::task::spawn_blocking(open).await;
    opened.context("the task that looks for the topics failed")?.map_err(failure)
}

/// The store for what is too large for Kafka.
fn claims(store: Option<&str>, sections: &Sections) -> anyhow::Result<Option<ingest::Claims>> {
    let Some(address) = store else { return Ok(None) };
    let store = store::Store::open(address).or_exit(Exit::Usage, "--store cannot be used")?;
    Ok(Some(ingest::Claims::new(store, sections.retention.clone())))
}

/// Makes, lists and revokes keys.
pub(crate) fn keys(args: cli::Keys) -> anyhow::Result<Exit> {
    match args {
        cli::Keys::Create { file, tenant } => {
            let key = keys::create(&file.keys, &tenant).map_err(keys_failure)?;
            stdout(|out| writeln!(out, "{key}"))?;
        }
        cli::Keys::List { file, json } => list(&file.keys, json.json)?,
        cli::Keys::Revoke { file, id } => {
            keys::revoke(&file.keys, &id).map_err(keys_failure)?;
            notice(format_args!("revoked {id}; a running gateway refuses it within a second"));
        }
    }
    Ok(Exit::Good)
}

fn list(path: &Path, as_json: bool) -> anyhow::Result<()> {
    let keys = keys::list(path).map_err(keys_failure)?;
    stdout(|out| keys.iter().try_for_each(|key| line(out, key, as_json)))?;
    Ok(())
}

fn line(out: &mut dyn Write, key: &Key, as_json: bool) -> std::io::Result<()> {
    let Key { id, tenant, created_at, revoked_at, .. } = key;
    if as_json {
        let key = json!({
            "id": id, "tenant": tenant, "created_at": created_at, "revoked_at": revoked_at
        });
        return writeln!(out, "{key}");
    }
    let state = revoked_at.as_ref().map_or("good".into(), |at| format!("revoked {at}"));
    writeln!(out, "{id}  {tenant}  made {created_at}  {state}")
}

/// Who may send: holders of keys, or, without a file of keys, everybody on this machine.
pub(crate) fn auth(who: &cli::Who, listen: &[SocketAddr]) -> anyhow::Result<ingest::Auth> {
    if let Some(path) = &who.keys {
        return ingest::Auth::keys(path).map_err(failure);
    }
    if let Some(listen) = listen.iter().find(|listen| !listen.ip().is_loopback()) {
        let why = format!("--listen {listen} is not a loopback address, so it needs --keys");
        return Err(Exit::Usage.error(why));
    }
    let tenant = Tenant::new(&who.tenant).or_exit(Exit::Usage, "--tenant cannot be used")?;
    Ok(ingest::Auth::loopback(tenant))
}

/// What the gateway could not do, and how that ends the command.
pub(crate) fn failure(error: ingest::Error) -> anyhow::Error {
    refusal(error, "the gateway cannot run")
}

/// What could not be done with the keys.
fn keys_failure(error: ingest::Error) -> anyhow::Error {
    refusal(error, "the keys are as they were")
}

pub(crate) fn refusal(error: ingest::Error, what: &str) -> anyhow::Error {
    let exit = match error.kind() {
        ingest::Kind::Refused => Exit::Usage,
        _ => Exit::Infrastructure,
    };
    exit.because(error, what)
}
