//! Tries rules of redaction out on a file. Nothing is changed, and nothing that is found is shown.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::Context;
use capture::redact::{Applied, Field, Rules, View};
use schemas::Envelope;
use serde_json::{Map, Value, json};

use crate::cli;
use crate::exit::{Exit, OrExit};
use crate::output::{notice, printable, stdout};

/// Bytes of a file that is tried.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Runs what the command line says of redaction.
pub(crate) fn run(args: cli::Redact) -> anyhow::Result<Exit> {
    let cli::Redact::Test(args) = args;
    let rules = ingest::redaction::rules(&args.rules);
    let rules = rules.or_exit(Exit::Usage, "the rules cannot be used")?;
    let rules = rules.ok_or_else(|| Exit::Usage.error("there are no rules to try"))?;
    let text = read(&args.file)?;
    let found = tried(&rules, &text);
    let count: u64 = found.iter().map(|(_, applied)| applied.count).sum();
    stdout(|out| {
        found.iter().try_for_each(|(at, applied)| line(out, *at, applied, &rules, args.json.json))
    })
    .context("cannot print what was found")?;
    notice(format_args!("{count} findings, by the rules of version {}", rules.version()));
    Ok(Exit::Good)
}

fn read(path: &std::path::Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", path.display());
    let size = std::fs::metadata(path).or_exit(Exit::Usage, cannot())?.len();
    if size > FILE_BYTES_MAX {
        return Err(Exit::Usage.error(format!("{} is over 1 GiB", path.display())));
    }
    std::fs::read(path).or_exit(Exit::Usage, cannot())
}

/// What each line's event has, or else the file as a whole.
fn tried(rules: &Rules, text: &[u8]) -> Vec<(Option<usize>, Applied)> {
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    let events: Option<Vec<(usize, Event)>> =
        lines.map(|(index, line)| Some((index + 1, Event::read(line)?))).collect();
    match events.filter(|events| !events.is_empty()) {
        Some(events) => events
            .into_iter()
            .flat_map(|(at, event)| {
                event.tried(rules).into_iter().map(move |found| (Some(at), found))
            })
            .collect(),
        None => {
            let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
            let media_type = if is_json { "application/json" } else { "text/plain" };
            let data = text.to_vec();
            let content = Given { media_type: media_type.to_owned(), data, ..Given::default() };
            let event = Event { envelope: Envelope::blank(), contents: vec![content] };
            event.tried(rules).into_iter().map(|found| (None, found)).collect()
        }
    }
}

/// An event as far as rules look at it.
struct Event {
    envelope: Envelope<'static>,
    contents: Vec<Given>,
}

#[derive(Default)]
struct Given {
    role: String,
    kind: String,
    media_type: String,
    data: Vec<u8>,
}

impl Event {
    /// An object with a kind, or with contents.
    fn read(line: &[u8]) -> Option<Self> {
        let Value::Object(mut fields) = serde_json::from_slice(line).ok()? else { return None };
        if let Some(Value::Object(envelope)) = fields.remove("envelope") {
            // As `export` writes it: what else stands beside the contents is not the source's.
            let contents =
                fields.remove("contents").map(|contents| ("contents".to_owned(), contents));
            fields = envelope
                .into_iter()
                .filter(|(name, _)| name != "contents")
                .chain(contents)
                .collect();
        }
        if !fields.contains_key("kind") && !fields.contains_key("contents") {
            return None;
        }
        let (mut envelope, mut contents, mut rest) = (Envelope::blank(), Vec::new(), Map::new());
        for (name, value) in fields {
            match value {
                Value::Array(items) if name == "contents" => {
                    contents = items.iter().map(Given::read).collect();
                }
                value if Envelope::FIELDS.contains(&&*name) => {
                    // What is no field's value would be refused by the gateway.
                    let _refused = envelope.set_json(&name, value);
                }
                value => drop(rest.insert(name, value)),
            }
        }
        if !rest.is_empty() {
            contents.push(Given {
                kind: "attributes".to_owned(),
                media_type: "application/json".to_owned(),
                data: Value::Object(rest).to_string().into_bytes(),
                ..Given::default()
            });
        }
        Some(Self { envelope, contents })
    }

