//! The sealer as a service, and what an operator does about a partition that has stopped.
#![expect(clippy::disallowed_methods, reason = "a shell: a new epoch says when it was opened")]

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use prometheus_client::registry::Registry;
use schemas::{Partition, Seconds, Topic};
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::exit::{Exit, OrExit};
use crate::framing;
use crate::log_key;
use crate::metrics;
use crate::output::{notice, stdout};
use crate::sections::Sections;
use crate::signal;

/// Runs what the command line says of the sealer.
pub(crate) async fn run(args: cli::Sealer) -> anyhow::Result<Exit> {
    match args.other {
        Some(cli::SealerCommand::Resume(resume)) => self::resume(resume).await,
        None => serve(args.service).await,
    }
}

/// What both commands need.
struct Deployment {
    sections: Sections,
    source: sealer::Source,
    store: store::Store,
    /// What the store was opened by.
    address: String,
    /// `None` where nothing is locked.
    retention: Option<store::Retention>,
    /// `None` where nothing is enrolled.
    enrolling: Option<sealer::Enrolling>,
}

impl Deployment {
    fn open(args: &cli::Sealing) -> anyhow::Result<Self> {
        let sections = Sections::load(&args.settings, |_| {})?;
        // The command line has them, or it would not have been parsed.
        let given = |option: &Option<String>| option.clone().unwrap_or_default();
        let (brokers, address) = (given(&args.kafka), given(&args.store));
        let topic =
            Topic::new(&given(&args.topic)).or_exit(Exit::Usage, "--topic cannot be used")?;
        let properties: Vec<_> = sections.kafka.properties.clone().into_iter().collect();
        let kafka = sealer::Kafka::new(&brokers, topic, &properties)
            .or_exit(Exit::Usage, "the Kafka consumer could not be made")?;
        let kafka = framing::consumer(kafka, &sections)?;
        let store = store::Store::open(&address).or_exit(Exit::Usage, "--store cannot be used")?;
        if !args.unsafe_no_lock && store.s3().is_none() {
            let why = format!(
                "--store {address} is a folder, and a folder locks nothing: whoever may write there can change what is \
                 sealed; give s3://bucket/prefix, or say --unsafe-no-lock"
            );
            return Err(Exit::Usage.error(why));
        }
        let retention = (!args.unsafe_no_lock).then(|| sections.retention.clone());
        if let Some(retention) = &retention {
            let class = &sections.sealer.retention_class;
            retention.lock(class, now()).or_exit(Exit::Usage, "settings [retention]")?;
        }
        let enrolling = enrolling(args, &sections)?;
        let source = sealer::Source::Kafka(kafka);
        Ok(Self { sections, source, store, address, retention, enrolling })
    }
}

/// The log's keys and settings.
fn enrolling(
    args: &cli::Sealing,
    sections: &Sections,
) -> anyhow::Result<Option<sealer::Enrolling>> {
    if args.unsafe_no_log {
        return Ok(None);
    }
    let paths = if args.log_key.is_empty() { &sections.log.keys } else { &args.log_key };
    let signers = log_key::read_all(paths)?;
    if signers.is_empty() {
        let why = "there is no key for the log of segments, without which nobody sees that what was sealed last was \
                   taken away; make one with `chancery key new NAME -o FILE` and give --log-key FILE, or say \
                   --unsafe-no-log";
        return Err(Exit::Usage.error(why));
    }
    let policy = log_key::policy(sections.log.policy.as_deref())?;
    Ok(Some(sealer::Enrolling { signers, config: sections.log.clone(), policy }))
}

/// Seals until SIGTERM or ctrl-c.
async fn serve(args: cli::Sealing) -> anyhow::Result<Exit> {
    let mut signals = signal::Stop::new()?;
    let Deployment { sections, source, store, address, retention, enrolling } =
        Deployment::open(&args)?;
    if retention.is_some() {
        probe(&address, &store).await?;
    } else {
        notice("nothing is locked: whoever may write to the store can change what is sealed");
    }
    if enrolling.is_none() {
        notice("nothing is enrolled: nobody will see that what was sealed last was taken away");
    }
    let mut registry = Registry::default();
    let counted = sealer::Metrics::new(&mut registry);
    let stop = CancellationToken::new();
    metrics::serve(&sections.metrics, registry, stop.clone()).await?;
    let sections = sections.sealer;
    let sealing = sealer::run(source, store, sections, retention, enrolling, counted, stop.clone());
    let mut sealing = tokio::spawn(sealing);
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

/// A store that does not keep what it is given, once, under lock, is found out before anything relies on it.
async fn probe(address: &str, store: &store::Store) -> anyhow::Result<()> {
    let problems = store::probe(store)
        .await
        .or_exit(Exit::Infrastructure, format!("could not try out {address}"))?;
    if problems.is_empty() {
        return Ok(());
    }
    let why = format!(
        "{address} is not fit to seal into: {}; `chancery doctor` says more, --unsafe-no-lock seals all the same",
        problems.join("; ")
    );
    Err(Exit::Infrastructure.error(why))
}

/// Shows what a new epoch would say, and opens it.
async fn resume(args: cli::Resume) -> anyhow::Result<Exit> {
    let Deployment { sections, source, store, retention, enrolling, .. } =
        Deployment::open(&args.sealing)?;
    let (partition, class) = (Partition(args.partition), &sections.sealer.retention_class);
    let failed = format!("partition {partition} cannot be resumed");
    let signers = enrolling.map(|enrolling| enrolling.signers);
    let plan =
        sealer::Resumption::plan(source, store, partition, class, retention, signers, now()).await;
    let Some(plan) = plan.or_exit(Exit::Infrastructure, failed.as_str())? else {
        let why = format!("partition {partition} has not stopped: there is nothing to resume");
        return Err(Exit::Usage.error(why));
    };
    stdout(|out| write!(out, "{plan}"))?;
    if !args.yes {
        notice("nothing is written yet; the same command with --yes writes it, for good");
        return Ok(Exit::Good);
    }
    match plan.write().await.or_exit(Exit::Infrastructure, failed)? {
        sealer::Resumed::Opened(epoch) => {
            notice(format_args!("epoch {epoch} is open; sealers that wait go on within seconds"));
            Ok(Exit::Good)
        }
        sealer::Resumed::Already(epoch) => {
            notice(format_args!(
                "epoch {epoch} was opened by somebody else meanwhile; its opening counts"
            ));
            Ok(Exit::Good)
        }
        sealer::Resumed::Moved(key) => {
            let why = format!("{key} was written meanwhile; nothing is resumed, look again");
            Err(Exit::Infrastructure.error(why))
        }
    }
}

/// By this machine's clock.
pub(crate) fn now() -> Seconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Seconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
