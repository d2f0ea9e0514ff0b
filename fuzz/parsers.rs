//! What is fuzzed: every parser of what a stranger may hand over. Each must end without a panic, and give back byte for byte what
//! it took.

mod captured;

use replay::Trust;
use schemas::tlog::{Commit, Entry, Note, Policy, SignedCheckpoint, TlogProof, VerifierKey};
use schemas::{Claim, Rows};

type Parser = fn(&[u8]);

/// Parsers by the name of their target and corpus.
pub const ALL: &[(&str, Parser)] = &[
    ("note", note),
    ("checkpoint", checkpoint),
    ("commit", commit),
    ("entry", entry),
    ("policy", policy),
    ("tlog_proof", tlog_proof),
    ("vkey", vkey),
    ("claim", claim),
    ("rows", rows),
    ("bundle", bundle),
    ("timestamp", timestamp),
    ("otlp_traces", captured::otlp_traces),
    ("otlp_logs", captured::otlp_logs),
    ("otlp_json", captured::otlp_json),
    ("exchange", captured::exchange),
    ("mcp", captured::mcp),
    ("mcp_http", captured::mcp_http),
    ("redaction", captured::redaction),
    ("redaction_rules", captured::redaction_rules),
];

/// Runs the parser of this name.
pub fn run(name: &str, bytes: &[u8]) {
    ALL.iter().filter(|(known, _)| *known == name).for_each(|(_, parse)| parse(bytes));
}

fn note(bytes: &[u8]) {
    if let Ok(note) = Note::parse(bytes) {
        assert_eq!(note.to_string().as_bytes(), bytes);
    }
}

fn checkpoint(bytes: &[u8]) {
    if let Ok(signed) = SignedCheckpoint::parse(bytes) {
        assert_eq!(format!("{}\n", signed.checkpoint), format!("{}\n", signed.note.text));
    }
}

fn commit(bytes: &[u8]) {
    if let Ok(commit) = Commit::parse(bytes) {
        assert_eq!(commit.to_bytes(), bytes);
    }
}

fn entry(bytes: &[u8]) {
    text(bytes, |text| Entry::parse(text).ok().map(|entry| entry.to_string()));
}

fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(policy) = Policy::parse(text) {
        let _met_or_not = policy.is_met_by(&Default::default());
    }
}

fn tlog_proof(bytes: &[u8]) {
    if let Ok(proof) = TlogProof::parse(bytes) {
        assert_eq!(proof.to_string().as_bytes(), bytes);
        let _shown_or_not = proof.check(&schemas::Digest::ZERO);
    }
}

fn vkey(bytes: &[u8]) {
    text(bytes, |text| text.parse::<VerifierKey>().ok().map(|key| key.to_string()));
}

fn claim(bytes: &[u8]) {
    text(bytes, |text| Claim::parse(text).ok().map(|claim| claim.to_string()));
}

fn rows(bytes: &[u8]) {
    text(bytes, |text| Rows::parse(text).ok().map(|rows| rows.to_string()));
}

/// With the hash at its end made right, or nothing else would ever be looked at.
fn bundle(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    if let Some(at) = bytes.len().checked_sub(64) {
        let hash = schemas::Digest::of(&bytes[..at]).to_string();
        bytes[at..].copy_from_slice(hash.as_bytes());
    }
    let _judged = replay::check_bundle(&bytes, &Trust::default());
}

fn timestamp(bytes: &[u8]) {
    let _judged = anchor::timestamp::check(bytes, &schemas::Digest::ZERO, None);
}

fn text(bytes: &[u8], reprinted: impl Fn(&str) -> Option<String>) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(reprinted) = reprinted(text) {
        assert_eq!(reprinted, text);
    }
}
