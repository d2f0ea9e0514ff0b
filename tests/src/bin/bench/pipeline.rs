//! The sealer between a Kafka topic and the S3 server, beside its stages done one after the other over the same messages.

use std::time::Duration;

use tempfile::TempDir;

use crate::batches::Messages;
use crate::clock::Spent;
use crate::corpus::Corpus;
use crate::figure::{median, megabytes, rate};
use crate::kafka::Topic;
use crate::servers::Servers;
use crate::stages::Stages;
use crate::started::{Started, start};
use crate::table;
use crate::topic::Form;

/// How often each sealer runs.
const RUNS: usize = 3;
/// Deduplicated events are small: so many times as many make some segments.
const DEDUPLICATED_COPIES: usize = 4;

/// One topic, sealed.
struct Measured {
    form: Form,
    partitions: u32,
    stages: Stages,
    into_folder: Vec<Started>,
    into_s3: Vec<Sealed>,
}

/// A run of the sealer, and what the servers took of the processor meanwhile.
#[derive(Clone, Copy)]
struct Sealed {
    started: Started,
    broker: Duration,
    s3: Duration,
}

pub(crate) fn report(corpus: &Corpus, copies: usize) -> anyhow::Result<()> {
    let servers = Servers::find()?;
    let mut all = Vec::new();
    for form in Form::ALL {
        for partitions in [1, 2] {
            all.push(measure(&servers, corpus, copies, form, partitions)?);
        }
    }
    seconds(&all)?;
    rates(&all)?;
    processors(&all)
}

fn measure(
    servers: &Servers,
    corpus: &Corpus,
    copies: usize,
    form: Form,
    partitions: u32,
) -> anyhow::Result<Measured> {
    let name = format!("{}-{partitions}", form.name());
    table::progress(format_args!("writing {name} to Kafka"));
    let topic = fill(servers, corpus, copies, form, &name, partitions)?;
    table::progress("consuming, encoding and putting, one after the other");
    let stages = Stages::measure(servers, &topic, &servers.store(&format!("{name}/stages")))?;
    let seal = |store: &str| start(servers, &topic.name, store, &stages.until, None);
    let (mut into_folder, mut into_s3) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        table::progress(format_args!("sealing, run {run}"));
        let folder = TempDir::new()?;
        into_folder.push(seal(&folder.path().to_string_lossy())?);
        let [broker, s3] = servers.processor()?;
        let started = seal(&servers.store(&format!("{name}/{run}")))?;
        let [broker_after, s3_after] = servers.processor()?;
        let (broker, s3) = (broker_after.saturating_sub(broker), s3_after.saturating_sub(s3));
        into_s3.push(Sealed { started, broker, s3 });
    }
    Ok(Measured { form, partitions, stages, into_folder, into_s3 })
}

fn fill(
    servers: &Servers,
    corpus: &Corpus,
    copies: usize,
    form: Form,
    name: &str,
    partitions: u32,
) -> anyhow::Result<Topic> {
    let copies = match form {
        Form::Deduplicated => copies * DEDUPLICATED_COPIES,
        Form::Full => copies,
    };
    let mut topic = Topic::create(&servers.brokers, name, partitions)?;
    for message in Messages::new(corpus, copies, form)? {
        let message = message?;
        topic.send(message.timestamp_ms, &message.key, &message.value)?;
    }
    topic.flush()?;
    Ok(topic)
}

impl Measured {
    fn name(&self) -> [String; 2] {
        [self.form.name().to_owned(), self.partitions.to_string()]
    }

    fn folder(&self) -> Spent {
        middle(self.into_folder.iter().map(|run| run.spent))
    }

    fn s3(&self) -> Spent {
        middle(self.into_s3.iter().map(|run| run.started.spent))
    }
}

