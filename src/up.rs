//! `chancery up`: a whole deployment on one machine. The gateway writes the embedded log, the sealer reads it; both live
//! in one folder and one process.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: the start's time numbers the gateway's incarnation"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use prometheus_client::registry::Registry;
use schemas::Topic;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::cli::{SettingsArgs, Up};
use crate::exit::{Exit, OrExit};
use crate::log_key;
use crate::metrics;
use crate::output::notice;
use crate::sections::Sections;
use crate::service::{addresses, auth, bind, failure, tell};
use crate::signal;

/// The one topic.
const TOPIC: &str = "events";
/// Age at which a segment is cut: a person is waiting to see it. As a service it is 60 s.
const SEGMENT_AGE_MAX_MS: i64 = 5000;

/// Runs a deployment until SIGTERM or ctrl-c.
pub(crate) async fn run(args: Up) -> anyhow::Result<Exit> {
    let sections = sections(&args.upstreams.with(&args.settings))?;
    let mut signals = signal::Stop::new()?;
    let auth = auth(&args.who, &args.at.listen)?;
    let mut deployment = Deployment::start(&args.dir, &args.at.listen, auth, sections).await?;
    notice("nothing is locked: the store is a folder of this machine");
    tell(&deployment.addresses);
    tokio::select! {
        () = signals.came() => deployment.stop().await?,
        ended = deployment.ended() => ended.and(Err(anyhow::anyhow!("it stopped by itself")))?,
    }
    Ok(Exit::Good)
}

/// Settings with the defaults of a deployment on one machine.
pub(crate) fn sections(args: &SettingsArgs) -> anyhow::Result<Sections> {
    Sections::load(args, |settings| {
        settings.default("sealer", "segment_age_max_ms", SEGMENT_AGE_MAX_MS);
    })
}

/// A running deployment. Dropped without [`Deployment::stop`], it seals nothing more.
#[derive(Debug)]
pub(crate) struct Deployment {
    /// One at least.
    addresses: Vec<SocketAddr>,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Deployment {
    /// Opens `dir`, which is made if need be, and begins to listen.
    pub(crate) async fn start(
        dir: &Path,
        listen: &[SocketAddr],
        auth: ingest::Auth,
        sections: Sections,
    ) -> anyhow::Result<Self> {
        let folder = dir.to_owned();
        let spool = tokio::task::spawn_blocking(move || open_spool(&folder)).await??;
        let store = open_store(dir)?;
        let source = sealer::Source::Spool(spool.clone(), Topic::new(TOPIC)?);
        let mut registry = Registry::default();
        let counted = sealer::Metrics::new(&mut registry);

        let listeners = bind(listen).await?;
        let addresses = addresses(&listeners)?;
        let sink = ingest::Sink::spool(spool).map_err(failure)?;
        let gateway = ingest::Gateway::new(sections.ingest, sink, auth, gateway_epoch()?);
        let gateway = Arc::new(gateway.map_err(failure)?);

        let (stop, seal_left) = (CancellationToken::new(), CancellationToken::new());
        metrics::serve(&sections.metrics, registry, seal_left.clone()).await?;
        let serving = tokio::spawn(ingest::serve(listeners, gateway, stop.clone()));
        let enrolling = sealer::Enrolling {
            signers: vec![log_key::of_folder(dir)?],
            policy: log_key::policy(sections.log.policy.as_deref())?,
            config: sections.log,
        };
        let (sections, enrolling) = (sections.sealer, Some(enrolling));
        let sealing =
            sealer::run(source, store, sections, None, enrolling, counted, seal_left.clone());
        let sealing = tokio::spawn(sealing);
        let task = tokio::spawn(supervise(serving, sealing, stop.clone(), seal_left));
        Ok(Self { addresses, stop, task })
    }

    /// Where agents send events.
    pub(crate) fn url(&self) -> String {
        self.addresses.first().map(|address| format!("http://{address}")).unwrap_or_default()
    }

    /// Waits until it ends without having been told to.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        (&mut self.task).await.context("the deployment's task failed")?
    }

    /// Stops it: nothing more is accepted, and what was acknowledged is sealed.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await.context("the deployment's task failed")?
    }
}

type Task<E> = JoinHandle<Result<(), E>>;

/// Keeps the order of stopping: first the gateway ends and answers what it has taken, then the sealer seals what is left.
async fn supervise(
    mut serving: Task<ingest::Error>,
    mut sealing: Task<sealer::Error>,
    stop: CancellationToken,
    seal_left: CancellationToken,
) -> anyhow::Result<()> {
    let served = tokio::select! {
        served = &mut serving => served,
        sealed = &mut sealing => {
            // What is acknowledged now lies in the log, and is sealed after the next start.
            error!("the sealer has stopped; the gateway stops too");
            stop.cancel();
            let served = serving.await.context("the gateway's task failed");
            sealed.context("the sealer's task failed")?.context("the sealer has stopped")?;
            return served?.context("the gateway has stopped");
        }
    };
    seal_left.cancel();
    let sealed = sealing.await.context("the sealer's task failed");
    served.context("the gateway's task failed")?.context("the gateway has stopped")?;
    sealed?.context("the sealer has stopped")
}

fn open_spool(dir: &Path) -> anyhow::Result<spool::Spool> {
    let made = std::fs::create_dir_all(dir);
    made.or_exit(Exit::Infrastructure, format!("cannot make the folder {}", dir.display()))?;
    let path = dir.join("spool");
    let (spool, recovery) = spool::Spool::open(&path, spool::Config::default())
        .with_context(|| format!("cannot open the embedded log {}", path.display()))?;
    tracing::info!(?recovery, "embedded log opened");
    Ok(spool)
}

fn open_store(dir: &Path) -> anyhow::Result<store::Store> {
    let path = dir.join("store");
    let made = std::fs::create_dir_all(&path);
    made.or_exit(Exit::Infrastructure, format!("cannot make the folder {}", path.display()))?;
    let text = path.to_str();
    let text = text.ok_or_else(|| Exit::Usage.error(format!("{} is not UTF-8", path.display())))?;
    store::Store::open(text).with_context(|| format!("cannot open the store {text}"))
}

/// Numbers this incarnation of the gateway: microseconds of its start, so that a later one has a higher number.
pub(crate) fn gateway_epoch() -> anyhow::Result<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(i64::try_from(since.as_micros())?)
}
