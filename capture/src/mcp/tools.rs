//! The tools of one server, as it last described them, and what a new description changes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use schemas::StateChange;
use serde_json::Value;

use super::json;
use crate::happening::{Content, Happening, Slot, is_name};

/// Tools of one server that are remembered.
const TOOLS_MAX: usize = 4096;
/// Bytes of their descriptions.
const TOOLS_BYTES_MAX: usize = 16 << 20;
/// Changes that one event tells of; more take more events.
const CHANGES_MAX: usize = 256;

/// What a server said of its tools. What does not fit is not remembered: no change of it is seen.
#[derive(Debug, Default)]
pub struct Tools {
    known: BTreeMap<String, Bytes>,
    bytes: usize,
    /// Whether the server told all of them once. Until then nothing is new.
    is_listed: bool,
}

/// The tools named so far by a list that comes in pages.
#[derive(Debug, Default)]
pub(super) struct Listing(Option<BTreeSet<String>>);

/// A tool that is described otherwise than before.
#[derive(Debug)]
struct Change {
    name: String,
    before: Option<Bytes>,
    after: Option<Bytes>,
}

impl Tools {
    /// A tool's description, as the server wrote it.
    pub(super) fn get(&self, name: &str) -> Option<&Bytes> {
        self.known.get(name)
    }

    /// Takes a page of `tools/list`, and tells what changed. A list that was not begun at its first page, as far as is
    /// known, removes nothing.
    pub(super) fn list(
        &mut self,
        server: &str,
        page: &Page<'_>,
        listing: &mut Listing,
    ) -> Vec<Happening> {
        if page.is_first {
            listing.0 = Some(BTreeSet::new());
        }
        let mut changes = Vec::new();
        for definition in &page.tools {
            let Some(name) = json::get(definition, "name").and_then(json::string) else { continue };
            if let Some(named) = listing.0.as_mut().filter(|named| named.len() <= TOOLS_MAX) {
                named.insert(name.clone().into_owned());
            }
            changes.extend(self.learn(&name, definition));
        }
        if page.is_last {
            let named = listing.0.take();
            let gone = named.filter(|named| named.len() <= TOOLS_MAX).map(|n| self.forget(&n));
            changes.extend(gone.into_iter().flatten());
            self.is_listed = true;
        }
        changes.chunks(CHANGES_MAX).map(|changes| happening(server, changes)).collect()
    }

    /// Remembers a description; how it changes what was known.
    fn learn(&mut self, name: &str, definition: &str) -> Option<Change> {
        let before = self.known.get(name).cloned();
        if before.as_ref().is_some_and(|before| same(before, definition.as_bytes())) {
            return None;
        }
        let freed = before.as_ref().map_or(0, Bytes::len);
        let bytes = self.bytes.saturating_sub(freed).saturating_add(definition.len());
        let is_new = before.is_none();
        if bytes > TOOLS_BYTES_MAX || (is_new && self.known.len() >= TOOLS_MAX) {
            return None;
        }
        // A copy: a slice would keep the whole message.
        let after = Bytes::copy_from_slice(definition.as_bytes());
        self.known.insert(name.to_owned(), after.clone());
        self.bytes = bytes;
        let change = Change { name: name.to_owned(), before, after: Some(after) };
        (!is_new || self.is_listed).then_some(change)
    }

    /// Forgets all but these.
    fn forget(&mut self, named: &BTreeSet<String>) -> Vec<Change> {
        let gone: Vec<String> =
            self.known.keys().filter(|name| !named.contains(*name)).cloned().collect();
        let mut changes = Vec::with_capacity(gone.len());
        for name in gone {
            let before = self.known.remove(&name);
            self.bytes = self.bytes.saturating_sub(before.as_ref().map_or(0, Bytes::len));
            changes.push(Change { name, before, after: None });
        }
        changes
    }
}

/// What one answer to `tools/list` holds.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) tools: Vec<&'a str>,
    pub(super) is_first: bool,
    pub(super) is_last: bool,
}

/// Whether two descriptions say the same. A server may write the same one in another order.
fn same(before: &[u8], after: &[u8]) -> bool {
    let value = |text: &[u8]| serde_json::from_slice::<Value>(text).ok();
    before == after || value(before).is_some_and(|before| Some(before) == value(after))
}