/// How long each takes for the same segments.
fn seconds(all: &[Measured]) -> anyhow::Result<()> {
    let columns = [
        "seconds (wall)",
        "partitions",
        "segments",
        "topic MB",
        "consume alone",
        "encode alone, one thread",
        "put alone",
        "the three, one after the other",
        "sealer, into a folder",
        "sealer, into S3",
        "least to most",
    ];
    table::head("Kafka to S3: stages", &columns)?;
    for measured in all {
        let stages = &measured.stages;
        let [consume, encode, put] =
            [stages.consume, stages.encode, stages.put].map(|spent| spent.wall);
        let runs = || measured.into_s3.iter().map(|run| run.started.spent.wall);
        let figure = |time: Duration| format!("{:.2}", time.as_secs_f64());
        let [least, most] = [runs().min(), runs().max()].map(|run| figure(run.unwrap_or_default()));
        let [form, partitions] = measured.name();
        table::row(&[
            form,
            partitions,
            stages.segments.to_string(),
            format!("{:.0}", megabytes(stages.topic_bytes)),
            figure(consume),
            figure(encode),
            figure(put),
            figure(consume + encode + put),
            figure(measured.folder().wall),
            figure(measured.s3().wall),
            format!("{least} to {most}"),
        ])?;
    }
    Ok(())
}

fn rates(all: &[Measured]) -> anyhow::Result<()> {
    let columns = [
        "MB/s of topic",
        "partitions",
        "encode in memory, one thread (CPU)",
        "sealer, into S3 (wall)",
        "sealer, into S3, per core (CPU)",
        "peak memory, MB",
    ];
    table::head("Kafka to S3: rates", &columns)?;
    for measured in all {
        let (bytes, s3) = (measured.stages.topic_bytes, measured.s3());
        let peak = measured.into_s3.iter().map(|run| run.started.peak_bytes).max();
        let [form, partitions] = measured.name();
        table::row(&[
            form,
            partitions,
            format!("{:.0}", rate(bytes, measured.stages.encode.cpu)),
            format!("{:.0}", rate(bytes, s3.wall)),
            format!("{:.0}", rate(bytes, s3.cpu)),
            format!("{:.0}", megabytes(peak.unwrap_or_default())),
        ])?;
    }
    Ok(())
}

/// Whose the processors were.
fn processors(all: &[Measured]) -> anyhow::Result<()> {
    let columns = [
        "CPU-seconds",
        "partitions",
        "consume alone",
        "encode alone",
        "put alone",
        "S3 server for it",
        "sealer, into S3",
        "broker meanwhile",
        "S3 server meanwhile",
        "cores busy of 2",
    ];
    table::head("Kafka to S3: processor time", &columns)?;
    for measured in all {
        let (stages, s3) = (&measured.stages, measured.s3());
        let of = |server: fn(&Sealed) -> Duration| {
            median(measured.into_s3.iter().map(|run| server(run).as_secs_f64()).collect())
        };
        let (broker, server) = (of(|run| run.broker), of(|run| run.s3));
        let busy = (s3.cpu.as_secs_f64() + broker + server) / s3.wall.as_secs_f64();
        let [form, partitions] = measured.name();
        let figure = |seconds: f64| format!("{seconds:.2}");
        table::row(&[
            form,
            partitions,
            figure(stages.consume.cpu.as_secs_f64()),
            figure(stages.encode.cpu.as_secs_f64()),
            figure(stages.put.cpu.as_secs_f64()),
            figure(stages.put_server.as_secs_f64()),
            figure(s3.cpu.as_secs_f64()),
            figure(broker),
            figure(server),
            figure(busy),
        ])?;
    }
    Ok(())
}

/// The medians, each by itself.
fn middle(runs: impl Iterator<Item = Spent>) -> Spent {
    let (walls, cpus): (Vec<f64>, Vec<f64>) =
        runs.map(|spent| (spent.wall.as_secs_f64(), spent.cpu.as_secs_f64())).unzip();
    let of = |values| Duration::from_secs_f64(median(values).max(0.0));
    Spent { wall: of(walls), cpu: of(cpus) }
}
