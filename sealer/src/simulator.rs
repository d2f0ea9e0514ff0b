//! The sealing protocol, as it is, under a seeded simulator: several sealers and operators take turns, effect by effect, crash
//! at any of them, and the store and the source break in every way they can. Everything is audited after every step.
//!
//! A seed is a whole run, and the same run every time. One that fails prints itself and how to run it again:
//! `CHANCERY_SEED=N` runs one seed and prints its trace; `CHANCERY_SEEDS=N` sets how many are run, `CHANCERY_SEED_FIRST`
//! the first. What is not simulated: tasks, threads, Kafka's client, and the bytes of bodies.

mod actor;
mod audit;
mod dice;
mod enrolled;
mod faulty;
pub(crate) mod memo;
mod overlap;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use faulty::Broken;
use world::{Mistake, Outcome};

/// Seeds that are run unless the environment says otherwise.
const SEEDS: u64 = 2_000;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, which is no number")))
}

/// Runs seeds on a runtime of one thread, whose clock stands still.
fn simulate<T>(run: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(run)
}

fn replay(seed: u64, mistake: Mistake) -> Outcome {
    simulate(world::run(seed, mistake, true))
}

/// The first of `seeds` that breaks a rule, and how many were run, on all processors.
fn first_failure(first: u64, seeds: u64, mistake: Mistake) -> (Option<u64>, u64) {
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let work = || {
        simulate(async {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= seeds || failed.load(Ordering::Relaxed) != u64::MAX {
                    return;
                }
                if world::run(first + index, mistake, false).await.violation.is_some() {
                    failed.fetch_min(first + index, Ordering::Relaxed);
                }
            }
        });
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let failed = Some(failed.into_inner()).filter(|seed| *seed != u64::MAX);
    (failed, next.into_inner().min(seeds))
}

#[test]
fn no_seed_breaks_a_rule() {
    let one = number("CHANCERY_SEED");
    let (first, seeds) = match one {
        Some(seed) => (seed, 1),
        None => {
            (number("CHANCERY_SEED_FIRST").unwrap_or(0), number("CHANCERY_SEEDS").unwrap_or(SEEDS))
        }
    };
    let failed = first_failure(first, seeds, Mistake::default()).0;
    let Some(seed) = failed.or(one) else { return };
    let Outcome { violation, trace, .. } = replay(seed, Mistake::default());
    println!("{}", trace.join("\n"));
    if let Some(violation) = violation {
        panic!(
            "seed {seed}: {violation}\nagain: CHANCERY_SEED={seed} cargo test -p sealer simulator -- --nocapture"
        );
    }
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in 0..20 {
        assert_eq!(
            replay(seed, Mistake::default()),
            replay(seed, Mistake::default()),
            "seed {seed}"
        );
    }
}

#[test]
fn the_runs_get_to_where_things_are_hard() {
    let outcomes: Vec<Outcome> = (0..60).map(|seed| replay(seed, Mistake::default())).collect();
    let told = |what: &str| {
        outcomes.iter().filter(|one| one.trace.iter().any(|line| line.contains(what))).count()
    };
    for what in [
        "Unsaid",
        "Late",
        "Conflict",
        "Stale",
        "crashes",
        "arrives: true",
        "planted",
        "truncated",
        "re-created",
        "retention",
        "the offsets between were lost",
        "is not what the source holds",
        "does not belong to the chain",
        "marker",
    ] {
        assert!(told(what) > 0, "no run had {what:?}");
    }
    assert!(outcomes.iter().any(|one| one.epochs > 2));
    assert!(outcomes.iter().map(|one| one.segments).sum::<usize>() > 100);
}

#[test]
fn mistakes_are_found() {
    let store = |store| Mistake { store, ..Mistake::default() };
    for mistake in [
        store(Broken::Overwrites),
        store(Broken::SaysCreated),
        Mistake { commits_first: true, ..Mistake::default() },
    ] {
        let (failed, run) = first_failure(0, 200, mistake);
        assert!(failed.is_some(), "{mistake:?} was not found");
        println!("{mistake:?}: found within {run} seeds");
    }
}
