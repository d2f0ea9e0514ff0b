//! CORE. What the shown rows of a bundle say: whether envelopes are well formed and the session's, and each disclosed body
//! is one that they name.

use std::collections::{BTreeMap, BTreeSet};

use schemas::tlog::Entry;
use schemas::{
    Admission, BundleName, Chain, Digest, Framing, KafkaKey, Published, Salt, ShownContent,
    ShownEvent, Signature, body_digest, read_envelope,
};

use crate::bundle::Bundle;
use crate::bundle::fault::Faults;

/// Checks envelopes, bodies and schemas.
pub(crate) fn check(bundle: &Bundle, faults: &mut Faults) {
    for (number, row) in bundle.rows() {
        let name = BundleName::Rows(u32::try_from(number).unwrap_or(u32::MAX));
        let Some(Entry::Record(record)) = bundle.links.get(number).map(|link| &link.entry) else {
            continue;
        };
        if let ShownContent::Event(event) = &row.content
            && let Err(why) = check_event(event, &bundle.claim.key, &record.segment.chain)
        {
            faults.add(&name, format!("row {}: {why}", row.offset));
        }
    }
    bodies(bundle, faults);
    schemas_of(bundle, faults);
}

fn check_event(event: &ShownEvent, key: &KafkaKey, chain: &Chain) -> Result<(), &'static str> {
    let schema = Published::of_digest(&event.schema).ok_or("its schema is not published")?;
    let framed = match chain.framing {
        Framing::SingleObject => event.frame == schema.frame(),
        Framing::Confluent => event.frame.len() == 5 && event.frame.first() == Some(&0),
    };
    if !framed {
        return Err("its frame is not one of its topic and schema");
    }
    let envelope = read_envelope(&event.envelope)?;
    let owner = (key.tenant.as_str(), key.session.as_str());
    if (&*envelope.tenant, &*envelope.session_id) != owner {
        return Err("its tenant or session is not the claim's");
    }
    let signature = event.signature.as_deref().map(|bytes| Signature::from_bytes(bytes).is_some());
    let admission = event.admission.as_deref().map(|bytes| Admission::from_bytes(bytes).is_some());
    if [signature, admission].contains(&Some(false)) {
        return Err("its signature or admission is not well formed");
    }
    let named: BTreeSet<Digest> = envelope.contents.iter().map(|one| one.digest).collect();
    let carried: BTreeSet<Digest> = event.bodies.iter().map(|body| body.digest).collect();
    if carried.len() != event.bodies.len() || !carried.is_subset(&named) {
        return Err("a body stands twice, or is named by none of its contents");
    }
    Ok(())
}

fn bodies(bundle: &Bundle, faults: &mut Faults) {
    let mut named: BTreeMap<Digest, BTreeSet<u64>> = BTreeMap::new();
    for content in bundle.contents() {
        named.entry(content.digest).or_default().insert(content.size);
    }
    for (digest, body) in &bundle.bodies {
        let name = BundleName::Body(*digest);
        let Some(sizes) = named.get(digest) else {
            faults.add(&name, "no event that is shown names it");
            continue;
        };
        let Some((salt, content)) = body.split_first_chunk() else {
            faults.add(&name, "it has no salt");
            continue;
        };
        if body_digest(&Salt(*salt), content) != *digest {
            faults.add(&name, "its digest is another");
        }
        if sizes.iter().any(|size| usize::try_from(*size) != Ok(content.len())) {
            faults.add(&name, "it is not of the size that is named");
        }
    }
    let withheld = named.keys().filter(|digest| !bundle.bodies.contains_key(digest)).count();
    let counts = (u64::try_from(bundle.bodies.len()), u64::try_from(withheld));
    if counts != (Ok(bundle.claim.disclosed), Ok(bundle.claim.withheld)) {
        let why = "it says other numbers of disclosed and withheld bodies than there are";
        faults.add(&BundleName::Claim, why);
    }
}

/// The texts of the schemas that shown rows were written with, and no others.
fn schemas_of(bundle: &Bundle, faults: &mut Faults) {
    let used: BTreeSet<Digest> = bundle.events().map(|event| event.schema).collect();
    for digest in used.iter().filter(|digest| !bundle.schemas.contains_key(digest)) {
        faults.add(&BundleName::Schema(*digest), "it is not there");
    }
    for digest in bundle.schemas.keys().filter(|digest| !used.contains(digest)) {
        faults.add(&BundleName::Schema(*digest), "no row that is shown was written with it");
    }
}
