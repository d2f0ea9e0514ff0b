//! CORE. `bundle.html`: a bundle for reading, in one file, without scripts. Everything that an agent, a tool or a user wrote
//! is hostile here: it is escaped wherever it stands, and what could hide or reorder text is spelled out.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use schemas::{
    BundleName, Content, Digest, Envelope, ShownContent, ShownEvent, ShownRow, TimestampType,
};

use crate::bundle::Bundle;
use crate::bundle::summary::{Summary, time};
use crate::emit::escape::is_unsafe;
use crate::message::Message;

/// Most characters of a body that are shown; the bundle has all of them.
const CHARS_MAX: usize = 1 << 16;

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><title>Evidence bundle</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h1,h2{line-height:1.2}code,pre{font-family:ui-monospace,monospace;font-size:.85em;overflow-wrap:anywhere}
pre{white-space:pre-wrap;background:#f5f5f2;padding:.6rem;margin:.3rem 0;border-left:3px solid #bbb}
article{border-top:1px solid #ccc;padding:.5rem 0}dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem}
dd{margin:0;overflow-wrap:anywhere}.note{background:#fff6d6;padding:.6rem}.withheld{color:#777;font-style:italic}
</style></head><body>
"#;

const NOTE: &str = "<p class=\"note\">This page proves nothing: it is what the maker of the bundle shows. What the bundle proves, \
                    <code>chancery verify</code> says; <code>VERIFY.md</code> tells how, and how to do without it.</p>\n";

/// The page.
pub(crate) fn page(bundle: &Bundle) -> String {
    let summary = Summary::of(bundle);
    let mut page = Page { out: HEAD.to_owned(), bundle, shown: BTreeSet::new() };
    page.put("<h1>Evidence bundle</h1>\n");
    page.put(NOTE);
    page.put("<h2>It claims</h2>\n");
    summary.claimed().iter().for_each(|line| page.line("p", line));
    page.put("<h2>It does not show</h2>\n<ul>\n");
    summary.limits().iter().for_each(|line| page.line("li", line));
    page.put("</ul>\n<h2>The log</h2>\n<dl>\n");
    let claim = &bundle.claim;
    page.pair("log", &claim.origin);
    page.pair("checkpoint", &claim.size);
    page.pair("root", &summary.root);
    page.pair("made at", &claim.made_at);
    page.pair("made by", &claim.writer);
    page.put("</dl>\n<h2>Messages</h2>\n");
    for (number, row) in bundle.rows() {
        page.row(number, row);
    }
    page.put("</body></html>\n");
    page.out
}

struct Page<'a> {
    out: String,
    bundle: &'a Bundle,
    /// Bodies that stand further up.
    shown: BTreeSet<Digest>,
}

/// The text where markup is read: no character of it is markup.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            '\n' | '\t' => f.write_char(c),
            c if is_unsafe(c) => write!(f, "{}", c.escape_default()),
            c => f.write_char(c),
        })
    }
}

