//! CORE. What a segment shows of a session, or of one event: every row is read, since the tree is of all of them.

use schemas::{
    Digest, EnrolledRecord, KafkaKey, Neighbour, Offset, Rows, SessionProof, Shown, ShownContent,
    ShownRow, leaf, range_proof, root,
};

use crate::decode::{Batch, Breach, Segment};
use crate::finding::Kind;
use crate::row::{self, Content};

/// All rows of a session, and its neighbours.
pub(crate) fn of_session(
    segment: &Segment,
    record: &EnrolledRecord,
    key: &KafkaKey,
) -> Result<Rows, Breach> {
    let session = key.session_key();
    let (all, own) = gather(segment, record, |row| row.session == session)?;
    let proof = SessionProof::new(&all, session);
    let mut own = own.into_iter();
    let shown = proof.rows.iter().filter_map(|row| {
        if row.session != session {
            return Some(Shown::Other(*row));
        }
        own.next().map(|(_, row)| Shown::Row(Box::new(row)))
    });
    let shown = shown.collect();
    Ok(Rows { size: count(proof.size), start: count(proof.start), range: proof.range, shown })
}

/// The row at an offset alone.
pub(crate) fn of_event(
    segment: &Segment,
    record: &EnrolledRecord,
    key: &KafkaKey,
    offset: Offset,
) -> Result<Rows, Breach> {
    let session = key.session_key();
    let wanted = |row: &Neighbour| (row.session, row.offset) == (session, offset);
    let (all, own) = gather(segment, record, wanted)?;
    let own = own.into_iter().next();
    let (at, row) = own.ok_or_else(|| Breach::profile("the row is not there any more"))?;
    let leaves: Vec<Digest> = all.iter().map(leaf_of).collect();
    let range = range_proof(&leaves, at..at.saturating_add(1));
    let shown = vec![Shown::Row(Box::new(row))];
    Ok(Rows { size: count(all.len()), start: count(at), range, shown })
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn leaf_of(row: &Neighbour) -> Digest {
    leaf(&row.session, row.offset, &row.row)
}

/// The leaf of every row, and whole those that are wanted, with their index.
type Gathered = (Vec<Neighbour>, Vec<(usize, ShownRow)>);

fn gather(
    segment: &Segment,
    record: &EnrolledRecord,
    wanted: impl Fn(&Neighbour) -> bool,
) -> Result<Gathered, Breach> {
    let chain = &segment.record.chain;
    let columns: Vec<usize> = (0..schemas::FIRST_VIEW).collect();
    let (mut all, mut own, mut value) = (Vec::new(), Vec::new(), Vec::new());
    for group in 0..segment.parquet().num_row_groups() {
        for batch in segment.group(group, Some(&columns), None)? {
            let batch = batch?;
            let batch = Batch::new(&batch);
            for index in 0..batch.rows {
                let fault = |why: &str| Breach { kind: Kind::Row, why: why.to_owned() };
                let (session, offset) =
                    row::position(&batch, index).ok_or_else(|| fault("a row has no place"))?;
                let row = row::read(&batch, index, chain, &mut value).map_err(fault)?;
                let leaf = Neighbour { session, offset, row: row.row };
                if wanted(&leaf) {
                    own.push((all.len(), shown(&row)));
                }
                all.push(leaf);
            }
        }
    }
    let leaves: Vec<Digest> = all.iter().map(leaf_of).collect();
    if root(&leaves) != record.segment.root || segment.record != record.segment {
        let why = "its rows or its record are not those enrolled".to_owned();
        return Err(Breach { kind: Kind::Root, why });
    }
    Ok((all, own))
}

fn shown(row: &row::Row<'_>) -> ShownRow {
    let content = match &row.content {
        Content::Event(event) => ShownContent::Event((&**event).into()),
        Content::Raw(reason, _) => ShownContent::Raw(row.event, *reason),
    };
    ShownRow { offset: row.offset, timestamp: row.timestamp, headers: row.headers, content }
}