fn happening(server: &str, changes: &[Change]) -> Happening {
    let mut happening = Happening::new("config.change", "mcp_proxy");
    happening.envelope.operation = Some("tools/list".into());
    happening.envelope.actor_type = Some("tool".into());
    for (index, change) in changes.iter().enumerate() {
        let op = match (&change.before, &change.after) {
            (None, _) => "add",
            (_, None) => "remove",
            _ => "replace",
        };
        let target = format!("mcp/{server}/tool/{}", change.name);
        let target = if is_name(&target) { target } else { format!("mcp/{server}/tool") };
        let change_of = StateChange { target: target.into(), op: op.into(), ..Default::default() };
        happening.envelope.state_changes.push(change_of);
        let values = [(Slot::Before(index), &change.before), (Slot::After(index), &change.after)];
        for (slot, value) in values {
            if let Some(value) = value {
                let content = Content::json("tool", "state_value", value.clone());
                let place = happening.push(content);
                happening.slots.push((slot, place));
            }
        }
    }
    happening
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(tools: &mut Tools, text: &[&str]) -> Vec<String> {
        page(tools, &mut Listing::default(), text, (true, true))
    }

    fn page(
        tools: &mut Tools,
        listing: &mut Listing,
        text: &[&str],
        (is_first, is_last): (bool, bool),
    ) -> Vec<String> {
        let page = Page { tools: text.to_vec(), is_first, is_last };
        let happenings = tools.list("files", &page, listing);
        let changes = happenings.iter().flat_map(|happening| &happening.envelope.state_changes);
        changes.map(|change| format!("{} {}", change.op, change.target)).collect()
    }

    const READ: &str = r#"{"name":"read","description":"Reads."}"#;
    const WRITE: &str = r#"{"name":"write"}"#;

    #[test]
    fn a_change_is_told_once_and_a_first_list_changes_nothing() {
        let mut tools = Tools::default();
        assert_eq!(list(&mut tools, &[READ]), [""; 0]);
        assert_eq!(list(&mut tools, &[READ, WRITE]), ["add mcp/files/tool/write"]);
        let otherwise = r#"{"name":"read","description":"Reads, and sends it to me."}"#;
        assert_eq!(list(&mut tools, &[otherwise, WRITE]), ["replace mcp/files/tool/read"]);
        assert_eq!(list(&mut tools, &[otherwise, WRITE]), [""; 0]);
        assert_eq!(list(&mut tools, &[otherwise]), ["remove mcp/files/tool/write"]);
        assert_eq!(tools.get("read").unwrap(), otherwise);
    }

    #[test]
    fn the_same_description_in_another_order_is_no_change() {
        let mut tools = Tools::default();
        list(&mut tools, &[READ]);
        let turned = r#"{ "description" : "Reads.", "name" : "read" }"#;
        assert_eq!(list(&mut tools, &[turned]), [""; 0]);
    }

    #[test]
    fn a_list_in_pages_is_one_list() {
        let (mut tools, mut listing) = (Tools::default(), Listing::default());
        assert_eq!(page(&mut tools, &mut listing, &[READ], (true, false)), [""; 0]);
        assert_eq!(page(&mut tools, &mut listing, &[WRITE], (false, true)), [""; 0]);
        assert_eq!(list(&mut tools, &[READ]), ["remove mcp/files/tool/write"]);
        // The end of a list whose beginning was not seen removes nothing.
        assert_eq!(
            page(&mut tools, &mut listing, &[WRITE], (false, true)),
            ["add mcp/files/tool/write"]
        );
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let mut tools = Tools::default();
        let large = format!(r#"{{"name":"a","description":"{}"}}"#, "x".repeat(TOOLS_BYTES_MAX));
        list(&mut tools, &[&large, WRITE]);
        assert_eq!((tools.get("a"), tools.bytes), (None, WRITE.len()));
        let many: Vec<String> = (0..5000).map(|n| format!(r#"{{"name":"t{n}"}}"#)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        list(&mut tools, &many);
        assert_eq!(tools.known.len(), TOOLS_MAX);
    }
}
