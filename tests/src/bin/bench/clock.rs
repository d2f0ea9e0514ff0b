//! SHELL: wall time, processor time and peak memory, as the kernel counts them.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use anyhow::Context;

/// What something took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

/// Whose processor time counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of {
    /// The calling thread, to the nanosecond.
    Thread,
    /// The whole process, to the hundredth of a second.
    Process,
}

/// Runs `work`; says what it took.
pub(crate) fn timed<T>(of: Of, work: impl FnOnce() -> T) -> anyhow::Result<(T, Spent)> {
    let (wall, cpu) = (Instant::now(), processor(of)?);
    let done = work();
    let spent = Spent { wall: wall.elapsed(), cpu: processor(of)?.saturating_sub(cpu) };
    Ok((done, spent))
}

pub(crate) fn now() -> Instant {
    Instant::now()
}

fn processor(of: Of) -> anyhow::Result<Duration> {
    match of {
        Of::Thread => {
            let text = read("/proc/thread-self/schedstat")?;
            let spent = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
            spent.map(Duration::from_nanos).context("schedstat has no time on the processor")
        }
        Of::Process => processor_of("self"),
    }
}

/// What a process has had of the processor so far, to the hundredth of a second.
pub(crate) fn processor_of(process: &str) -> anyhow::Result<Duration> {
    let text = read(&format!("/proc/{process}/stat"))?;
    // The second field, the name, may hold spaces; it ends with the last bracket.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<_, _>>().context("stat has no times")?;
    // Linux shows ticks of 10 ms on every machine, whatever it counts in.
    Ok(Duration::from_millis(ticks * 10))
}

/// The most memory that this process has had, in bytes.
pub(crate) fn peak_bytes() -> anyhow::Result<u64> {
    let text = read("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib << 10).context("status has no VmHWM")
}

fn read(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> anyhow::Result<i64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_secs())?)
}
