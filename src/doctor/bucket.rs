//! SHELL: whether a store keeps what is written to it, found out by trying.
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: clocks are compared, and locks end at a time"
)]

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use schemas::{LockMode, Seconds};
use store::{Created, Lock, S3, Store};
use tokio::task::JoinSet;

use super::check::Check;

/// How far clocks may be apart: locks and retention go by them.
const CLOCK_OFF_MAX_S: i64 = 30;
/// Writers that race for a key, and how often they do.
const WRITERS: usize = 16;
const ROUNDS: usize = 4;
/// How long the probe is locked, and how much shorter it is tried to be made.
const LOCK_S: i64 = 120;
const SHORTER_S: i64 = 60;
const TEXT: &[u8] = b"written by chancery doctor\n";

const REACHED: &str = "store reachable";
const VERSIONING: &str = "bucket versioning";
const LOCKS: &str = "bucket object lock";
const CLOCK: &str = "clock";
const CONDITION: &str = "conditional write";
const LOCKED: &str = "lock on write";
const DELETION: &str = "deletion under lock";
const SHORTENING: &str = "shortening a lock";
const CHECKSUM: &str = "checksum";

/// Checks a store; `mode` is that of the settings. Objects are written under `folder`, which nobody else writes to.
pub(super) async fn check(store: &Store, mode: Option<LockMode>, folder: &str) -> Vec<Check> {
    let Some(s3) = store.s3() else {
        let lock = Check::wrong(
            LOCKS,
            "the store is a folder of this machine",
            "whoever can write to it can take evidence away",
            "use a bucket with object lock for what must be evidence",
        );
        return vec![lock, race(store, folder).await];
    };
    let bucket = match s3.bucket().await {
        Ok(bucket) => bucket,
        Err(error) => return vec![unreached(error)],
    };
    let mut checks = vec![
        Check::ok(REACHED, "it answers"),
        versioning(bucket.versioning),
        locks(bucket.lock),
        clock(bucket.clock, now()),
        race(store, folder).await,
        checksum(s3, &format!("{folder}/damaged")).await,
    ];
    if bucket.lock {
        let mode = mode.unwrap_or(LockMode::Governance);
        checks.extend(locked(store, s3, mode, &format!("{folder}/locked")).await);
    }
    checks
}

fn unreached(error: store::Error) -> Check {
    if error.refusal().is_none() {
        return Check::failed(REACHED, error);
    }
    let found = format!("{:#}", anyhow::Error::new(error));
    let why = "the sealer will be refused too, and with other credentials something else would be checked";
    let remedy = "give the name of a bucket that exists, and credentials that may read its settings \
                  (s3:GetBucketVersioning, s3:GetBucketObjectLockConfiguration)";
    Check::wrong(REACHED, found, why, remedy)
}

fn versioning(is_on: bool) -> Check {
    if is_on {
        return Check::ok(VERSIONING, "on");
    }
    let why = "what is overwritten or deleted is gone for good";
    Check::wrong(VERSIONING, "off", why, "turn it on before anything is sealed here")
}

fn locks(is_on: bool) -> Check {
    if is_on {
        return Check::ok(LOCKS, "on");
    }
    let why = "whoever may delete can take evidence away, and nothing is left to show it";
    let remedy = "make a new bucket with object lock; most servers cannot turn it on later";
    Check::wrong(LOCKS, "off", why, remedy)
}

fn clock(server: Option<Seconds>, local: Seconds) -> Check {
    let Some(server) = server else {
        return Check::unchecked(CLOCK, "the server does not say its time", "compare it yourself");
    };
    let off = local.0.saturating_sub(server.0);
    let found = format!("this machine and the store are {} s apart", off.saturating_abs());
    if off.saturating_abs() <= CLOCK_OFF_MAX_S {
        return Check::ok(CLOCK, found);
    }
    let why = "requests are refused when clocks differ, and locks end at the wrong time";
    Check::wrong(CLOCK, found, why, "synchronise both with NTP")
}

