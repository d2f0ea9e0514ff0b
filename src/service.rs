//! The services of a deployment over Kafka, and the keys that agents come with.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use ingest::keys::{self, Key};
use prometheus_client::registry::Registry;
use schemas::{Tenant, Topic};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::exit::{Exit, OrExit};
use crate::metrics;
use crate::output::{notice, stdout};
use crate::sections::Sections;
use crate::signal;
use crate::up::gateway_epoch;

/// Runs a gateway over Kafka until SIGTERM or ctrl-c.
pub(crate) async fn ingest(args: cli::Ingest) -> anyhow::Result<Exit> {
    let sections = Sections::load(&args.settings, |settings| {
        settings.set("kafka", "brokers", args.kafka.as_str());
        settings.set("kafka", "topic", args.topic.as_str());
    })?;
    let mut signals = signal::Stop::new()?;
    let sink = ingest::Sink::kafka(&sections.kafka).map_err(failure)?;
    let auth = ingest::Auth::keys(&args.keys).map_err(failure)?;
    let listener = TcpListener::bind(args.listen)
        .await
        .or_exit(Exit::Infrastructure, format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    let gateway = ingest::Gateway::new(sections.ingest, sink, auth, gateway_epoch()?);
    let gateway = Arc::new(gateway.map_err(failure)?);
    let stop = CancellationToken::new();
    let mut serving = tokio::spawn(ingest::serve(listener, gateway, stop.clone()));
    notice(format_args!("listening on http://{address}"));
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

/// Runs a sealer over Kafka until SIGTERM or ctrl-c.
pub(crate) async fn sealer(args: cli::Sealer) -> anyhow::Result<Exit> {
    let sections = Sections::load(&args.settings, |_| {})?;
    let mut signals = signal::Stop::new()?;
    let topic = Topic::new(&args.topic).or_exit(Exit::Usage, "--topic cannot be used")?;
    let properties: Vec<_> = sections.kafka.properties.into_iter().collect();
    let kafka = sealer::Kafka::new(&args.kafka, topic, &properties)
        .or_exit(Exit::Usage, "the Kafka consumer could not be made")?;
    let store = store::Store::open(&args.store).or_exit(Exit::Usage, "--store cannot be used")?;
    let mut registry = Registry::default();
    let counted = sealer::Metrics::new(&mut registry);
    let stop = CancellationToken::new();
    metrics::serve(&sections.metrics, registry, stop.clone()).await?;
    let source = sealer::Source::Kafka(kafka);
    let mut sealing =
        tokio::spawn(sealer::run(source, store, sections.sealer, counted, stop.clone()));
    let sealed = tokio::select! {
        () = signals.came() => {
            stop.cancel();
            sealing.await
        }
        sealed = &mut sealing => sealed,
    };
    sealed.context("the sealer's task failed")?.context("the sealer has stopped")?;
    Ok(Exit::Good)
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
pub(crate) fn auth(who: &cli::Who, listen: SocketAddr) -> anyhow::Result<ingest::Auth> {
    if let Some(path) = &who.keys {
        return ingest::Auth::keys(path).map_err(failure);
    }
    if !listen.ip().is_loopback() {
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

fn refusal(error: ingest::Error, what: &str) -> anyhow::Error {
    let exit = match error.kind() {
        ingest::Kind::Refused => Exit::Usage,
        _ => Exit::Infrastructure,
    };
    exit.because(error, what)
}
