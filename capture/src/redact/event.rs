//! All rules and one event: its envelope, its contents, and an account of what was done.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemas::Envelope;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::exchange;
use super::rules::{FIXED_FIELDS, Place, Rule, Rules, What};
use super::text::{Findings, Shown};
use crate::happening::{Content, Happening};

/// A content, as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Role, kind and media type, as of the content.
    pub role: &'a str,
    /// See `role`.
    pub kind: &'a str,
    /// See `role`.
    pub media_type: &'a str,
    /// The bytes.
    pub data: &'a [u8],
}

/// What was done to an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Redacted {
    /// Contents that are others now, by their places, ascending.
    pub contents: Vec<(usize, Vec<u8>)>,
    /// What was applied. One rule may stand there for several places.
    pub applied: Vec<Applied>,
    /// The same, as a content of kind `redactions`, that is to come last.
    pub account: Vec<u8>,
}

/// What one rule did in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The rule's name.
    pub rule: String,
    /// Where.
    pub field: Field,
    /// How often.
    pub count: u64,
    /// Some of it, as it may be shown. Not for the record.
    pub shown: Vec<Shown>,
}

/// A place in an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// The content with this index.
    Content(usize),
    /// The envelope's field of this name.
    Envelope(String),
}

impl Rules {
    /// Applies the rules to an event. `None` where they find nothing. What cannot be changed is named as the error: an event
    /// with a finding there must not be recorded.
    ///
    /// # Errors
    /// The envelope's field, of those without which an event is none, that has a finding.
    pub fn apply(
        &self,
        envelope: &mut Envelope<'_>,
        contents: &[View<'_>],
    ) -> Result<Option<Redacted>, &'static str> {
        let rules: Vec<&Rule> = self.of_kind(&envelope.kind).collect();
        let mut redacting = Redacting::new(contents);
        for rule in rules {
            redacting.envelope(rule, envelope)?;
            for (index, view) in contents.iter().enumerate() {
                redacting.content(rule, index, view);
            }
        }
        if redacting.applied.is_empty() {
            return Ok(None);
        }
        envelope.capture_fidelity = Cow::Borrowed("redacted");
        Ok(Some(redacting.finish(contents, &self.version)))
    }

    /// Applies the rules to a happening; how often they found something.
    ///
    /// # Errors
    /// As of [`Self::apply`].
    pub fn apply_to(&self, happening: &mut Happening) -> Result<u64, &'static str> {
        let views: Vec<View<'_>> = happening.contents.iter().map(View::of).collect();
        let Some(redacted) = self.apply(&mut happening.envelope, &views)? else { return Ok(0) };
        for (index, data) in redacted.contents {
            if let Some(content) = happening.contents.get_mut(index) {
                content.data = data.into();
            }
        }
        happening.push(Content::json("", "redactions", redacted.account));
        Ok(redacted.applied.iter().map(|applied| applied.count).sum())
    }

    /// Whether an event that came signed, and cannot be changed, has findings; and whether a rule refuses it for that.
    #[must_use]
    pub fn judge(&self, envelope: &Envelope<'_>, contents: &[View<'_>]) -> (bool, Option<&str>) {
        let mut has_findings = false;
        for rule in self.of_kind(&envelope.kind) {
            let mut redacting = Redacting::new(contents);
            let is_fixed = redacting.envelope(rule, &mut envelope.clone()).is_err();
            contents
                .iter()
                .enumerate()
                .for_each(|(index, view)| redacting.content(rule, index, view));
            if is_fixed || !redacting.applied.is_empty() {
                has_findings = true;
                if rule.refuses_avro {
                    return (true, Some(&rule.name));
                }
            }
        }
        (has_findings, None)
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| has(&rule.kinds, kind))
    }
}

impl<'a> View<'a> {
    fn of(content: &'a Content) -> Self {
        let Content { role, kind, media_type, data } = content;
        Self { role, kind, media_type, data }
    }

    fn is_json(&self) -> bool {
        let essence = self.media_type.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json")
            || essence.ends_with("+json")
            || essence.ends_with("ndjson")
            || essence.ends_with("jsonl")
    }
}

