//! CORE. Whether a bundle shows what it claims: the six steps of `docs/format.md`, section 10.3, every fault told.

use schemas::tlog::{Entry, TlogProof};
use schemas::{
    BundleName, Claimed, Digest, EnrolledRecord, Neighbour, Rows, Shown, ShownContent, ShownRow,
    Timestamp, TimestampType, root_from_range,
};

use crate::bundle::fault::{Fault, Faults};
use crate::bundle::statement::Statement;
use crate::bundle::summary::{Summary, writer};
use crate::bundle::vouch::{Trust, vouch};
use crate::bundle::{Bundle, chain, contents, manual, page};

/// Checks a bundle, and says what it shows and by whose word.
///
/// # Errors
/// Every reason not to believe it, up to [`crate::bundle::FAULTS_MAX`].
pub fn check(bytes: &[u8], trust: &Trust<'_>) -> Result<Statement, Vec<Fault>> {
    let bundle = Bundle::read(bytes).map_err(|fault| vec![fault])?;
    let mut faults = Faults::default();
    let vouched = vouch(&bundle, trust, &mut faults);
    proofs(&bundle, &mut faults);
    chain::check(&bundle, &mut faults);
    for (number, link) in (0..).zip(&bundle.links) {
        if let (Entry::Record(record), Some(rows)) = (&link.entry, &link.rows) {
            let mut segment = Segment { bundle: &bundle, record, rows, number };
            segment.check(&mut faults);
        }
    }
    contents::check(&bundle, &mut faults);
    faults.finish()?;
    let mut faults = Faults::default();
    people(&bundle, &mut faults);
    faults.finish()?;
    Ok(Statement::new(&Summary::of(&bundle), vouched))
}

/// Every proof leads to the checkpoint's root and carries this checkpoint; indices ascend.
fn proofs(bundle: &Bundle, faults: &mut Faults) {
    let links = (0..)
        .zip(&bundle.links)
        .map(|(number, link)| (BundleName::Proof(number), &link.proof, link.entry.leaf_hash()));
    let beat = bundle.heartbeat.iter().map(|(beat, proof)| {
        (BundleName::HeartbeatProof, proof, schemas::leaf_hash(&beat.to_string()))
    });
    let (note, mut last) = (bundle.note(), None);
    for (name, proof, leaf) in links.chain(beat) {
        if proof.checkpoint.note != note {
            faults.add(&name, "it carries another checkpoint than the bundle");
        }
        faults.take(&name, TlogProof::check(proof, &leaf));
        if last.is_some_and(|last| last >= proof.index) {
            faults.add(&name, "its index does not come after that of the one before");
        }
        last = Some(proof.index);
    }
}

/// A record and what is shown of its rows.
struct Segment<'a> {
    bundle: &'a Bundle,
    record: &'a EnrolledRecord,
    rows: &'a Rows,
    number: u32,
}

impl Segment<'_> {
    fn check(&mut self, faults: &mut Faults) {
        let name = BundleName::Rows(self.number);
        match &self.bundle.claim.what {
            Claimed::Event(event) => {
                faults.take(&name, self.event(event));
            }
            Claimed::Session => {
                faults.take(&name, self.complete());
            }
            Claimed::Absent(range) => {
                faults.take(&name, self.complete());
                let inside = |time: &Timestamp| {
                    time.kind == TimestampType::None || range.contains(&time.millis)
                };
                for row in self.rows.own().filter(|row| inside(&row.timestamp)) {
                    let why = "a message of the session has a time in the range, or none";
                    faults.add(&name, format!("row {}: {why}", row.offset));
                }
            }
        }
        for row in self.rows.own() {
            if let Err(why) = self.place(row) {
                faults.add(&name, format!("row {}: {why}", row.offset));
            }
        }
    }

    /// One row, which is the event.
    fn event(&self, event: &Digest) -> Result<(), &'static str> {
        let [Shown::Row(row)] = self.rows.shown.as_slice() else {
            return Err("it does not show one row alone");
        };
        let ShownContent::Event(shown) = &row.content else {
            return Err("the message that is shown is no event");
        };
        if shown.digest() != *event {
            return Err("the event that is shown is another than the claim's");
        }
        self.is_in_tree()
    }

    fn is_in_tree(&self) -> Result<(), &'static str> {
        if self.rows.size != self.record.segment.rows {
            return Err("the range proof is of a tree of another size");
        }
        let proof = self.rows.proof(&self.bundle.claim.key);
        let leaf = |row: &Neighbour| schemas::leaf(&row.session, row.offset, &row.row);
        let leaves: Vec<Digest> = proof.rows.iter().map(leaf).collect();
        let root = root_from_range(&leaves, proof.start, proof.size, &proof.range);
        let right = root == Some(self.record.segment.root);
        right.then_some(()).ok_or("the range proof does not lead to the record's root")
    }

    /// All rows of the session and its neighbours, one on each side where there is one.
    fn complete(&self) -> Result<(), &'static str> {
        let (key, segment) = (&self.bundle.claim.key, &self.record.segment);
        let session = key.session_key();
        let proof = self.rows.proof(key);
        let own = proof.check(session, segment.root, segment.rows)?;
        if own.len() != self.rows.own().count() {
            return Err("a row of the session is shown as a neighbour only");
        }
        let sides = [
            proof.rows.iter().filter(|row| row.session < session).count(),
            proof.rows.iter().filter(|row| row.session > session).count(),
        ];
        if sides.iter().any(|side| *side > 1) {
            return Err("more than one neighbour is shown on a side");
        }
        Ok(())
    }

    /// Offset and time are of those that the record tells of.
    fn place(&self, row: &ShownRow) -> Result<(), &'static str> {
        let segment = &self.record.segment;
        if !(segment.start..segment.next).contains(&row.offset) {
            return Err("its offset is not one of the segment's");
        }
        let times = segment.time_min.zip(segment.time_max);
        let within = times.is_some_and(|(min, max)| (min..=max).contains(&row.timestamp.millis));
        if row.timestamp.kind != TimestampType::None && !within {
            return Err("its time is not one of the segment's");
        }
        Ok(())
    }
}

/// What is for people has to be what this version makes of the bundle, where this version made it: they prove nothing, and
/// are read all the same.
fn people(bundle: &Bundle, faults: &mut Faults) {
    if bundle.claim.writer != writer() {
        return;
    }
    let why = "it is not what its maker makes of this bundle: somebody changed it";
    let made = [
        (BundleName::Manual, &bundle.manual, manual::manual(bundle)),
        (BundleName::Page, &bundle.page, page::page(bundle)),
    ];
    for (name, found, made) in made {
        if found.as_deref() != Some(made.as_bytes()) {
            faults.add(&name, why);
        }
    }
}
