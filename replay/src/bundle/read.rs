//! CORE. A bundle's bytes to its parts: the hash first, then names, then texts, each exactly as it would be printed.

use std::collections::BTreeMap;

use schemas::tlog::{Entry, Heartbeat, Note, NoteSignature, SignedCheckpoint, TlogProof};
use schemas::{BundleName, Claim, Digest, Rows};

use crate::bundle::fault::Fault;
use crate::bundle::zip;
use crate::bundle::{Bundle, Link};

type Members = BTreeMap<BundleName, Vec<u8>>;

impl Bundle {
    /// Reads a bundle.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let mut members = members(bytes)?;
        let claim = parsed(&mut members, &BundleName::Claim, Claim::parse)?;
        let (name, checkpoint) = take(&mut members, BundleName::Checkpoint)?;
        let checkpoint = SignedCheckpoint::parse(&checkpoint)
            .map_err(|error| Fault::of(&name, error.to_string()))?;
        let mut bundle = Self {
            claim,
            checkpoint,
            cosignatures: Vec::new(),
            timestamps: BTreeMap::new(),
            links: Vec::new(),
            heartbeat: None,
            bodies: BTreeMap::new(),
            schemas: BTreeMap::new(),
            manual: members.remove(&BundleName::Manual),
            page: members.remove(&BundleName::Page),
        };
        if members.contains_key(&BundleName::Cosignatures) {
            bundle.cosignatures = parsed(&mut members, &BundleName::Cosignatures, lines)?;
            // Two lines of one key would be no note.
            Note::parse(bundle.note().to_string().as_bytes())
                .map_err(|error| Fault::of(&BundleName::Cosignatures, error.to_string()))?;
        }
        while members.contains_key(&BundleName::Entry(bundle.number())) {
            let link = link(&mut members, bundle.number())?;
            bundle.links.push(link);
        }
        if members.contains_key(&BundleName::Heartbeat) {
            let beat = parsed(&mut members, &BundleName::Heartbeat, Heartbeat::parse)?;
            bundle.heartbeat = Some((beat, proof(&mut members, BundleName::HeartbeatProof)?));
        }
        for (name, content) in members {
            match name {
                BundleName::Timestamp(authority) => {
                    bundle.timestamps.insert(authority, content);
                }
                BundleName::Body(digest) => {
                    bundle.bodies.insert(digest, content);
                }
                BundleName::Schema(digest) if Digest::of(&content) == digest => {
                    bundle.schemas.insert(digest, content);
                }
                BundleName::Schema(_) => return Err(Fault::of(&name, "its digest is another")),
                other => return Err(Fault::of(&other, "it belongs to nothing that is there")),
            }
        }
        Ok(bundle)
    }

    /// The number of the next link.
    fn number(&self) -> u32 {
        u32::try_from(self.links.len()).unwrap_or(u32::MAX)
    }
}

fn members(bytes: &[u8]) -> Result<Members, Fault> {
    let mut members = Members::new();
    for member in zip::open(bytes).map_err(Fault::file)? {
        let name = BundleName::parse(member.name)
            .ok_or_else(|| Fault::file(format!("{:?} is no name in a bundle", member.name)))?;
        let content = member.content().map_err(|why| Fault::of(&name, why))?;
        members.insert(name, content);
    }
    Ok(members)
}

fn take(members: &mut Members, name: BundleName) -> Result<(BundleName, Vec<u8>), Fault> {
    match members.remove(&name) {
        Some(content) => Ok((name, content)),
        None => Err(Fault::of(&name, "it is not there")),
    }
}

fn parsed<T, E: std::fmt::Display>(
    members: &mut Members,
    name: &BundleName,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, Fault> {
    let (name, content) = take(members, name.clone())?;
    let text = std::str::from_utf8(&content).map_err(|_| Fault::of(&name, "it is not UTF-8"))?;
    parse(text).map_err(|error| Fault::of(&name, error.to_string()))
}

fn proof(members: &mut Members, name: BundleName) -> Result<TlogProof, Fault> {
    let (name, proof) = take(members, name)?;
    TlogProof::parse(&proof).map_err(|error| Fault::of(&name, error.to_string()))
}

fn link(members: &mut Members, number: u32) -> Result<Link, Fault> {
    let entry = parsed(members, &BundleName::Entry(number), Entry::parse)?;
    let proof = proof(members, BundleName::Proof(number))?;
    let name = BundleName::Rows(number);
    let rows = match (&entry, members.contains_key(&name)) {
        (Entry::Record(_), _) => Some(parsed(members, &name, Rows::parse)?),
        (Entry::Opening(_), false) => None,
        (Entry::Opening(_), true) => return Err(Fault::of(&name, "an opening has no rows")),
        _ => {
            let why = "it is no link of a partition's chain";
            return Err(Fault::of(&BundleName::Entry(number), why));
        }
    };
    Ok(Link { entry, proof, rows })
}

fn lines(text: &str) -> Result<Vec<NoteSignature>, String> {
    let lines: Result<Vec<NoteSignature>, _> = text.lines().map(str::parse).collect();
    let lines = lines.map_err(|error| error.to_string())?;
    let same = !lines.is_empty()
        && lines.iter().map(ToString::to_string).eq(text.split_inclusive('\n').map(str::to_owned));
    same.then_some(lines).ok_or_else(|| "it is not spelled as it must be".to_owned())
}