impl Page<'_> {
    /// Puts our own markup.
    fn put(&mut self, markup: &str) {
        self.out.push_str(markup);
    }

    fn line(&mut self, element: &str, text: &str) {
        let _infallible = writeln!(self.out, "<{element}>{}</{element}>", Escaped(text));
    }

    fn pair(&mut self, name: &str, value: &impl fmt::Display) {
        let value = value.to_string();
        let _infallible = writeln!(self.out, "<dt>{name}</dt><dd>{}</dd>", Escaped(&value));
    }

    fn pair_of(&mut self, name: &str, value: Option<&impl fmt::Display>) {
        value.iter().for_each(|value| self.pair(name, value));
    }

    fn row(&mut self, link: usize, row: &ShownRow) {
        self.put("<article>\n");
        let offset = row.offset;
        match &row.content {
            ShownContent::Raw(_, reason) => {
                self.line(
                    "h3",
                    &format!("#{offset} a message that is no event: {}", reason.as_str()),
                );
                self.put("<dl>\n");
                self.place(link, row);
                self.put("</dl>\n");
            }
            ShownContent::Event(event) => {
                let envelope =
                    Envelope::from_bytes(&event.envelope).unwrap_or_else(Envelope::blank);
                self.line("h3", &format!("#{offset} {}", envelope.kind));
                self.put("<dl>\n");
                self.who(&envelope);
                self.place(link, row);
                self.pair("event id", &envelope.event_id);
                self.pair("event digest", &event.digest());
                self.signed(event);
                self.put("</dl>\n");
                envelope.contents.iter().for_each(|content| self.content(content));
            }
        }
        self.put("</article>\n");
    }

    fn place(&mut self, link: usize, row: &ShownRow) {
        if row.timestamp.kind != TimestampType::None {
            self.pair("message of", &time(row.timestamp.millis));
        }
        self.pair("shown by", &BundleName::Rows(u32::try_from(link).unwrap_or(u32::MAX)));
    }

    /// Who did what, when, as the source says.
    fn who(&mut self, envelope: &Envelope<'_>) {
        self.pair("at", &envelope.occurred_at);
        if envelope.phase != "complete" {
            self.pair("phase", &envelope.phase);
        }
        if envelope.status != "unset" {
            self.pair("status", &envelope.status);
        }
        self.pair_of("error", envelope.error_type.as_ref());
        self.pair_of("actor", envelope.actor_id.as_ref().or(envelope.actor_type.as_ref()));
        self.pair_of("agent", envelope.agent_name.as_ref().or(envelope.agent_id.as_ref()));
        self.pair_of("on behalf of", envelope.principal_id.as_ref());
        self.pair_of("model", envelope.response_model.as_ref().or(envelope.request_model.as_ref()));
        self.pair_of("tool", envelope.tool_name.as_ref());
        self.pair_of("tool call", envelope.tool_call_id.as_ref());
        self.pair_of("effect", envelope.tool_effect.as_ref());
        self.pair_of("policy decision", envelope.policy_decision.as_ref());
        self.pair_of("approver", envelope.approver_id.as_ref());
        self.pair("captured by", &envelope.capture_source);
    }

    fn signed(&mut self, event: &ShownEvent) {
        let signature = event.signature.as_deref().and_then(schemas::Signature::from_bytes);
        self.pair_of(
            "signed with, not checked",
            signature.map(|signature| signature.key_id).as_ref(),
        );
    }

    fn content(&mut self, content: &Content<'_>) {
        let Content { role, kind, media_type, size, digest } = content;
        let of = if role.is_empty() { String::new() } else { format!(" of {role}") };
        self.line("h4", &format!("{kind}{of}, {media_type}, {size} bytes"));
        let _infallible = writeln!(self.out, "<p><code>{digest}</code></p>");
        let Some(body) = self.bundle.bodies.get(digest).and_then(|body| body.get(16..)) else {
            let _infallible =
                writeln!(self.out, "<p class=\"withheld\">withheld, {size} bytes</p>");
            return;
        };
        if !self.shown.insert(*digest) {
            let _infallible = writeln!(self.out, "<p><a href=\"#b{digest}\">as above</a></p>");
            return;
        }
        let _infallible = writeln!(self.out, "<div id=\"b{digest}\">");
        let message = if kind == "message" { Message::parse(body, role) } else { None };
        match (message, std::str::from_utf8(body)) {
            (Some(message), _) => self.message(&message),
            (None, Ok(text)) => self.text(text),
            (None, Err(_)) => self.line("p", "bytes that are no text"),
        }
        self.put("</div>\n");
    }

    fn message(&mut self, message: &Message) {
        if !message.thoughts.is_empty() {
            self.text(&format!("[thinks] {}", message.thoughts));
        }
        if !message.text.is_empty() {
            self.text(&message.text);
        }
        for call in &message.calls {
            self.line("p", &format!("asks for {} ({}) with", call.name, call.id));
            self.text(&call.arguments);
        }
        for call in &message.answers {
            self.line("p", &format!("answers {call}"));
        }
    }

    fn text(&mut self, text: &str) {
        let cut = text.char_indices().nth(CHARS_MAX).map_or(text, |(at, _)| text.split_at(at).0);
        let _infallible = writeln!(self.out, "<pre>{}</pre>", Escaped(cut));
        if cut.len() < text.len() {
            self.line("p", "cut here; all of it is in the bundle");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_is_markup(text in any::<String>()) {
            let escaped = Escaped(&text).to_string();
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            prop_assert!(!escaped.chars().any(|c| is_unsafe(c) && c != '\n' && c != '\t'));
            let entities = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
            let rest = entities.iter().fold(escaped, |rest, entity| rest.replace(entity, ""));
            prop_assert!(!rest.contains('&'));
        }
    }
}
