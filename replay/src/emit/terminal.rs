//! A trace for people: a tree of at most so many columns, long bodies cut unless asked for in full, nothing unescaped.

use std::io::{Result, Write};
use std::sync::Arc;

use schemas::{Envelope, Micros};

pub use super::table::{report, sessions};

use super::escape::{escaped, wrapped};
use crate::diff::FieldChange;
use crate::message::Message;
use crate::session::{Body, Content};
use crate::trace::{Step, Totals, Trace, Turn, agent, principal};

/// How a trace is shown.
#[derive(Clone, Copy, Debug)]
pub struct TerminalOptions {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether to show whole bodies and whole contexts.
    pub full: bool,
    /// Whether to colour.
    pub color: bool,
}

impl Default for TerminalOptions {
    fn default() -> Self {
        Self { width: 80, full: false, color: false }
    }
}

/// Lines that a body has unless it is shown in full.
const BODY_LINES_MAX: usize = 12;
/// Bytes of a body that are laid out unless it is shown in full.
const BODY_BYTES_MAX: usize = 4096;
/// Columns that text has at least, however deep it stands.
const TEXT_COLUMNS_MIN: usize = 20;

/// Writes a trace.
///
/// # Errors
/// What writing fails with.
pub fn trace(trace: &Trace, out: &mut impl Write, options: TerminalOptions) -> Result<()> {
    let mut page = Page { out, options, indent: String::new() };
    page.head(trace)?;
    for (number, turn) in trace.turns.iter().enumerate() {
        page.turn(number + 1, turn)?;
    }
    if !trace.holes.is_empty() {
        page.line("")?;
        page.styled(Style::Alarm, &format!("holes ({})", trace.holes.len()))?;
        for hole in &trace.holes {
            let at = hole.at.map_or_else(String::new, |at| format!("{at} "));
            page.item("  ! ", "    ", &format!("{at}{}", hole.reason), Style::Alarm)?;
        }
    }
    page.line("")?;
    page.styled(Style::Faint, "checked")?;
    for check in &trace.checks {
        page.item("  - ", "    ", check, Style::Faint)?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Style {
    Plain,
    Strong,
    Faint,
    Alarm,
}

/// The output, and how far it is indented.
struct Page<'w, W> {
    out: &'w mut W,
    options: TerminalOptions,
    /// Glyphs before every line.
    indent: String,
}

impl<W: Write> Page<'_, W> {
    fn line(&mut self, text: &str) -> Result<()> {
        writeln!(self.out, "{}", format!("{}{text}", self.indent).trim_end())
    }

    fn styled(&mut self, style: Style, text: &str) -> Result<()> {
        let code = match style {
            _ if !self.options.color => return self.line(text),
            Style::Plain => return self.line(text),
            Style::Strong => "1",
            Style::Faint => "2",
            Style::Alarm => "31",
        };
        writeln!(self.out, "{}\x1b[{code}m{text}\x1b[0m", self.indent)
    }

    /// Text after `first`, wrapped below itself after `rest`.
    fn item(&mut self, first: &str, rest: &str, text: &str, style: Style) -> Result<()> {
        let used = self.indent.chars().count() + first.chars().count();
        let width = self.options.width.saturating_sub(used).max(TEXT_COLUMNS_MIN);
        for (number, line) in wrapped(text, width).iter().enumerate() {
            let before = if number == 0 { first } else { rest };
            self.styled(style, &format!("{before}{line}"))?;
        }
        Ok(())
    }

    fn head(&mut self, trace: &Trace) -> Result<()> {
        let title = format!("session {}", trace.key.session);
        self.item("", "  ", &title, Style::Strong)?;
        let totals = &trace.totals;
        let mut lines =
            vec![format!("tenant {} in {}", trace.key.tenant, trace.partitions.join(", "))];
        if !totals.agents.is_empty() {
            lines.push(format!("agent {}", totals.agents.join(", ")));
        }
        if !totals.principals.is_empty() {
            lines.push(format!("for {}", totals.principals.join(", ")));
        }
        if let (Some(first), Some(last)) = (totals.first, totals.last) {
            let lasting = u64::try_from(last.0.saturating_sub(first.0)).unwrap_or(0);
            lines.push(format!("{first} for {}", duration(lasting)));
        }
        lines.push(sums(totals));
        for line in lines {
            self.item("  ", "    ", &line, Style::Plain)?;
        }
        Ok(())
    }

    fn turn(&mut self, number: usize, turn: &Turn) -> Result<()> {
        self.line("")?;
        self.styled(Style::Strong, &format!("turn {number}"))?;
        let last = turn.steps.len().saturating_sub(1);
        for (index, step) in turn.steps.iter().enumerate() {
            self.step(step, index == last)?;
        }
        Ok(())
    }

    /// A step and its children; `last` of its siblings.
    fn step(&mut self, step: &Step, last: bool) -> Result<()> {
        let (first, rest) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        self.item(first, &format!("{rest}  "), &title(step), Style::Strong)?;
        let outer = self.indent.len();
        self.indent.push_str(rest);
        let bar = if step.children.is_empty() { "   " } else { "│  " };
        let inner = self.indent.len();
        self.indent.push_str(bar);
        self.inside(step)?;
        self.indent.truncate(inner);
        let last = step.children.len().saturating_sub(1);
        for (index, child) in step.children.iter().enumerate() {
            self.step(child, index == last)?;
        }
        self.indent.truncate(outer);
        Ok(())
    }

    fn inside(&mut self, step: &Step) -> Result<()> {
        for mark in &step.marks {
            self.item("! ", "  ", mark, Style::Alarm)?;
        }
        let facts = facts(&step.last().envelope());
        if !facts.is_empty() {
            self.item("", "  ", &facts.join(" · "), Style::Faint)?;
        }
        let (input, answer) = step.contents.split_at(step.answer.min(step.contents.len()));
        let known = if self.options.full { 0 } else { step.known.min(input.len()) };
        if known > 0 {
            let line = format!("… {known} entries of the context, as in the call before");
            self.item("", "  ", &line, Style::Faint)?;
        }
        for content in input.iter().skip(known) {
            self.content("", content)?;
        }
        for content in answer {
            self.content("→ ", content)?;
        }
        for request in &step.requests {
            let line = format!("{} {} {}", request.name, request.id, request.arguments);
            self.cut("→ asks ", &line)?;
        }
        for change in &step.changes {
            let line = format!("{} {}{}", change.op, change.target, change.path);
            self.item("Δ ", "  ", &line, Style::Plain)?;
            for field in &change.fields {
                self.field(field)?;
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &FieldChange) -> Result<()> {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        let path = if field.path.is_empty() { String::new() } else { format!("{}: ", field.path) };
        self.cut("  ", &format!("{path}{} → {}", text(&field.before), text(&field.after)))
    }

    fn content(&mut self, arrow: &str, content: &Arc<Content>) -> Result<()> {
        let label = [content.role.as_str(), kind_label(content)].join(" ");
        let label = format!("{arrow}{}: ", escaped(label.trim()));
        match (&content.body, Message::of(content)) {
            (Body::Absent(why), _) => {
                let text = format!("{} bytes are not here: {why}", content.size);
                self.item(&label, "  ", &text, Style::Alarm)
            }
            (Body::Encrypted(key), _) => {
                let text = format!("{} bytes, encrypted with {key}", content.size);
                self.item(&label, "  ", &text, Style::Faint)
            }
            (Body::Clear(_), Some(message)) => {
                if message.text.is_empty() && !message.calls.is_empty() {
                    return Ok(());
                }
                self.cut(&label, &message.text)
            }
            (Body::Clear(bytes), None) => match std::str::from_utf8(bytes) {
                Ok(text) => self.cut(&label, text),
                Err(_) => {
                    let text = format!("{} bytes of {}", bytes.len(), content.media_type);
                    self.item(&label, "  ", &text, Style::Faint)
                }
            },
        }
    }

    /// Text in full, or its beginning and how much more there is.
    fn cut(&mut self, label: &str, text: &str) -> Result<()> {
        let used = self.indent.chars().count() + 2;
        let width = self.options.width.saturating_sub(used).max(TEXT_COLUMNS_MIN);
        let head = if self.options.full { text } else { head(text, BODY_BYTES_MAX) };
        let mut lines = wrapped(&format!("{}{head}", escaped(label)), width);
        let shown = if self.options.full { lines.len() } else { BODY_LINES_MAX };
        let more = lines.len() > shown || head.len() < text.len();
        lines.truncate(shown);
        for (number, line) in lines.iter().enumerate() {
            self.line(&format!("{}{line}", if number == 0 { "" } else { "  " }))?;
        }
        if more {
            let line = format!("  … cut, {} bytes in all", text.len());
            self.styled(Style::Faint, &line)?;
        }
        Ok(())
    }
}

/// At most so many bytes of a text.
fn head(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

fn kind_label(content: &Content) -> &str {
    if matches!(content.kind.as_str(), "message" | "text") && !content.role.is_empty() {
        ""
    } else {
        &content.kind
    }
}

fn title(step: &Step) -> String {
    let envelope = step.last().envelope();
    let mut words = vec![envelope.kind.to_string()];
    let first = step.event.envelope();
    let either = |last: &Option<std::borrow::Cow<'_, str>>,
                  first: &Option<std::borrow::Cow<'_, str>>| {
        last.as_deref().or(first.as_deref()).map(str::to_owned)
    };
    words.extend(either(&envelope.response_model, &envelope.request_model));
    words.extend(either(&envelope.tool_name, &first.tool_name));
    words.extend(either(&envelope.tool_effect, &first.tool_effect));
    words.extend(envelope.policy_decision.as_deref().map(str::to_owned));
    if envelope.status != "unset" {
        words.push(envelope.status.to_string());
    }
    words.extend(envelope.error_type.as_deref().map(str::to_owned));
    words.extend(envelope.duration_us.map(duration));
    words.push(time_of_day(first.occurred_at));
    words.push(step.at.to_string());
    words.join("  ")
}

/// What else is worth a line.
fn facts(envelope: &Envelope<'_>) -> Vec<String> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: Option<String>| {
        facts.extend(value.map(|value| format!("{name}{value}")));
    };
    let text = |value: &Option<std::borrow::Cow<'_, str>>| value.as_deref().map(str::to_owned);
    fact("agent ", agent(envelope));
    fact("for ", principal(envelope));
    fact(
        "via ",
        (!envelope.delegation.is_empty()).then(|| {
            let chain = envelope.delegation.iter().map(|d| format!("{} {}", d.r#type, d.id));
            chain.collect::<Vec<_>>().join(" ← ")
        }),
    );
    fact("call ", text(&envelope.tool_call_id));
    fact("", text(&envelope.protocol));
    fact("tokens in ", envelope.usage_input_tokens.map(|n| n.to_string()));
    fact("tokens out ", envelope.usage_output_tokens.map(|n| n.to_string()));
    fact("cache ", envelope.usage_cache_read_input_tokens.map(|n| n.to_string()));
    fact("$", envelope.cost_nanos.map(dollars));
    fact("policy ", text(&envelope.policy_id));
    fact("approver ", text(&envelope.approver_id));
    for retrieval in &envelope.retrievals {
        let score = retrieval.score.map_or_else(String::new, |score| format!(" ({score})"));
        fact("from ", Some(format!("{}/{}{score}", retrieval.source, retrieval.document_id)));
    }
    for evaluation in &envelope.evaluations {
        let score = evaluation.score.map_or_else(String::new, |score| format!(" {score}"));
        let label = evaluation.label.as_deref().unwrap_or_default();
        fact("", Some(format!("{}{score} {label}", evaluation.name).trim_end().to_owned()));
    }
    facts
}

fn sums(totals: &Totals) -> String {
    let mut parts = vec![
        format!("status {}", totals.status),
        format!("{} rows", totals.rows),
        format!("{} model calls", totals.model_calls),
        format!("{} tool calls", totals.tool_calls),
        format!("tokens {} in, {} out", totals.input_tokens, totals.output_tokens),
    ];
    if totals.cost_nanos > 0 {
        parts.push(format!("${}", dollars(totals.cost_nanos)));
    }
    if totals.repeats > 0 {
        parts.push(format!("{} repeats left out", totals.repeats));
    }
    parts.join(" · ")
}

fn dollars(nanos: u64) -> String {
    format!("{}.{:06}", nanos / 1_000_000_000, nanos % 1_000_000_000 / 1000)
}

/// A duration for people.
fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..600_000_000 => {
            format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000)
        }
        _ => format!("{} min", micros / 60_000_000),
    }
}

/// The time of an RFC 3339 text, to the millisecond.
fn time_of_day(time: Micros) -> String {
    let text = time.to_string();
    text.get(11..23).map_or_else(|| text.clone(), str::to_owned)
}
