//! Messages that were flattened into attributes, `prefix.N.path…`, put together again: one JSON object for each N, in the order
//! of N.
//!
//! A step of the path is a field; where the steps under a field are 0, 1, 2 … without a gap, they are a list. Fields are
//! sorted, whatever order the attributes came in: so equal messages have equal bytes from call to call. What cannot stand in
//! such an object, a field that is a value and an object, say, stays an attribute.

use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::Reading;
use super::message::role_named;
use crate::happening::Content;
use crate::otlp::{Attributes, write_string, write_value};

/// A step of a path. Numbers come first, by size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step<'a> {
    Index(u32),
    Field(&'a str),
}

/// An attribute under the prefix.
struct Entry<'a> {
    number: u32,
    path: Vec<Step<'a>>,
    /// Where it is among the attributes.
    place: usize,
}

impl Reading<'_> {
    /// Takes the messages whose attributes are named `prefix`, a number, `infix` and a path.
    pub(super) fn take_flat(
        &mut self,
        prefix: &str,
        infix: &str,
        role: &'static str,
    ) -> Vec<Content> {
        let entries = entries(&self.attributes, prefix, infix, self.limits.nesting_max);
        let messages = || entries.chunk_by(|a, b| a.number == b.number);
        let texts = messages().map(|message| {
            let mut out = Vec::new();
            write(message, 0, &self.attributes, &mut out);
            out
        });
        let contents = if messages().count() > self.room() {
            vec![Content::json("", "messages", list(texts))]
        } else {
            let role = |message| role_of(message, &self.attributes).unwrap_or(role);
            let roles = messages().map(role);
            roles.zip(texts).map(|(role, text)| Content::json(role, "message", text)).collect()
        };
        let places: Vec<usize> = entries.iter().map(|entry| entry.place).collect();
        for place in places {
            self.attributes.take_at(place, |_| true);
        }
        contents
    }

    /// Takes what is named in the same way as one JSON list.
    pub(super) fn take_flat_list(&mut self, prefix: &str, infix: &str) -> Option<Vec<u8>> {
        let entries = entries(&self.attributes, prefix, infix, self.limits.nesting_max);
        if entries.is_empty() {
            return None;
        }
        let items = entries.chunk_by(|a, b| a.number == b.number).map(|item| {
            let mut out = Vec::new();
            write(item, 0, &self.attributes, &mut out);
            out
        });
        let text = list(items);
        let places: Vec<usize> = entries.iter().map(|entry| entry.place).collect();
        for place in places {
            self.attributes.take_at(place, |_| true);
        }
        Some(text)
    }
}

/// The attributes that go into messages, sorted by number and path; no path goes on where another ends.
fn entries<'a>(
    attributes: &'a Attributes,
    prefix: &'a str,
    infix: &str,
    depth_max: usize,
) -> Vec<Entry<'a>> {
    let entry = |(place, rest): (usize, &'a str)| {
        let end = rest.find('.').unwrap_or(rest.len());
        let (number, rest) = rest.split_at_checked(end)?;
        let (number, rest) = (index(number)?, rest.strip_prefix(infix)?);
        let step = |step| index(step).map_or(Step::Field(step), Step::Index);
        let path: Vec<Step<'_>> =
            rest.split('.').filter(|_| !rest.is_empty()).take(depth_max + 1).map(step).collect();
        (path.len() <= depth_max).then_some(Entry { number, path, place })
    };
    let here = attributes.under(prefix).filter(|(place, _)| attributes.at(*place).is_some());
    let mut entries: Vec<Entry<'_>> = here.filter_map(entry).collect();
    entries.sort_by(|a, b| (a.number, &a.path, a.place).cmp(&(b.number, &b.path, b.place)));
    entries.dedup_by(|next, kept| next.number == kept.number && next.path.starts_with(&kept.path));
    entries
}

/// A number as people write it: no sign, no zeros before it.
fn index(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    (plain && (text == "0" || !text.starts_with('0'))).then_some(number)
}

/// Writes what stands under the same first `depth` steps.
fn write(entries: &[Entry<'_>], depth: usize, attributes: &Attributes, out: &mut Vec<u8>) {
    if let [entry] = entries
        && entry.path.len() == depth
    {
        return write_value(attributes.at(entry.place), out);
    }
    let groups = || entries.chunk_by(|a, b| a.path.get(depth) == b.path.get(depth));
    let is_list =
        (0..).zip(groups()).all(|(index, group)| step(group, depth) == Some(Step::Index(index)));
    out.push(if is_list { b'[' } else { b'{' });
    for (place, group) in groups().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        match step(group, depth).filter(|_| !is_list) {
            Some(Step::Index(index)) => {
                write_string(&index.to_string(), out);
                out.push(b':');
            }
            Some(Step::Field(field)) => {
                write_string(field, out);
                out.push(b':');
            }
            None => {}
        }
        write(group, depth + 1, attributes, out);
    }
    out.push(if is_list { b']' } else { b'}' });
}

/// The step at this depth, which all of a group have.
fn step<'a>(group: &[Entry<'a>], depth: usize) -> Option<Step<'a>> {
    group.first()?.path.get(depth).copied()
}

fn role_of(message: &[Entry<'_>], attributes: &Attributes) -> Option<&'static str> {
    let role = message.iter().find(|entry| entry.path == [Step::Field("role")])?;
    match attributes.at(role.place)? {
        Value::StringValue(word) => role_named(word),
        _ => None,
    }
}

fn list(items: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::from(b"[");
    for (place, mut item) in items.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.append(&mut item);
    }
    out.push(b']');
    out
}
