//! What was found of the log, for people.

use schemas::Seconds;

use crate::log::{LogReport, Sign};

/// Line by line.
pub(super) fn words(log: &LogReport) -> Vec<String> {
    let LogReport { origin, size, root, committed, commits, tiles, checkpoints, .. } = log;
    let (records, openings) = (log.records, log.openings);
    let mut lines = vec![
        format!("log {origin}: {size} entries, root {root}"),
        format!(
            "log: {records} records, {openings} openings, {} heartbeats, {} key changes; {commits} commits, {tiles} tiles, \
             {checkpoints} checkpoints compared",
            log.heartbeats, log.key_changes
        ),
    ];
    lines.extend(vouched(log));
    if let Some(size) = log.remembered {
        lines.push(format!("log: it goes on from the {size} entries that an earlier run saw"));
    }
    for (what, sign) in [
        ("heartbeat", log.newest.heartbeat),
        ("cosignature", log.newest.cosignature),
        ("time-stamp", log.newest.timestamp),
    ] {
        lines.extend(sign.map(|sign| newest(what, sign)));
    }
    let unpublished = committed.saturating_sub(*size);
    if unpublished > 0 {
        lines.push(format!("log: {unpublished} entries are committed and in no checkpoint yet"));
    }
    if log.pending > 0 {
        lines.push(format!("log: {} segments and openings wait to be enrolled", log.pending));
    }
    for entry in &log.abandoned {
        lines.push(format!("log: entry {entry} was set aside by a later epoch"));
    }
    lines.extend(log.warnings.iter().map(|warning| format!("WARNING: {warning}")));
    lines
}

fn vouched(log: &LogReport) -> Vec<String> {
    let trust = &log.trust;
    let mut lines = vec![match &trust.key {
        Some(key) => format!("log: signed, trusted by the key {key}"),
        None if trust.given => "log: NOT signed with a key that was given".to_owned(),
        None => "log: nobody outside vouches for its key".to_owned(),
    }];
    if let Some(size) = trust.quorum_size {
        let cosignatures = trust.cosignatures;
        lines.push(format!(
            "log: witnesses enough vouch for its first {size} entries ({cosignatures} cosignatures in all)"
        ));
    } else if trust.cosignatures > 0 {
        lines.push(format!("log: {} cosignatures are right", trust.cosignatures));
    }
    lines
}

fn newest(what: &str, sign: Sign) -> String {
    let age = sign.age.map_or_else(String::new, |age| format!(", {} minutes ago", age / 60));
    format!("log: the newest {what} is of {}{age}, at {} entries", Seconds(sign.at), sign.size)
}
