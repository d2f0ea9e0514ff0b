//! CORE. Whether the links of a bundle are a run of one partition's chain (`docs/format.md`, section 7), as its claim needs it.

use schemas::tlog::{Beat, Entry};
use schemas::{BundleName, Claimed, ObjectKey, partition_of};

use crate::bundle::Bundle;
use crate::bundle::fault::Faults;
use crate::chain;
use crate::segment::key_of;

/// Checks the links.
pub(crate) fn check(bundle: &Bundle, faults: &mut Faults) {
    let claim = &bundle.claim;
    let name = BundleName::Claim;
    if u64::try_from(bundle.links.len()) != Ok(claim.links) {
        faults.add(&name, "it says another number of links than there are");
    }
    let key = claim.key.to_bytes();
    let mut place = chain::Link::default();
    let mut before: Option<&Entry> = None;
    for (number, entry) in (0..).zip(bundle.links.iter().map(|link| &link.entry)) {
        let name = BundleName::Entry(number);
        if entry.partition() != Some((&claim.topic, claim.partition)) {
            faults.add(&name, "it is of another partition than the claim");
        }
        if partitions(entry).is_some_and(|n| partition_of(&key, n) != claim.partition) {
            faults.add(&name, "the session's key is of another partition");
        }
        if before.is_some_and(|before| entry.prev() != Some(before.leaf_hash())) {
            faults.add(&name, "it does not follow the link before: one is missing, or another");
            place.lose();
        }
        for why in follow(&mut place, entry, before) {
            faults.add(&name, why);
        }
        before = Some(entry);
    }
    let records = bundle.links.iter().filter(|link| link.rows.is_some()).count();
    match &claim.what {
        Claimed::Event(_) if (bundle.links.len(), records) != (1, 1) => {
            faults.add(&name, "an event is shown by one link, a record");
        }
        Claimed::Session | Claimed::Absent(_) if records == 0 => {
            faults.add(&name, "no record is shown");
        }
        Claimed::Session if bundle.rows().next().is_none() => {
            faults.add(&name, "no message of the session is shown");
        }
        Claimed::Absent(range) if !is_before(bundle, range.start) => {
            let why = "the first link is neither of earlier messages alone nor the first there is";
            faults.add(&name, why);
        }
        _ => {}
    }
    heartbeat(bundle, faults);
}

/// Partitions of the topic, as a link says.
fn partitions(entry: &Entry) -> Option<u32> {
    match entry {
        Entry::Opening(opening) => Some(opening.chain.partitions),
        Entry::Record(record) => Some(record.segment.chain.partitions),
        Entry::Heartbeat(_) | Entry::KeyChange(_) => None,
    }
}

/// Goes on to a link; what is wrong with it there.
fn follow(place: &mut chain::Link, entry: &Entry, before: Option<&Entry>) -> Vec<String> {
    let (found, right, why) = match entry {
        Entry::Opening(opening) => {
            let chain = &opening.chain;
            let key = ObjectKey::Epoch(chain.topic.clone(), chain.partition, chain.epoch);
            let next =
                epoch(before).is_none_or(|epoch| epoch.checked_add(1) == Some(chain.epoch.0));
            (place.open(Some(opening), &key), next, "its epoch is not the next one")
        }
        Entry::Record(record) => {
            let right = record.key == key_of(&record.segment).to_string()
                && record.segment.start < record.segment.next;
            (place.follow(record, None), right, "its key is another segment's, or its range none")
        }
        Entry::Heartbeat(_) | Entry::KeyChange(_) => return Vec::new(),
    };
    let own = (!right).then(|| why.to_owned());
    found.into_iter().map(|(_, why)| why).chain(own).collect()
}

fn epoch(entry: Option<&Entry>) -> Option<u32> {
    match entry? {
        Entry::Opening(opening) => Some(opening.chain.epoch.0),
        Entry::Record(record) => Some(record.segment.chain.epoch.0),
        Entry::Heartbeat(_) | Entry::KeyChange(_) => None,
    }
}

/// Whether the first link leaves nothing before it that might hold messages from `from` on.
fn is_before(bundle: &Bundle, from: i64) -> bool {
    bundle.links.first().is_some_and(|link| match &link.entry {
        Entry::Opening(opening) => opening.chain.epoch.0 == 0,
        Entry::Record(record) => record.segment.time_max.is_some_and(|max| max < from),
        Entry::Heartbeat(_) | Entry::KeyChange(_) => false,
    })
}

/// A heartbeat is one that tells of the last link.
fn heartbeat(bundle: &Bundle, faults: &mut Faults) {
    let Some((heartbeat, _)) = &bundle.heartbeat else { return };
    let last = bundle.links.last().map(|link| link.entry.leaf_hash());
    let claim = &bundle.claim;
    let tells = |beat: &Beat| beat.partition == claim.partition && Some(beat.leaf) == last;
    if heartbeat.topic != claim.topic || !heartbeat.beats.iter().any(tells) {
        faults.add(&BundleName::Heartbeat, "it does not tell of the last link that is shown");
    }
}