/// An event while rules are applied to it.
struct Redacting {
    /// What is left of each content.
    left: Vec<Option<Vec<u8>>>,
    /// What is said in contents that are encoded.
    plain: BTreeMap<usize, Vec<u8>>,
    /// Contents that were cut out of an attribute, and its name.
    parts: BTreeMap<usize, String>,
    applied: Vec<Applied>,
}

impl Redacting {
    fn new(contents: &[View<'_>]) -> Self {
        let left = vec![None; contents.len()];
        let cut = contents.iter().filter(|view| view.kind == "attributes");
        let cut = cut.filter(|view| exchange::is_rest(view.kind, view.data));
        let parts = cut.flat_map(|view| exchange::parts(view.data)).collect();
        Self { left, plain: plain(contents), parts, applied: Vec::new() }
    }

    fn content(&mut self, rule: &Rule, index: usize, view: &View<'_>) {
        let is_of_field =
            matches!(&rule.place, Place::Field(name, _) if self.parts.get(&index) == Some(name));
        let kind = if is_of_field { "attributes" } else { view.kind };
        if !has(&rule.roles, view.role) || !has(&rule.content_kinds, kind) {
            return;
        }
        let Some(left) = self.left.get_mut(index) else { return };
        let data: &[u8] = left.as_deref().unwrap_or(view.data);
        let mut findings = Findings::default();
        let now = if let Some(plain) = self.plain.get(&index) {
            coded(rule, plain, &mut findings)
        } else if is_of_field {
            rule.json_anywhere(data, &mut findings)
        } else if rule.sniffs(data) {
            content(rule, view, data, &mut findings)
        } else {
            None
        };
        if let Some(now) = now {
            *left = Some(now);
            self.note(rule, Field::Content(index), findings);
        }
    }

    /// Fields whose values are texts, and what is no field of ours is not here: it is a content of kind `attributes`.
    fn envelope(&mut self, rule: &Rule, envelope: &mut Envelope<'_>) -> Result<(), &'static str> {
        let wanted = match &rule.place {
            Place::Anywhere if !matches!(rule.what, What::Whole) => None,
            Place::Field(name, _) if Envelope::FIELDS.contains(&&**name) => Some(&**name),
            _ => return Ok(()),
        };
        let is_of_contents = !rule.roles.is_empty() || !rule.content_kinds.is_empty();
        if is_of_contents || (wanted.is_none() && !rule.sniffs(&envelope.to_bytes())) {
            return Ok(());
        }
        let mut object = envelope.to_json_object();
        let before = self.applied.len();
        for name in Envelope::FIELDS {
            if wanted.is_some_and(|wanted| wanted != *name) {
                continue;
            }
            self.field(rule, name, &mut object)?;
        }
        if self.applied.len() > before {
            *envelope = rebuilt(object).ok_or("envelope")?;
        }
        Ok(())
    }

    fn field(
        &mut self,
        rule: &Rule,
        name: &'static str,
        object: &mut Map<String, Value>,
    ) -> Result<(), &'static str> {
        let is_fixed = FIXED_FIELDS.contains(&name);
        // A session is called what it is called; but a secret for a name must not be stored.
        if is_fixed && !(name == "session_id" && rule.finds_keys()) {
            return Ok(());
        }
        let Some(value) = object.get_mut(name) else { return Ok(()) };
        let mut findings = Findings::default();
        let is_whole = matches!(rule.what, What::Whole);
        match value {
            Value::String(text) if is_whole => {
                let left = rule.left(text.as_bytes());
                findings.add(text.as_bytes(), left.as_deref().unwrap_or("null"));
                match left {
                    Some(marker) => *text = marker,
                    None => drop(object.remove(name)),
                }
            }
            Value::Array(_) | Value::Object(_) | Value::String(_) => {
                rule.strings(value, &mut findings)
            }
            // A number or a truth: there is no text to put in its place.
            _ if is_whole => {
                findings.add(value.to_string().as_bytes(), "null");
                object.remove(name);
            }
            _ => {}
        }
        if findings.count > 0 {
            if is_fixed {
                return Err(name);
            }
            self.note(rule, Field::Envelope(name.to_owned()), findings);
        }
        Ok(())
    }

    fn note(&mut self, rule: &Rule, field: Field, findings: Findings) {
        let Findings { count, shown } = findings;
        self.applied.push(Applied { rule: rule.name.clone(), field, count, shown });
    }

    /// What says more of bodies than the contents do goes too.
    fn finish(mut self, contents: &[View<'_>], version: &str) -> Redacted {
        for (index, view) in contents.iter().enumerate() {
            if view.kind != "http" {
                continue;
            }
            let left = self.left.get(index).and_then(|left| left.as_deref()).unwrap_or(view.data);
            let Some((text, gone)) = exchange::forget(left) else { continue };
            if let Some(left) = self.left.get_mut(index) {
                *left = Some(text);
            }
            if let Some(left) = gone.and_then(|gone| self.left.get_mut(gone)) {
                *left = Some(Vec::new());
            }
        }
        let entry = |applied: &Applied| match &applied.field {
            Field::Content(index) => json!({
                "rule": applied.rule, "version": version, "content": index, "count": applied.count,
            }),
            Field::Envelope(name) => json!({
                "rule": applied.rule, "version": version, "field": name, "count": applied.count,
            }),
        };
        let account = Value::Array(self.applied.iter().map(entry).collect());
        let left = self.left.into_iter().enumerate();
        let contents = left.filter_map(|(index, left)| Some((index, left?))).collect();
        Redacted { contents, applied: self.applied, account: account.to_string().into_bytes() }
    }
}

fn content(rule: &Rule, view: &View<'_>, data: &[u8], findings: &mut Findings) -> Option<Vec<u8>> {
    if exchange::is_rest(view.kind, data)
        && let Some(left) = exchange::redact(rule, data, findings)
    {
        return left;
    }
    match &rule.place {
        Place::Anywhere if view.is_json() => {
            let left = rule.json(data, findings);
            if is_json(left.as_deref().unwrap_or(data)) {
                return left;
            }
            // What only calls itself JSON may have anything between its strings.
            rule.text(left.as_deref().unwrap_or(data), findings).or(left)
        }
        Place::Anywhere => rule.text(data, findings),
        Place::Path(_) if view.is_json() => rule.json(data, findings),
        Place::Field(..) if view.kind == "attributes" && view.is_json() => {
            rule.json(data, findings)
        }
        _ => None,
    }
}

/// A body that is kept as it went over the wire, or a stream that was compressed for the record: with a finding in it, it
/// goes. What could be read of it stands in other contents.
fn coded(rule: &Rule, plain: &[u8], findings: &mut Findings) -> Option<Vec<u8>> {
    if !matches!(rule.place, Place::Anywhere) || !rule.sniffs(plain) {
        return None;
    }
    rule.text(plain, findings).map(|_| Vec::new())
}

/// What contents say that are encoded, by their places.
fn plain(contents: &[View<'_>]) -> BTreeMap<usize, Vec<u8>> {
    let is_stream = |view: &View<'_>| view.media_type.ends_with("+zstd");
    let streams = contents.iter().enumerate().filter(|(_, view)| is_stream(view));
    let streams = streams.map(|(index, _)| (index, "zstd".to_owned()));
    let http = contents.iter().filter(|view| view.kind == "http");
    let bodies = http.filter_map(|view| exchange::encoded(view.data));
    let read = |(index, encoding): (usize, String)| {
        Some((index, crate::llm::decode(&encoding, contents.get(index)?.data)?))
    };
    streams.chain(bodies).filter_map(read).collect()
}

/// Whether this is one JSON value or a sequence of them.
fn is_json(data: &[u8]) -> bool {
    serde_json::Deserializer::from_slice(data).into_iter::<IgnoredAny>().all(|value| value.is_ok())
}

fn has(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|known| known == name)
}

/// An envelope of its JSON form.
fn rebuilt<'e>(object: Map<String, Value>) -> Option<Envelope<'e>> {
    let mut envelope = Envelope::default();
    for (field, value) in object {
        envelope.set_json(&field, value).ok()?;
    }
    Some(envelope)
}

#[cfg(test)]
mod tests;
