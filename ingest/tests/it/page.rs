//! `docs/events.md` speaks of everything that a client can meet.

use schemas::{
    Content, ContextPrefix, Delegate, Envelope, Evaluation, Link, Retrieval, StateChange,
};

const PAGE: &str = include_str!("../../../docs/events.md");

#[test]
fn every_field_stands_in_the_page() {
    let records = [
        Envelope::FIELDS,
        Content::FIELDS,
        ContextPrefix::FIELDS,
        Delegate::FIELDS,
        Evaluation::FIELDS,
        Link::FIELDS,
        Retrieval::FIELDS,
        StateChange::FIELDS,
    ];
    for field in records.concat() {
        let name = format!("`{}`", field.trim_start_matches("r#"));
        assert!(PAGE.contains(&name), "{name} is not in docs/events.md");
    }
}
