//! A trace for people: a tree of at most so many columns, long bodies cut unless asked for in full, nothing unescaped.

use std::io::{Result, Write};
use std::sync::Arc;

pub use super::table::{report, sessions};

use super::escape::{escaped, wrapped};
use super::words::{duration, facts, kind_label, sums, title};
use crate::diff::FieldChange;
use crate::message::Message;
use crate::session::{Body, Content};
use crate::trace::{Request, Step, Trace, Turn};

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
    let many = trace.sources.len() > 1;
    let mut page = Page { out, options, indent: String::new(), many };
    page.head(trace)?;
    for (number, turn) in trace.turns.iter().enumerate() {
        page.turn(number + 1, turn)?;
    }
    if !trace.holes.is_empty() {
        page.line("")?;
        page.styled(Style::Alarm, &format!("holes ({})", trace.holes.len()))?;
        for hole in &trace.holes {
            let at = hole.at.map_or_else(String::new, |at| format!("{at} "));
            let of =
                hole.session.as_deref().map_or_else(String::new, |of| format!("session {of} "));
            page.item("  ! ", "    ", &format!("{of}{at}{}", hole.reason), Style::Alarm)?;
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
    /// Whether more than one door or library told of it.
    many: bool,
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
        let title = match trace.trace_id {
            Some(trace) => format!("trace {trace}"),
            None => format!("session {}", trace.key.session),
        };
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
        if !trace.others.is_empty() {
            lines.push(format!("with session {}", trace.others.join(", ")));
        }
        if trace.sources.len() > 1 {
            lines.push(format!("told by {}", trace.sources.join(", ")));
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
        self.item(first, &format!("{rest}  "), &title(step, self.many), Style::Strong)?;
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
        let facts = facts(step);
        if !facts.is_empty() {
            self.item("", "  ", &facts.join(" · "), Style::Faint)?;
        }
        self.contents(step)?;
        for Request { call, .. } in &step.requests {
            let line = format!("{} {} {}", call.name, call.id, call.arguments);
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

    /// The conversation, then the apparatus around it: that is short unless all is shown in full. So is what a run says that
    /// its steps say too.
    fn contents(&mut self, step: &Step) -> Result<()> {
        let full = self.options.full;
        let repeats = step.event.envelope().kind == "agent.run" && !step.children.is_empty();
        let is_shown = move |content: &Content| full || (content.is_conversation() && !repeats);
        let known = if full { 0 } else { step.known };
        let mut left_out = 0;
        for (place, content) in step.contents.iter().enumerate().filter(|(_, it)| is_shown(it)) {
            if place < known {
                left_out += 1;
                continue;
            }
            self.left_out(std::mem::take(&mut left_out))?;
            self.content(if place < step.answer { "" } else { "→ " }, content)?;
        }
        self.left_out(left_out)?;
        let mut rest = step.contents.iter().filter(|content| !is_shown(content)).peekable();
        while let Some(content) = rest.next() {
            let (mut count, mut size) = (1, content.size);
            let is_alike = |next: &&Arc<Content>| is_line(next) && next.kind == content.kind;
            while is_line(content)
                && let Some(next) = rest.next_if(is_alike)
            {
                (count, size) = (count + 1, size.saturating_add(next.size));
            }
            self.apparatus(content, count, size)?;
        }
        Ok(())
    }

    fn left_out(&mut self, entries: usize) -> Result<()> {
        if entries == 0 {
            return Ok(());
        }
        let line = format!("… {entries} entries of the context, as in the call before");
        self.item("", "  ", &line, Style::Faint)
    }

    /// An error is read as it is; of what else surrounds a conversation there is a line, one for several of a kind.
    fn apparatus(&mut self, content: &Arc<Content>, count: u64, size: u64) -> Result<()> {
        if !is_line(content) {
            return self.content("", content);
        }
        let times = if count > 1 { format!(" ×{count}") } else { String::new() };
        let line = format!("{}{times}, {size} bytes", content.kind);
        self.item("", "  ", &line, Style::Faint)
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
                if !message.thoughts.is_empty() {
                    self.cut(&format!("{label}[thinks] "), &message.thoughts)?;
                }
                let said_else = !message.calls.is_empty() || !message.thoughts.is_empty();
                if message.text.is_empty() && said_else {
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

/// Whether of apparatus its kind and size are enough.
fn is_line(content: &Content) -> bool {
    let is_text = content.kind == "raw" && content.media_type == "text/plain";
    content.kind != "error" && !is_text && matches!(content.body, Body::Clear(_))
}

/// At most so many bytes of a text.
fn head(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}
