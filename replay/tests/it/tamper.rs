//! Segments that are wrong in one way only, their records made to fit: each is found for what it is.

use schemas::{Digest, SegmentRecord, body_digest};

use crate::kit::chat::Sender;
use crate::kit::writer::{Cell, Row, Writer};
use crate::kit::{Objects, empty, kinds, report};

/// The kinds of findings of a segment with four events and a raw row that was tampered with.
async fn found(tamper: impl FnOnce(&mut Vec<Row>, &mut SegmentRecord)) -> Vec<&'static str> {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut chat = Sender::new(&mut writer, "s-1");
    for number in 0..4 {
        let text = format!("text {number}");
        chat.event("user.message", &[("user", "text", &text), ("", "text", "more")]);
    }
    let mut sent = chat.sent;
    sent.push((b"acme/s-1".to_vec(), Some(b"garbage".to_vec())));
    writer.seal_tampered(&sent, tamper).await;
    kinds(&report(&objects).await)
}

fn bytes(row: &mut Row, column: usize) -> &mut Vec<u8> {
    match &mut row.cells[column] {
        Cell::Bytes(bytes) => bytes,
        _ => unreachable!("the cell is empty"),
    }
}

#[tokio::test]
async fn nothing_is_found_where_nothing_was_changed() {
    assert_eq!(found(|_, _| {}).await, [""; 0]);
}

#[tokio::test]
async fn a_false_view_is_found() {
    let found = found(|rows, _| *bytes(&mut rows[0], 19) = b"llm.call".to_vec()).await;
    assert_eq!(found, ["view"]);
}

#[tokio::test]
async fn a_view_in_a_raw_row_is_found() {
    assert_eq!(found(|rows, _| rows[4].cells[33] = Cell::Bytes(b"ok".to_vec())).await, ["view"]);
}

#[tokio::test]
async fn another_raw_reason_is_found() {
    assert_eq!(found(|rows, _| *bytes(&mut rows[4], 13) = b"schema".to_vec()).await, ["row"]);
}

#[tokio::test]
async fn rows_in_another_order_are_found() {
    assert_eq!(found(|rows, _| rows.swap(1, 2)).await, ["order", "root"]);
}

#[tokio::test]
async fn a_changed_time_is_found() {
    assert_eq!(found(|rows, _| rows[1].cells[2] = Cell::Long(5)).await, ["record", "root"]);
}

#[tokio::test]
async fn a_row_left_out_is_found() {
    let found = found(|rows, record| {
        rows.remove(1);
        record.rows -= 1;
        record.total -= 1;
        record.root = schemas::root(&rows.iter().map(|row| row.leaf).collect::<Vec<_>>());
    });
    assert_eq!(found.await, ["gap"]);
}

#[tokio::test]
async fn a_row_count_that_is_not_the_records_is_found() {
    assert!(found(|_, record| record.rows += 1).await.contains(&"profile"));
}

#[tokio::test]
async fn another_root_is_found() {
    assert_eq!(found(|_, record| record.root = Digest::ZERO).await, ["root"]);
}

#[tokio::test]
async fn a_broken_chain_is_found() {
    assert_eq!(found(|_, record| record.prev = Digest::ZERO).await, ["chain"]);
    assert_eq!(found(|_, record| record.total += 1).await, ["chain"]);
    assert_eq!(found(|_, record| record.chain.cluster = Some("x".to_owned())).await, ["chain"]);
}

#[tokio::test]
async fn a_record_that_no_segment_has_is_found() {
    assert_eq!(
        found(|_, record| record.lock = Some(schemas::LockMode::Compliance)).await,
        ["record"]
    );
    let epochs = "3:1,2:2".to_owned();
    assert_eq!(found(|_, record| record.leader_epochs = Some(epochs)).await, ["record"]);
}

#[tokio::test]
async fn a_changed_body_is_found() {
    let found = found(|rows, _| rows[0].bodies[0][2] = Some(b"text X".to_vec())).await;
    assert_eq!(found, ["row"]);
}

#[tokio::test]
async fn a_body_moved_into_another_column_is_found() {
    let found = found(|rows, _| {
        let mut envelope = bytes(&mut rows[0], 9).clone();
        envelope.push(0);
        *bytes(&mut rows[0], 9) = envelope;
    });
    assert_eq!(found.await, ["row"]);
}

#[tokio::test]
async fn a_stored_digest_that_should_be_derived_is_found() {
    let found = found(|rows, _| {
        let [_, salt, data, _] = rows[0].bodies[0].clone();
        let salt = schemas::Salt(salt.unwrap().try_into().unwrap());
        rows[0].bodies[0][0] = Some(body_digest(&salt, &data.unwrap()).0.to_vec());
    });
    assert_eq!(found.await, ["row"]);
}

#[tokio::test]
async fn a_body_that_nobody_carried_and_a_context_that_does_not_resolve_are_found() {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut envelope = writer.envelope("s-1", "llm.call");
    let (content, _) = writer.body("user", "text", b"never sent");
    envelope.contents.push(content);
    envelope.context_prefix = Some(schemas::ContextPrefix { event_digest: Digest::ZERO, count: 1 });
    let sent = vec![Writer::message(&envelope, &[]).0];
    writer.seal(&sent).await;
    assert_eq!(kinds(&report(&objects).await), ["body", "context"]);
}
