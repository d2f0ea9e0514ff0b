//! OpenInference: the kind of a span is an attribute, and histories are flattened.

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use schemas::Evaluation;
use serde::Deserialize;

use super::Reading;
use super::answered::{Said, tool_call_id};
use super::field::{Name, Row};
use super::langsmith::contents;
use super::message::json_list;
use crate::happening::Content;

const KIND: &str = "openinference.span.kind";

const NAMES: [Name; 9] = [
    (|it| &mut it.operation, &[KIND]),
    (|it| &mut it.provider, &["llm.provider", "llm.system"]),
    (|it| &mut it.request_model, &["llm.request.model_name"]),
    (|it| &mut it.response_model, &["llm.response.model_name", "llm.model_name"]),
    (|it| &mut it.request_model, &["embedding.model_name", "reranker.model_name"]),
    (|it| &mut it.agent_name, &["agent.name", "graph.node.id"]),
    (|it| &mut it.agent_id, &["agent.id"]),
    (|it| &mut it.tool_name, &["tool.name"]),
    (|it| &mut it.tool_call_id, &["tool.id", "tool_call.id"]),
];
const USAGE: [Row<u64>; 5] = [
    (|it| &mut it.usage_input_tokens, &["llm.token_count.prompt"]),
    (|it| &mut it.usage_output_tokens, &["llm.token_count.completion"]),
    (
        |it| &mut it.usage_cache_read_input_tokens,
        &[
            "llm.token_count.prompt_details.cache_read",
            "llm.token_count.prompt_details.cache_input",
        ],
    ),
    (|it| &mut it.usage_cache_write_input_tokens, &["llm.token_count.prompt_details.cache_write"]),
    (|it| &mut it.usage_reasoning_output_tokens, &["llm.token_count.completion_details.reasoning"]),
];

/// What `llm.invocation_parameters` may have of what has a field; it stays an attribute.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Parameters {
    model: Option<String>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    seed: Option<i64>,
}

pub(super) fn is_spoken(reading: &Reading<'_>) -> bool {
    reading.attributes.has(KIND)
}

