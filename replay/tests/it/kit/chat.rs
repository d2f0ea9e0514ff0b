//! Sends chats as `import` does, by its description: one line of messages becomes the events of one session.

use schemas::{Body, Content, ContextPrefix, Digest, Envelope};

use super::writer::{Sent, Writer};

/// One session being sent. Bodies go once; contexts fold where `fold` says so.
pub(crate) struct Sender<'w> {
    pub(crate) writer: &'w mut Writer,
    pub(crate) session: String,
    pub(crate) sent: Vec<Sent>,
    /// Messages so far: their contents, in order.
    pub(crate) messages: Vec<Content<'static>>,
    /// The last model call and the length of its whole context.
    pub(crate) last: Option<(Digest, u64)>,
}

impl<'w> Sender<'w> {
    pub(crate) fn new(writer: &'w mut Writer, session: &str) -> Self {
        let (sent, messages) = Default::default();
        Self { writer, session: session.to_owned(), sent, messages, last: None }
    }

    pub(crate) fn send(&mut self, envelope: &Envelope<'_>, bodies: &[Body<'_>]) -> Digest {
        let (sent, digest) = Writer::message(envelope, bodies);
        self.sent.push(sent);
        digest
    }

    /// An event with new contents and nothing else.
    pub(crate) fn event(&mut self, kind: &str, contents: &[(&str, &str, &str)]) -> Digest {
        self.event_with(kind, contents, |_| {})
    }

    pub(crate) fn event_with(
        &mut self,
        kind: &str,
        contents: &[(&str, &str, &str)],
        edit: impl FnOnce(&mut Envelope<'static>),
    ) -> Digest {
        let mut envelope = self.writer.envelope(&self.session, kind);
        edit(&mut envelope);
        let made: Vec<_> = contents
            .iter()
            .map(|(role, kind, text)| self.writer.body(role, kind, text.as_bytes()))
            .collect();
        for (content, _) in &made {
            envelope.contents.push(owned(content));
        }
        let bodies: Vec<Body<'_>> = made.into_iter().map(|(_, body)| body).collect();
        self.send(&envelope, &bodies)
    }

    /// A message that joins the context of later model calls.
    pub(crate) fn says(&mut self, kind: &str, role: &str, text: &str) {
        let (content, body) = self.writer.body(role, "message", text.as_bytes());
        let content = owned(&content);
        let mut envelope = self.writer.envelope(&self.session, kind);
        envelope.contents.push(content.clone());
        self.send(&envelope, &[body]);
        self.messages.push(content);
    }

    /// A model call whose whole context is all messages so far and this answer.
    pub(crate) fn call(
        &mut self,
        answer: &str,
        fold: bool,
        edit: impl FnOnce(&mut Envelope<'static>),
    ) {
        let (content, body) = self.writer.body("assistant", "message", answer.as_bytes());
        let content = owned(&content);
        self.messages.push(content);
        let mut envelope = self.writer.envelope(&self.session, "llm.call");
        edit(&mut envelope);
        let folded = self.last.filter(|_| fold);
        let skip = folded.map_or(0, |(_, count)| usize::try_from(count).unwrap());
        envelope.contents = self.messages[skip..].to_vec();
        envelope.context_prefix =
            folded.map(|(event_digest, count)| ContextPrefix { event_digest, count });
        let digests: Vec<Digest> = self.messages.iter().map(|content| content.digest).collect();
        envelope.context_digest = Some(schemas::context_digest(&digests));
        let digest = self.send(&envelope, &[body]);
        self.last = Some((digest, u64::try_from(self.messages.len()).unwrap()));
    }
}

pub(crate) fn owned(content: &Content<'_>) -> Content<'static> {
    Content {
        role: content.role.to_string().into(),
        kind: content.kind.to_string().into(),
        media_type: content.media_type.to_string().into(),
        size: content.size,
        digest: content.digest,
    }
}
