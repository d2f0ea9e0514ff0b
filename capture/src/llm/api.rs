//! Which API a request speaks: by the end of its path, so that a route's prefix does not matter, and then by whether its
//! body has that shape.

use super::call::Call;
use super::reply::Reply;
use super::{anthropic, openai_chat};

/// An API that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    OpenAiChat,
    Anthropic,
}

impl Api {
    /// The API at a target, if its bodies fit.
    pub(super) fn of(method: &str, target: &str) -> Option<Self> {
        let path = target.split('?').next()?.trim_end_matches('/');
        if !method.eq_ignore_ascii_case("POST") {
            return None;
        }
        let ends: [(&str, Self); 2] =
            [("/chat/completions", Self::OpenAiChat), ("/messages", Self::Anthropic)];
        ends.into_iter().find(|(end, _)| path.ends_with(end)).map(|(_, api)| api)
    }

    pub(super) fn convention(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai.chat",
            Self::Anthropic => "anthropic.messages",
        }
    }

    /// Who provides it where the host does not say.
    pub(super) fn provider(self) -> Option<&'static str> {
        match self {
            Self::Anthropic => Some("anthropic"),
            Self::OpenAiChat => None,
        }
    }

    /// Reads a request; `None` where it is not of this API.
    pub(super) fn ask(self, body: &str, call: &mut Call) -> Option<()> {
        match self {
            Self::OpenAiChat => openai_chat::ask(body, call),
            Self::Anthropic => anthropic::ask(body, call),
        }
    }

    /// Reads an answer; `None` where it is not of this API.
    pub(super) fn answer(self, body: &str, reply: &mut Reply) -> Option<()> {
        match self {
            Self::OpenAiChat => openai_chat::answer(body, reply),
            Self::Anthropic => anthropic::answer(body, reply),
        }
    }

    /// Reads the frames of a stream; `None` where they are not of this API.
    pub(super) fn stream<'f>(
        self,
        frames: impl Iterator<Item = std::borrow::Cow<'f, str>>,
        reply: &mut Reply,
    ) -> Option<()> {
        match self {
            Self::OpenAiChat => openai_chat::stream(frames, reply),
            Self::Anthropic => anthropic::stream(frames, reply),
        }
    }
}