pub(super) fn kind(reading: &Reading<'_>) -> Option<&'static str> {
    match reading.attributes.text(KIND)? {
        "LLM" | "EMBEDDING" => Some("llm.call"),
        "TOOL" => Some("tool.call"),
        "RETRIEVER" | "RERANKER" => Some("retrieval"),
        "AGENT" | "CHAIN" => Some("agent.run"),
        "EVALUATOR" => Some("evaluation"),
        _ => None,
    }
}

pub(super) fn read(reading: &mut Reading<'_>) {
    reading.names(&NAMES);
    name_agent(reading);
    read_parameters(reading);
    if reading.has_own_usage() {
        reading.counts(&USAGE);
    }
    reading.cost(&["llm.cost.total"]);
    reading.session(&["session.id"]);
    reading.principal(&["user.id"]);
    reading.finish_reasons(&["llm.finish_reason"]);
    read_answered(reading);
    read_messages(reading);
    read_documents(reading);
    read_values(reading);
    read_evaluation(reading);
}

/// The instrumentation that names the agents of its agents' spans, and whose other span of that kind is named after a workflow.
const NAMES_AGENTS: &str = "openinference.instrumentation.openai_agents";

/// The name of an agent's span is the agent's, where it has no other.
fn name_agent(reading: &mut Reading<'_>) {
    let envelope = &mut reading.envelope;
    let is_agent = envelope.operation.as_deref() == Some("AGENT") && reading.scope != NAMES_AGENTS;
    if is_agent && envelope.agent_name.is_none() && crate::is_name(&reading.name) {
        envelope.agent_name = Some(reading.name.clone().into());
    }
}

fn read_parameters(reading: &mut Reading<'_>) {
    let text = reading.attributes.text("llm.invocation_parameters");
    let said: Option<Parameters> = text.and_then(|text| serde_json::from_str(text).ok());
    let Some(said) = said else { return };
    let envelope = &mut reading.envelope;
    let model = said.model.filter(|model| crate::is_name(model));
    envelope.request_model = envelope.request_model.take().or(model.map(Into::into));
    envelope.temperature = envelope.temperature.or(said.temperature);
    envelope.top_p = envelope.top_p.or(said.top_p);
    let max_tokens = said.max_tokens.or(said.max_completion_tokens).or(said.max_output_tokens);
    envelope.max_tokens = envelope.max_tokens.or(max_tokens);
    envelope.seed = envelope.seed.or(said.seed);
}

/// What an answer says of itself, or a tool's message of its call.
fn read_answered(reading: &mut Reading<'_>) {
    let Some(text) = reading.attributes.text("output.value") else { return };
    let call = tool_call_id(text).filter(|_| reading.is("tool.call"));
    Said::of(text).fill(&mut reading.envelope);
    let envelope = &mut reading.envelope;
    envelope.tool_call_id = envelope.tool_call_id.take().or(call.map(Into::into));
}

fn read_messages(reading: &mut Reading<'_>) {
    if reading.definitions.is_empty()
        && let Some(tools) = take_tools(reading)
    {
        reading.definitions.push(Content::json("", "tool_definitions", tools));
    }
    if reading.input.is_empty() {
        reading.input = reading.take_flat("llm.input_messages.", ".message.", "");
    }
    if reading.input.is_empty() {
        reading.input = reading.take_flat("llm.prompts.", ".prompt.", "");
    }
    if reading.output.is_empty() {
        reading.output = reading.take_flat("llm.output_messages.", ".message.", "assistant");
    }
    if reading.output.is_empty() {
        reading.output = reading.take_flat("llm.choices.", ".completion.", "assistant");
    }
}

/// The tools' schemas as one list, in order of their numbers.
fn take_tools(reading: &mut Reading<'_>) -> Option<Bytes> {
    let mut places: Vec<(u32, usize)> = reading
        .attributes
        .under("llm.tools.")
        .filter_map(|(place, rest)| {
            Some((rest.strip_suffix(".tool.json_schema")?.parse().ok()?, place))
        })
        .collect();
    places.sort_unstable();
    let values = places.iter().map(|(_, place)| reading.attributes.at(*place));
    let list = (!places.is_empty()).then(|| json_list(values).into());
    for (_, place) in places {
        reading.attributes.take_at(place, |_| true);
    }
    list
}

fn read_documents(reading: &mut Reading<'_>) {
    for prefix in ["retrieval.documents.", "reranker.output_documents."] {
        let documents = reading.take_flat(prefix, ".document.", "");
        for document in documents {
            let document = Content { kind: "document".into(), ..document };
            reading.document("", document);
        }
    }
}

/// What went in and came out as a whole: of a call to a model it says again what the messages say, and stays an attribute, but
/// not what of a request or of a state was there before.
fn read_values(reading: &mut Reading<'_>) {
    let (input, output) = match &*reading.envelope.kind {
        "tool.call" => ("tool_arguments", "tool_result"),
        "llm.call" => ("message", "message"),
        _ => ("text", "text"),
    };
    let role = if reading.is("tool.call") { "tool" } else { "assistant" };
    if reading.input.is_empty() {
        reading.input = take_value(reading, "input.value", "", input);
    } else {
        reading.cut("input.value");
    }
    if reading.output.is_empty() {
        reading.output = take_value(reading, "output.value", role, output);
    } else if !reading.is("llm.call") {
        reading.cut("output.value");
    }
}

/// A value as contents: the messages of a request or of a state, or else the whole.
fn take_value(
    reading: &mut Reading<'_>,
    key: &'static str,
    role: &'static str,
    kind: &'static str,
) -> Vec<Content> {
    if reading.is("tool.call") || reading.attributes.text(key).is_none() {
        return reading.take_body(&[key], role, kind).into_iter().collect();
    }
    contents(reading, key, role, kind)
}

fn read_evaluation(reading: &mut Reading<'_>) {
    if !reading.is("evaluation") {
        return;
    }
    if let Some(Value::StringValue(name)) = reading.attributes.get("evaluation.name")
        && crate::is_name(name)
    {
        let name = name.clone().into();
        reading.attributes.take("evaluation.name");
        let score = reading.attributes.take_number("evaluation.score");
        let label = reading.attributes.take_name("evaluation.label").map(Into::into);
        reading.envelope.evaluations.push(Evaluation { name, score, label });
    }
    if let Some(content) = reading.take_body(&["evaluation.explanation"], "", "reason") {
        reading.output.push(content);
    }
}
