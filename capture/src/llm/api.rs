//! Which API a request speaks: by the end of its path, so that a route's prefix does not matter, and then by whether its
//! body has that shape.

use std::borrow::Cow;

use super::call::Call;
use super::reply::Reply;
use super::{anthropic, gemini, ollama, openai_chat, openai_embeddings, openai_responses};

/// An API that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    OpenAiChat,
    OpenAiResponses,
    OpenAiEmbeddings,
    Anthropic,
    Gemini,
    OllamaChat,
    OllamaGenerate,
    OllamaEmbed,
}

/// How paths end.
const ENDS: [(&str, Api); 10] = [
    ("/chat/completions", Api::OpenAiChat),
    ("/responses", Api::OpenAiResponses),
    ("/api/embeddings", Api::OllamaEmbed),
    ("/api/embed", Api::OllamaEmbed),
    ("/embeddings", Api::OpenAiEmbeddings),
    ("/messages", Api::Anthropic),
    (":generateContent", Api::Gemini),
    (":streamGenerateContent", Api::Gemini),
    ("/api/chat", Api::OllamaChat),
    ("/api/generate", Api::OllamaGenerate),
];

impl Api {
    /// The API at a target, if its bodies fit.
    pub(super) fn of(method: &str, target: &str) -> Option<Self> {
        let path = path(target);
        let ends = ENDS.iter().filter(|_| method.eq_ignore_ascii_case("POST"));
        ends.copied().find(|(end, _)| path.ends_with(end)).map(|(_, api)| api)
    }

    pub(super) fn convention(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai.chat",
            Self::OpenAiResponses => "openai.responses",
            Self::OpenAiEmbeddings => "openai.embeddings",
            Self::Anthropic => "anthropic.messages",
            Self::Gemini => "gemini",
            Self::OllamaChat | Self::OllamaGenerate | Self::OllamaEmbed => "ollama",
        }
    }

    /// Who provides it where the host does not say.
    pub(super) fn provider(self) -> &'static str {
        match self {
            Self::OpenAiChat | Self::OpenAiResponses | Self::OpenAiEmbeddings => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gcp.gemini",
            Self::OllamaChat | Self::OllamaGenerate | Self::OllamaEmbed => "ollama",
        }
    }

    /// Reads a request; `None` where it is not of this API.
    pub(super) fn ask(self, target: &str, body: &str, call: &mut Call) -> Option<()> {
        match self {
            Self::OpenAiChat => openai_chat::ask(body, call),
            Self::OpenAiResponses => openai_responses::ask(body, call),
            Self::OpenAiEmbeddings => openai_embeddings::ask(body, call),
            Self::Anthropic => anthropic::ask(body, call),
            Self::Gemini => gemini::ask(path(target), body, call),
            Self::OllamaChat => ollama::ask_chat(body, call),
            Self::OllamaGenerate => ollama::ask_generate(body, call),
            Self::OllamaEmbed => ollama::ask_embed(body, call),
        }
    }

    /// Reads an answer; `None` where it is not of this API.
    pub(super) fn answer(self, body: &str, reply: &mut Reply) -> Option<()> {
        match self {
            Self::OpenAiChat => openai_chat::answer(body, reply),
            Self::OpenAiResponses => openai_responses::answer(body, reply),
            Self::OpenAiEmbeddings => openai_embeddings::answer(body, reply),
            Self::Anthropic => anthropic::answer(body, reply),
            Self::Gemini => gemini::answer(body, reply),
            Self::OllamaChat | Self::OllamaGenerate | Self::OllamaEmbed => {
                ollama::answer(body, reply)
            }
        }
    }

    /// Reads the frames of a stream; `None` where they are not of this API.
    pub(super) fn stream<'f>(
        self,
        frames: impl Iterator<Item = Cow<'f, str>>,
        reply: &mut Reply,
    ) -> Option<()> {
        match self {
            Self::OpenAiChat => openai_chat::stream(frames, reply),
            Self::OpenAiResponses => openai_responses::stream(frames, reply),
            Self::OpenAiEmbeddings => None,
            Self::Anthropic => anthropic::stream(frames, reply),
            Self::Gemini => gemini::stream(frames, reply),
            Self::OllamaChat | Self::OllamaGenerate | Self::OllamaEmbed => {
                ollama::stream(frames, reply)
            }
        }
    }
}

fn path(target: &str) -> &str {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    path.trim_end_matches('/')
}
