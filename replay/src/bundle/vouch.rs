//! CORE. Who stands for a bundle's checkpoint: the log's key, witnesses, time-stamp authorities. Only those that the verifier
//! was told of count; nothing in a bundle says whom to trust.

use std::collections::BTreeSet;
use std::fmt;

use schemas::tlog::{Checkpoint, NoteSignature, Policy, VerifierKey};
use schemas::{BundleName, Digest, Seconds};

use crate::bundle::Bundle;
use crate::bundle::fault::Faults;
use crate::bundle::statement::{Stamp, Vouched};
use crate::emit::escape::escaped;

/// Whom a verifier trusts, and what it knows already.
#[derive(Clone, Copy, Default)]
pub struct Trust<'a> {
    /// Keys of logs and witnesses; without it nobody outside vouches for the log's key.
    pub policy: Option<&'a Policy>,
    /// A checkpoint that the verifier holds: the bundle's may not be older.
    pub known: Option<&'a Checkpoint>,
    /// Checks an RFC 3161 response to a request for the data with this digest; without it time-stamps are not looked at.
    pub stamped: Option<&'a Stamping<'a>>,
}

impl fmt::Debug for Trust<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (policy, known) = (&self.policy, &self.known);
        f.debug_struct("Trust")
            .field("policy", policy)
            .field("known", known)
            .finish_non_exhaustive()
    }
}

/// What says what a time-stamp of these data shows, or why nothing.
pub type Stamping<'a> = dyn Fn(&[u8], &Digest) -> Result<Stamped, String> + Sync + 'a;

/// What a time-stamp shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// The data existed by then.
    pub at: Seconds,
    /// The subject of the certificate that signed.
    pub authority: String,
    /// The root that the verifier trusts and that the certificate leads to.
    pub root: Option<String>,
}

/// Checks the checkpoint and everything that is over it.
pub(crate) fn vouch(bundle: &Bundle, trust: &Trust<'_>, faults: &mut Faults) -> Vouched {
    let (name, checkpoint) = (BundleName::Checkpoint, &bundle.checkpoint.checkpoint);
    let claim = &bundle.claim;
    if checkpoint.origin != claim.origin {
        faults.add(&name, "it is of another log than the claim: its origin is another");
    }
    if checkpoint.size != claim.size {
        faults.add(&name, "it is of another size than the claim");
    }
    let others = |line: &&NoteSignature| *line.name() != checkpoint.origin;
    if bundle.checkpoint.note.signatures.iter().any(|line| others(&line)) {
        faults.add(&name, "a signature line is not in the name of its origin");
    }
    if let Some(known) = trust.known {
        compare(checkpoint, known, faults);
    }
    let mut vouched = Vouched::default();
    if let Some(policy) = trust.policy {
        vouched.asked = true;
        vouched.keys = keys(bundle, policy, faults);
        witnesses(bundle, policy, &mut vouched, faults);
    } else {
        vouched.unknown_cosignatures = count(bundle.cosignatures.len());
    }
    stamps(bundle, trust, &mut vouched, faults);
    vouched
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn compare(checkpoint: &Checkpoint, known: &Checkpoint, faults: &mut Faults) {
    let name = BundleName::Checkpoint;
    if known.origin != checkpoint.origin {
        faults.add(&name, "it is of another log than the checkpoint that was given");
    } else if checkpoint.size < known.size {
        let (size, known) = (checkpoint.size, known.size);
        let why = format!("rolled back: it is of size {size}, and one of size {known} is known");
        faults.add(&name, why);
    } else if checkpoint.size == known.size && checkpoint.root != known.root {
        faults.add(&name, "two roots for one size: the log has forked");
    }
}

fn is_of(line: &NoteSignature, key: &VerifierKey) -> bool {
    (line.name(), line.id()) == (key.name(), key.id())
}

/// The given keys that signed the checkpoint.
fn keys(bundle: &Bundle, policy: &Policy, faults: &mut Faults) -> Vec<String> {
    let (name, checkpoint) = (BundleName::Checkpoint, &bundle.checkpoint);
    let origin = &checkpoint.checkpoint.origin;
    let ours: Vec<&VerifierKey> = policy.logs.iter().filter(|key| key.name() == origin).collect();
    if ours.is_empty() {
        faults.add(&name, format!("no key that was given is of its log, {origin}"));
        return Vec::new();
    }
    let lines = &checkpoint.note.signatures;
    let signed: Vec<&VerifierKey> =
        ours.into_iter().filter(|key| lines.iter().any(|line| is_of(line, key))).collect();
    if signed.is_empty() {
        faults.add(&name, "it is signed with an unknown key, none that was given");
    }
    let right = |key: &&VerifierKey| faults.take(&name, checkpoint.check(key)).is_some();
    signed.into_iter().filter(right).map(ToString::to_string).collect()
}

fn witnesses(bundle: &Bundle, policy: &Policy, vouched: &mut Vouched, faults: &mut Faults) {
    let name = BundleName::Cosignatures;
    let text = &bundle.checkpoint.note.text;
    for line in &bundle.cosignatures {
        match policy.witnesses.iter().find(|witness| is_of(line, &witness.key)) {
            None => vouched.unknown_cosignatures += 1,
            Some(witness) => match line.check(&witness.key, text) {
                Ok(at) => {
                    let at = Seconds(i64::try_from(at).unwrap_or(i64::MAX));
                    vouched.witnesses.push((witness.name.clone(), at));
                }
                Err(error) => faults.add(&name, format!("of {}: {error}", witness.name)),
            },
        }
    }
    let names: BTreeSet<&str> = vouched.witnesses.iter().map(|(name, _)| name.as_str()).collect();
    if !policy.is_met_by(&names) {
        faults.add(&name, "fewer witnesses have signed than the policy wants");
    }
}

fn stamps(bundle: &Bundle, trust: &Trust<'_>, vouched: &mut Vouched, faults: &mut Faults) {
    let data = Digest::of(bundle.checkpoint.note.to_string().as_bytes());
    for (name, response) in &bundle.timestamps {
        let mut stamp = Stamp { name: name.clone(), ..Stamp::default() };
        if let Some(check) = trust.stamped {
            let member = BundleName::Timestamp(name.clone());
            let Some(stamped) = faults.take(&member, check(response, &data)) else { continue };
            stamp.at = Some(stamped.at);
            let spelled = |name: &str| escaped(name).into_owned();
            stamp.authority = Some(spelled(&stamped.authority));
            stamp.root = stamped.root.as_deref().map(spelled);
        }
        vouched.stamps.push(stamp);
    }
}