/// Writers race for a key that is free: one may win, and nothing but its object may be left.
async fn race(store: &Store, folder: &str) -> Check {
    // All at once: some servers make those that lose wait for seconds.
    let mut races = JoinSet::new();
    for round in 0..ROUNDS {
        let (store, key) = (store.clone(), format!("{folder}/race-{round}"));
        races.spawn(async move { one_race(&store, &key).await });
    }
    for raced in races.join_all().await {
        match raced {
            Ok(None) => {}
            Ok(Some(found)) => {
                let why = "two sealers would both believe to have written the same segment, and the chain would fork";
                let remedy = "use a server that knows `If-None-Match: *`, and no proxy before it that drops the header";
                return Check::wrong(CONDITION, found, why, remedy);
            }
            Err(check) => return check,
        }
    }
    Check::ok(CONDITION, format!("{ROUNDS} times {WRITERS} writers raced, and one won each time"))
}

/// What was wrong, if anything.
async fn one_race(store: &Store, key: &str) -> Result<Option<String>, Check> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, key) = (store.clone(), key.to_owned());
        writers.spawn(async move { (writer, store.create(&key, text(writer), None).await) });
    }
    let (mut winners, mut errors) = (Vec::new(), Vec::new());
    for (writer, written) in writers.join_all().await {
        match written {
            Ok(Created::New) => winners.push(writer),
            Ok(Created::Exists) => {}
            // A write that met another one under way is refused so; whether it is one of those shows below.
            Err(error) => errors.push(error),
        }
    }
    let winner = match (winners.as_slice(), errors.pop()) {
        ([winner], _) => *winner,
        ([], Some(error)) => return Err(Check::failed(CONDITION, error)),
        ([], None) => return Ok(Some("nobody won a race for a key that was free".to_owned())),
        (winners, _) => {
            return Ok(Some(format!(
                "{} of {WRITERS} writers won a race for one key",
                winners.len()
            )));
        }
    };
    let read = store.get(key, 1024).await.map_err(|error| Check::failed(CONDITION, error))?;
    if read != Some(text(winner)) {
        return Ok(Some("what the winner of a race wrote is not what is there".to_owned()));
    }
    let Some(s3) = store.s3() else { return Ok(None) };
    let page = s3.versions(key, None).await.map_err(|error| Check::failed(CONDITION, error))?;
    let count = page.versions.len();
    Ok((count != 1).then(|| format!("a race left {count} versions of one key")))
}

fn text(writer: usize) -> Bytes {
    format!("written by chancery doctor, writer {writer}\n").into()
}

async fn checksum(s3: &S3, key: &str) -> Check {
    match s3.try_create_damaged(key, Bytes::from_static(TEXT), b"something else").await {
        Err(error) if is_refused(&error) => {
            Check::ok(CHECKSUM, "what is damaged on its way is refused")
        }
        Err(error) => Check::failed(CHECKSUM, error),
        Ok(()) => Check::wrong(
            CHECKSUM,
            "the server took bytes that are not those of the SHA-256 sent along",
            "what is damaged on its way would be locked as it came",
            "use a server that checks x-amz-checksum-sha256",
        ),
    }
}

/// A write under a lock: that the lock came with it, and holds.
async fn locked(store: &Store, s3: &S3, mode: LockMode, key: &str) -> Vec<Check> {
    let lock = Lock { mode, until: Seconds(now().0.saturating_add(LOCK_S)) };
    let version = match written(store, s3, lock, key).await {
        Ok(version) => version,
        Err(check) => return vec![check],
    };
    let shorter = Lock { until: Seconds(lock.until.0.saturating_sub(SHORTER_S)), ..lock };
    vec![
        Check::ok(LOCKED, format!("a write came out locked ({mode})")),
        deletion(s3, key, &version).await,
        shortening(s3, key, &version, lock, shorter).await,
    ]
}

