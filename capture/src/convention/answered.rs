//! What an answer says of itself in a JSON text that is kept as it came: which answer it is, by which model, why it ended.
//!
//! It is read only where the text is an answer as OpenAI's or Anthropic's API gives it, or as LangChain hands it on. What is a
//! field already stays.

use std::borrow::Cow;

use schemas::Envelope;
use serde::Deserialize;

use crate::happening::is_name;

/// Bytes of a text that is looked into.
const BYTES_MAX: usize = 8 << 20;

type Text<'a> = Option<Cow<'a, str>>;

/// All that is looked at of an answer, whoever gave it.
#[derive(Debug, Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    object: Text<'a>,
    #[serde(borrow)]
    r#type: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    stop_reason: Text<'a>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    generations: Option<Vec<Vec<Generation<'a>>>>,
}

#[derive(Debug, Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    finish_reason: Text<'a>,
}

#[derive(Debug, Deserialize)]
struct Generation<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
}

#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    kwargs: Option<Kwargs<'a>>,
}

#[derive(Debug, Deserialize)]
struct Kwargs<'a> {
    #[serde(borrow)]
    response_metadata: Option<Metadata<'a>>,
}

/// What LangChain keeps of an answer beside its message.
#[derive(Debug, Default, Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    model_name: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    finish_reason: Text<'a>,
    #[serde(borrow)]
    stop_reason: Text<'a>,
}

/// What an answer says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    id: Option<String>,
    model: Option<String>,
    reasons: Vec<String>,
}

impl Said {
    /// Reads a text; nothing is said where it is no answer of a kind that is known.
    pub(super) fn of(text: &str) -> Self {
        let is_object = text.starts_with('{') && text.len() <= BYTES_MAX;
        let answer: Option<Answer<'_>> =
            is_object.then(|| serde_json::from_str(text).ok()).flatten();
        let Some(answer) = answer else { return Self::default() };
        match (answer.object.as_deref(), answer.r#type.as_deref()) {
            (Some("chat.completion"), _) => {
                let choices = answer.choices.into_iter().flatten();
                let reasons = choices.map(|choice| choice.finish_reason).collect();
                Self::new(answer.id, answer.model, reasons)
            }
            (Some("response"), _) => Self::new(answer.id, answer.model, Vec::new()),
            (None, Some("message")) => Self::new(answer.id, answer.model, vec![answer.stop_reason]),
            (None, Some("LLMResult")) => Self::of_generations(answer.generations),
            _ => Self::default(),
        }
    }

    /// Of a batch's only prompt; of several answers to it, which share the id, the reason of each.
    fn of_generations(generations: Option<Vec<Vec<Generation<'_>>>>) -> Self {
        let Some([answers]) = generations.and_then(|batch| <[_; 1]>::try_from(batch).ok()) else {
            return Self::default();
        };
        let (mut id, mut model, mut reasons) = (None, None, Vec::new());
        for one in answers.into_iter().map(metadata) {
            id = id.or(one.id);
            model = model.or(one.model_name).or(one.model);
            reasons.push(one.finish_reason.or(one.stop_reason));
        }
        Self::new(id, model, reasons)
    }

    fn new(id: Text<'_>, model: Text<'_>, reasons: Vec<Text<'_>>) -> Self {
        let name = |text: Text<'_>| text.filter(|text| is_name(text)).map(Cow::into_owned);
        // A list with holes would say which answer ended how, and be wrong.
        let reasons = reasons.into_iter().map(name).collect::<Option<Vec<_>>>();
        Self { id: name(id), model: name(model), reasons: reasons.unwrap_or_default() }
    }

    /// Fills the fields of a model call that nothing else filled.
    pub(super) fn fill(self, envelope: &mut Envelope<'static>) {
        if envelope.kind != "llm.call" {
            return;
        }
        envelope.response_id = envelope.response_id.take().or(self.id.map(Into::into));
        envelope.response_model = envelope.response_model.take().or(self.model.map(Into::into));
        if envelope.finish_reasons.is_empty() {
            envelope.finish_reasons = self.reasons.into_iter().map(Into::into).collect();
        }
    }
}