    fn tried(mut self, rules: &Rules) -> Vec<Applied> {
        let views: Vec<View<'_>> = self.contents.iter().map(Given::view).collect();
        match rules.apply(&mut self.envelope, &views) {
            Ok(redacted) => redacted.map(|redacted| redacted.applied).unwrap_or_default(),
            Err(field) => {
                notice(format_args!("an event would be refused: its {field} has what is redacted"));
                Vec::new()
            }
        }
    }
}

impl Given {
    fn read(item: &Value) -> Self {
        let text = |name| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (data, usual) = match (item.get("json"), item.get("text").and_then(Value::as_str)) {
            (Some(json), _) => (json.to_string(), "application/json"),
            (_, Some(text)) => (text.to_owned(), "text/plain"),
            _ => (String::new(), "application/octet-stream"),
        };
        let media_type = Some(text("media_type")).filter(|given| !given.is_empty());
        let media_type = media_type.unwrap_or_else(|| usual.to_owned());
        Self { role: text("role"), kind: text("kind"), media_type, data: data.into_bytes() }
    }

    fn view(&self) -> View<'_> {
        let Self { role, kind, media_type, data } = self;
        View { role, kind, media_type, data }
    }
}

fn line(
    out: &mut dyn Write,
    at: Option<usize>,
    applied: &Applied,
    rules: &Rules,
    as_json: bool,
) -> std::io::Result<()> {
    let Applied { rule, field, count, shown } = applied;
    if as_json {
        let (content, field) = match field {
            Field::Content(index) => (Some(index), None),
            Field::Envelope(name) => (None, Some(name)),
        };
        let pair =
            |shown: &capture::redact::Shown| json!({"before": shown.before, "after": shown.after});
        let shown: Vec<Value> = shown.iter().map(pair).collect();
        let line = json!({
            "line": at, "rule": rule, "version": rules.version(), "content": content, "field": field,
            "count": count, "shown": shown,
        });
        return writeln!(out, "{line}");
    }
    let mut place = at.map_or_else(String::new, |at| format!("line {at}, "));
    let _written = match field {
        Field::Content(index) => write!(place, "content {index}"),
        Field::Envelope(name) => write!(place, "field {name}"),
    };
    writeln!(out, "{place}: {rule}, {count} times")?;
    shown.iter().try_for_each(|shown| {
        writeln!(out, "  {} -> {}", printable(&shown.before), printable(&shown.after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_have_their_line_and_place() {
        let text = concat!(
            "{\"kind\":\"a\",\"contents\":[{\"text\":\"x\"},{\"json\":{\"k\":\"AKIAIOSFODNN7EXAMPLE\"}}]}\n",
            "\n{\"kind\":\"b\",\"note\":\"ghp_0123456789abcdefghijABCDEFGHIJ012345\",\"tool_name\":\"xoxb-1234567890-ab\"}\n",
        );
        let found: Vec<_> = tried(&Rules::defaults(), text.as_bytes())
            .into_iter()
            .map(|(at, applied)| (at, applied.field))
            .collect();
        let tool = Field::Envelope("tool_name".to_owned());
        let expected =
            [(Some(1), Field::Content(1)), (Some(3), tool), (Some(3), Field::Content(0))];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_event_is_tried_as_it_is() {
        for text in ["x AKIAIOSFODNN7EXAMPLE y", "[\"AKIAIOSFODNN7EXAMPLE\"]"] {
            let found = tried(&Rules::defaults(), text.as_bytes());
            assert_eq!((found.len(), found[0].0), (1, None), "{text}");
        }
        assert!(tried(&Rules::defaults(), b"").is_empty());
    }
}