/// The version that was written, and its lock seen on it.
async fn written(store: &Store, s3: &S3, lock: Lock, key: &str) -> Result<String, Check> {
    let failed = |error| Check::failed(LOCKED, error);
    store.create(key, Bytes::from_static(TEXT), Some(lock)).await.map_err(failed)?;
    let content = store.content(key).await.map_err(failed)?;
    let Some(version) = content.and_then(|content| content.version) else {
        let remedy = "use a server that says which version it gives (x-amz-version-id)";
        return Err(Check::unchecked(LOCKED, "the server names no version", remedy));
    };
    match s3.retention(key, Some(&version)).await.map_err(failed)? {
        Some(found) if found == lock => Ok(version),
        found => {
            let said = |lock: Lock| format!("{} until {}", lock.mode, lock.until);
            let found = found.map_or_else(|| "no lock".to_owned(), said);
            let found = format!("written with {}, it came out with {found}", said(lock));
            let why = "what is sealed could be taken away";
            let remedy =
                "use a server that keeps the lock that a write brings, and no proxy that drops it";
            Err(Check::wrong(LOCKED, found, why, remedy))
        }
    }
}

async fn deletion(s3: &S3, key: &str, version: &str) -> Check {
    let asked = s3.try_delete(key, version).await;
    // What was said is one thing, what is left another.
    match (asked, s3.head(key, Some(version)).await) {
        (Err(error), Ok(Some(_))) if is_refused(&error) => Check::ok(DELETION, "refused"),
        (_, Ok(None)) | (Ok(()), Ok(Some(_))) => Check::wrong(
            DELETION,
            "the server let a locked version be deleted",
            "its locks are words",
            "use a server that keeps its locks; run doctor with the sealer's credentials, which need no bypass permission",
        ),
        (Err(error), _) | (_, Err(error)) => Check::failed(DELETION, error),
    }
}

async fn shortening(s3: &S3, key: &str, version: &str, lock: Lock, shorter: Lock) -> Check {
    let asked = s3.retain(key, Some(version), shorter).await;
    match (asked, s3.retention(key, Some(version)).await) {
        (Err(error), Ok(Some(found))) if is_refused(&error) && found == lock => {
            Check::ok(SHORTENING, "refused")
        }
        (Err(error), _) if !is_refused(&error) => Check::failed(SHORTENING, error),
        (_, Err(error)) => Check::failed(SHORTENING, error),
        _ => Check::wrong(
            SHORTENING,
            "the server let a lock be shortened",
            "a lock that can be shortened ends when somebody wants it to",
            "use a server that keeps its locks; for mode governance, take s3:BypassGovernanceRetention from these credentials",
        ),
    }
}

/// 403 on most servers, 400 on some: anything that is no failure of the server's, and will not pass.
fn is_refused(error: &store::Error) -> bool {
    error.refusal().is_some() && error.kind() == store::Kind::Refused
}

fn now() -> Seconds {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Verdict;

    #[test]
    fn clocks_may_be_half_a_minute_apart() {
        let verdict = |server| clock(Some(Seconds(server)), Seconds(1000)).verdict;
        assert_eq!((verdict(970), verdict(1030)), (Verdict::Ok, Verdict::Ok));
        assert_eq!((verdict(969), verdict(1031)), (Verdict::Wrong, Verdict::Wrong));
        assert_eq!(clock(None, Seconds(0)).verdict, Verdict::Unchecked);
    }

    #[tokio::test]
    async fn a_folder_has_no_lock_and_writes_create_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_str().unwrap()).unwrap();
        let checks = check(&store, None, "probe/x").await;
        let verdicts: Vec<_> = checks.iter().map(|check| (check.check, check.verdict)).collect();
        assert_eq!(verdicts, [(LOCKS, Verdict::Wrong), (CONDITION, Verdict::Ok)]);
    }
}