fn metadata(answer: Generation<'_>) -> Metadata<'_> {
    let message = answer.message.and_then(|message| message.kwargs);
    message.and_then(|message| message.response_metadata).unwrap_or_default()
}

/// The id of the call that LangChain's message of a tool answers.
pub(super) fn tool_call_id(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
        #[serde(borrow)]
        data: Inner<'a>,
    }
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        tool_call_id: Cow<'a, str>,
    }
    let is_object = text.starts_with('{') && text.len() <= BYTES_MAX;
    let message: Wrapped<'_> = is_object.then(|| serde_json::from_str(text).ok()).flatten()?;
    let id = message.data.tool_call_id;
    (message.r#type == "tool" && is_name(&id)).then(|| id.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> (String, String, String) {
        let said = Said::of(text);
        (said.id.unwrap_or_default(), said.model.unwrap_or_default(), said.reasons.join(","))
    }

    fn expected(id: &str, model: &str, reasons: &str) -> (String, String, String) {
        (id.to_owned(), model.to_owned(), reasons.to_owned())
    }

    #[test]
    fn answers_of_each_kind_say_what_they_are() {
        let chat = r#"{"id":"chatcmpl-1","object":"chat.completion","model":"m","choices":[{"finish_reason":"stop"},{"finish_reason":"length"}]}"#;
        assert_eq!(said(chat), expected("chatcmpl-1", "m", "stop,length"));
        let response = r#"{"id":"resp_1","object":"response","model":"m","status":"completed"}"#;
        assert_eq!(said(response), expected("resp_1", "m", ""));
        let message = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","stop_reason":"tool_use"}"#;
        assert_eq!(said(message), expected("msg_1", "m", "tool_use"));
        let langchain = r#"{"generations":[[{"text":"","message":{"lc":1,"kwargs":{"id":"lc_run--1","response_metadata":{"id":"chatcmpl-1","model_name":"m","finish_reason":"stop"}}}}]],"llm_output":null,"type":"LLMResult"}"#;
        assert_eq!(said(langchain), expected("chatcmpl-1", "m", "stop"));
        let anthropic = langchain.replace("model_name", "model").replace("finish_", "stop_");
        assert_eq!(said(&anthropic), expected("chatcmpl-1", "m", "stop"));
    }

    #[test]
    fn what_is_no_such_answer_says_nothing() {
        let nothing = expected("", "", "");
        for text in [
            "",
            "chatcmpl-1",
            r#"{"id":"1","model":"m"}"#,
            r#"{"id":"1","object":"list","model":"m"}"#,
            r#"{"id":"1","object":"chat.completion","type":7}"#,
            r#"{"id":"1","type":"message","model":"m""#,
            r#"[{"id":"1","object":"response"}]"#,
            r#"{"type":"LLMResult","generations":[[],[]]}"#,
            "{\"id\":\"a\\nb\",\"object\":\"response\"}",
        ] {
            assert_eq!(said(text), nothing, "{text}");
        }
        // One of two answers does not say why it ended.
        let partly = r#"{"id":"1","object":"chat.completion","choices":[{"finish_reason":"stop"},{"finish_reason":null}]}"#;
        assert_eq!(said(partly), expected("1", "", ""));
    }

    #[test]
    fn a_tool_message_names_its_call() {
        let id = |text: &str| tool_call_id(text).unwrap_or_default();
        assert_eq!(id(r#"{"type":"tool","data":{"content":"x","tool_call_id":"c1"}}"#), "c1");
        assert_eq!(id(r#"{"type":"ai","data":{"tool_call_id":"c1"}}"#), "");
        assert_eq!(id(r#"{"tool_call_id":"c1"}"#), "");
    }
}
