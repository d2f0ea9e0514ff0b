//! For what no sample has: a span or record of a dialect, and all of what it is read as.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::span::Event;

use crate::kit::{
    any, attributes, content, lines, read_record, read_span, record, rest, span, text,
};

/// Whether what the span is read as is this; blanks before lines are the test's own.
fn check(name: &str, list: &[(&str, Value)], expected: &str) {
    let is = lines(&read_span("app", span(name, list)));
    let trim = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    assert_eq!(trim(&is), trim(expected.trim()), "{name}");
}

#[test]
fn openllmetry_as_it_was_has_flattened_messages() {
    check(
        "openai.chat",
        &[
            ("llm.request.type", text("chat")),
            ("gen_ai.system", text("OpenAI")),
            ("gen_ai.request.model", text("gpt-4")),
            ("llm.request.functions.0.name", text("f")),
            ("llm.request.functions.0.parameters", text(r#"{"type":"object"}"#)),
            ("gen_ai.prompt.1.content", text("hi")),
            ("gen_ai.prompt.1.role", text("user")),
            ("gen_ai.prompt.0.role", text("system")),
            ("gen_ai.prompt.0.content", text("be brief")),
            ("gen_ai.completion.0.role", text("assistant")),
            ("gen_ai.completion.0.finish_reason", text("tool_calls")),
            ("gen_ai.completion.0.tool_calls.0.name", text("f")),
            ("gen_ai.completion.0.tool_calls.0.arguments", text("{}")),
            ("gen_ai.usage.prompt_tokens", Value::IntValue(9)),
            ("gen_ai.usage.completion_tokens", Value::IntValue(2)),
            ("llm.usage.total_tokens", Value::IntValue(11)),
        ],
        r#"llm.call operation=chat provider=OpenAI request_model=gpt-4 finish_reasons=["tool_calls"] usage_input_tokens=9 usage_output_tokens=2 capture_convention=openllmetry
           tool_definitions json: [{"name":"f","parameters":"{\"type\":\"object\"}"}]
           system message json: {"content":"be brief","role":"system"}
           user message json: {"content":"hi","role":"user"}
           assistant message json: {"role":"assistant","tool_calls":[{"arguments":"{}","name":""#,
    );
}

#[test]
fn openinference_names_what_was_retrieved() {
    check(
        "retrieve",
        &[
            ("openinference.span.kind", text("RETRIEVER")),
            ("input.value", text("what is a Merkle tree?")),
            ("retrieval.documents.0.document.id", text("doc-7")),
            ("retrieval.documents.0.document.score", Value::DoubleValue(0.5)),
            ("retrieval.documents.0.document.content", text("A tree of hashes.")),
            ("retrieval.documents.1.document.content", text("Another.")),
        ],
        r#"retrieval operation=RETRIEVER retrievals=[{"document_id":"doc-7","score":0.5},{}] capture_convention=openinference
           text plain: what is a Merkle tree?
           document json: {"content":"A tree of hashes.","id":"doc-7","score":0.5}
           document json: {"content":"Another."}"#,
    );
}

#[test]
fn genai_names_what_was_retrieved() {
    let documents = r#"[{"id":"a","score":0.25,"content":"x"}, {"id":2}]"#;
    let list = [
        ("gen_ai.operation.name", text("retrieval")),
        ("gen_ai.data_source.id", text("wiki")),
        ("gen_ai.retrieval.query.text", text("why?")),
        ("gen_ai.retrieval.documents", text(documents)),
    ];
    let happenings = read_span("app", span("retrieval wiki", &list));
    assert_eq!(
        lines(&happenings),
        r#"retrieval operation=retrieval retrievals=[{"source":"wiki","document_id":"a","score":0.25},{"source":"wiki","document_id":"2"}] capture_convention=otel_genai
  text plain: why?
  document json: {"id":"a","score":0.25,"content":"x"}
  document json: {"id":2}
"#
    );
    use capture::Slot::Document;
    assert_eq!(happenings[0].slots, [(Document(0), 1), (Document(1), 2)]);
}

#[test]
fn older_genai_has_messages_in_events() {
    let event = |name: &str, list: &[(&str, Value)]| Event {
        time_unix_nano: 5,
        name: name.to_owned(),
        attributes: attributes(list),
        ..Event::default()
    };
    let mut span =
        span("chat m", &[("gen_ai.system", text("openai")), ("gen_ai.request.model", text("m"))]);
    span.events = vec![
        event("gen_ai.system.message", &[("content", text("be brief"))]),
        event("gen_ai.user.message", &[("gen_ai.event.content", text(r#"{"content":"hi"}"#))]),
        event("gen_ai.choice", &[("index", Value::IntValue(0)), ("message", text("{}"))]),
        event("cache miss", &[("key", text("k"))]),
    ];
    let happenings = read_span("app", span);
    assert_eq!(
        lines(&happenings),
        r#"llm.call provider=openai request_model=m capture_convention=otel_genai
  system message json: {"content":"be brief"}
  user message json: {"content":"hi"}
  assistant message json: {"index":0,"message":"{}"}
"#
    );
    let events = &rest(&happenings[0])["events"];
    assert_eq!(events[3]["attributes"]["key"], "k");
    assert_eq!(
        events[0],
        serde_json::json!({"name": "gen_ai.system.message", "time_unix_nano": 5})
    );
}

#[test]
fn an_evaluation_is_an_event_of_its_own() {
    let mut span = span("chat m", &[("gen_ai.operation.name", text("chat"))]);
    span.attributes.extend(attributes(&[("gen_ai.conversation.id", text("s-1"))]));
    span.events = vec![Event {
        time_unix_nano: 1_790_000_000_009_000_000,
        name: "gen_ai.evaluation.result".into(),
        attributes: attributes(&[
            ("gen_ai.evaluation.name", text("relevance")),
            ("gen_ai.evaluation.score.value", Value::DoubleValue(0.75)),
            ("gen_ai.evaluation.score.label", text("good")),
            ("gen_ai.evaluation.explanation", text("It answers.")),
            ("judge", text("m2")),
        ]),
        ..Event::default()
    }];
    let happenings = read_span("app", span);
    assert_eq!(
        lines(&happenings),
        r#"session_id=s-1 llm.call operation=chat capture_convention=otel_genai
session_id=s-1 evaluation evaluations=[{"name":"relevance","score":0.75,"label":"good"}] capture_convention=otel_genai
  reason plain: It answers.
"#
    );
    let [call, evaluation] = &happenings[..] else { panic!("{happenings:?}") };
    assert_eq!(evaluation.envelope.parent_span_id, call.envelope.span_id);
    assert_eq!(evaluation.envelope.span_id, None);
    assert_ne!(evaluation.identity, call.identity);
    assert_eq!(rest(evaluation)["attributes"]["judge"], "m2");
}

#[test]
fn adk_as_it_was_has_requests_and_responses() {
    check(
        "call_llm",
        &[
            ("gen_ai.system", text("gcp.vertex.agent")),
            ("gen_ai.request.model", text("gemini")),
            ("gcp.vertex.agent.session_id", text("s")),
            ("gcp.vertex.agent.llm_request", text(r#"{"contents":[]}"#)),
            ("gcp.vertex.agent.llm_response", text(r#"{"content":{}}"#)),
        ],
        r#"session_id=s llm.call provider=gcp.vertex.agent request_model=gemini capture_convention=google_adk
           request json: {"contents":[]}
           assistant response json: {"content":{}}"#,
    );
}

#[test]
fn mlflow_quotes_its_strings() {
    check(
        "predict",
        &[
            ("mlflow.spanType", text("\"CHAT_MODEL\"")),
            ("mlflow.trace.session", text("\"s\"")),
            ("mlflow.chat.tokenUsage", text(r#"{"input_tokens":3,"output_tokens":4}"#)),
            ("mlflow.spanInputs", text(r#"{"messages":[]}"#)),
            ("mlflow.spanOutputs", text(r#""yes""#)),
        ],
        r#"session_id=s llm.call operation=CHAT_MODEL usage_input_tokens=3 usage_output_tokens=4 capture_convention=mlflow
           request json: {"messages":[]}
           assistant response json: "yes""#,
    );
}

#[test]
fn of_two_dialects_genai_tells_the_content_and_the_other_stays() {
    let messages = r#"[{"role":"user","parts":[]}]"#;
    let list = [
        ("openinference.span.kind", text("LLM")),
        ("gen_ai.operation.name", text("chat")),
        ("gen_ai.input.messages", text(messages)),
        ("llm.input_messages.0.message.role", text("user")),
        ("llm.token_count.prompt", Value::IntValue(4)),
        ("gen_ai.usage.input_tokens", Value::IntValue(4)),
    ];
    let happenings = read_span("app", span("chat", &list));
    assert_eq!(
        lines(&happenings),
        r#"llm.call operation=chat usage_input_tokens=4 capture_convention=openinference
  user message json: {"role":"user","parts":[]}
"#
    );
    let left = &rest(&happenings[0])["attributes"];
    assert_eq!(left["llm.input_messages.0.message.role"], "user");
    assert_eq!(left["llm.token_count.prompt"], 4);
}

#[test]
fn a_run_does_not_count_the_tokens_of_its_calls() {
    let list = [
        ("gen_ai.operation.name", text("invoke_agent")),
        ("gen_ai.usage.input_tokens", Value::IntValue(113)),
    ];
    let happenings = read_span("app", span("invoke_agent a", &list));
    assert_eq!(happenings[0].envelope.usage_input_tokens, None);
    assert_eq!(rest(&happenings[0])["attributes"]["gen_ai.usage.input_tokens"], 113);
}

#[test]
fn what_was_cut_or_hidden_lowers_the_fidelity() {
    let fidelity = |list: &[(&str, Value)], dropped: u32| {
        let mut span = span("x", list);
        span.dropped_attributes_count = dropped;
        let envelope = read_span("app", span).remove(0).envelope;
        (envelope.capture_fidelity.into_owned(), envelope.source_dropped)
    };
    let said = |fidelity: &str| (fidelity.to_owned(), None);
    assert_eq!(fidelity(&[], 0), said("structured"));
    assert_eq!(fidelity(&[], 3), ("truncated".into(), Some(3)));
    assert_eq!(fidelity(&[("a.truncated", Value::BoolValue(true))], 0), said("truncated"));
    assert_eq!(fidelity(&[("a.truncated", Value::BoolValue(false))], 0), said("structured"));
    assert_eq!(fidelity(&[("a", text("abc... [truncated]"))], 0), said("truncated"));
    assert_eq!(fidelity(&[("a", text("[TRUNCATED - exceeds 60KB limit]"))], 0), said("truncated"));
    assert_eq!(fidelity(&[("input.value", text("__REDACTED__"))], 0), said("redacted"));
    let cut = text(r#"[{"role":"user","parts":[{"cont"#);
    assert_eq!(fidelity(&[("gen_ai.input.messages", cut)], 0), said("truncated"));
}

#[test]
fn a_record_within_a_span_leaves_the_tokens_to_the_span() {
    let message = KeyValueList {
        values: attributes(&[("role", text("user")), ("n", Value::DoubleValue(1.0))]),
    };
    let messages = ArrayValue { values: vec![any(Value::KvlistValue(message))] };
    let list = [
        ("gen_ai.operation.name", text("chat")),
        ("gen_ai.input.messages", Value::ArrayValue(messages)),
        ("gen_ai.usage.input_tokens", Value::IntValue(4)),
    ];
    let name = "gen_ai.client.inference.operation.details";
    let alone = record(name, None, &list);
    let mut within = alone.clone();
    within.span_id = vec![1; 8];
    let (alone, within) = (read_record("app", alone), read_record("app", within));
    assert_eq!(alone.envelope.usage_input_tokens, Some(4));
    assert_eq!(within.envelope.usage_input_tokens, None);
    assert_eq!(within.envelope.span_id, None);
    assert!(within.envelope.parent_span_id.is_some());
    assert_eq!(within.contents[0].data, r#"{"role":"user","n":1.0}"#);
    assert_eq!(within.contents[0].role, "user");
}

#[test]
fn a_record_of_nobody_is_a_log_with_its_body() {
    let happening = read_record("app", record("", Some(text("started")), &[("a", text("b"))]));
    assert_eq!(happening.envelope.kind, "log");
    assert_eq!(rest(&happening)["body"], "started");
    assert_eq!(rest(&happening)["attributes"]["a"], "b");
    assert!(content(&happening, "resource").is_some());
}

/// Whether what the log record is read as is this.
fn check_record(name: &str, span: bool, list: &[(&str, Value)], expected: &str) {
    let mut record = record(name, Some(text(name)), list);
    record.span_id = vec![u8::from(span); 8];
    let is = lines(&[read_record("com.anthropic.claude_code.events", record)]);
    let trim = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    assert_eq!(trim(&is), trim(expected.trim()), "{name}");
}

#[test]
fn claude_code_tells_in_records_what_was_asked_decided_and_done() {
    check_record(
        "claude_code.user_prompt",
        false,
        &[
            ("session.id", text("s")),
            ("user.id", text("u")),
            ("event.name", text("user_prompt")),
            ("prompt", text("<REDACTED>")),
            ("prompt_length", text("9")),
        ],
        "session_id=s user.message agent_framework=claude-code principal_type=user principal_id=u operation=user_prompt capture_convention=claude_code capture_fidelity=redacted
         user message plain: <REDACTED>",
    );
    check_record(
        "claude_code.tool_decision",
        false,
        &[
            ("tool_name", text("Bash")),
            ("decision", text("reject")),
            ("source", text("user_reject")),
        ],
        "policy.decision agent_framework=claude-code operation=tool_decision tool_name=Bash policy_decision=deny capture_convention=claude_code",
    );
    check_record(
        "claude_code.tool_result",
        false,
        &[
            ("tool_name", text("Bash")),
            ("tool_use_id", text("toolu_1")),
            ("success", text("false")),
            ("duration_ms", text("1500")),
            ("error", text("no such file")),
            ("error_type", text("ShellError")),
            ("tool_input", text(r#"{"command":"ls x"}"#)),
        ],
        r#"tool.call status=error error_type=ShellError agent_framework=claude-code operation=tool_result tool_name=Bash tool_call_id=toolu_1 capture_convention=claude_code
         tool_arguments json: {"command":"ls x"}
         error plain: no such file"#,
    );
}

#[test]
fn a_record_of_what_is_over_began_before() {
    let list = [("tool_name", text("Bash")), ("duration_ms", text("1500"))];
    let happening = read_record("x", record("claude_code.tool_result", None, &list));
    assert_eq!(happening.envelope.occurred_at.0, 1_790_000_000_000_000 - 1_500_000);
    assert_eq!(happening.envelope.duration_us, Some(1_500_000));
}

#[test]
fn claude_code_counts_a_call_once() {
    let request = [
        ("model", text("claude-opus-4")),
        ("input_tokens", Value::IntValue(3)),
        ("output_tokens", Value::IntValue(4)),
        ("cost_usd", Value::DoubleValue(0.000906)),
        ("request_id", text("req_1")),
    ];
    let common = "agent_framework=claude-code operation=api_request request_model=claude-opus-4 response_id=req_1";
    check_record(
        "claude_code.api_request",
        false,
        &request,
        &format!(
            "llm.call {common} usage_input_tokens=3 usage_output_tokens=4 cost_nanos=906000 capture_convention=claude_code"
        ),
    );
    check_record(
        "claude_code.api_request",
        true,
        &request,
        &format!("log {common} cost_nanos=906000 capture_convention=claude_code"),
    );
    let list = [
        ("session.id", text("s")),
        ("model", text("claude-opus-4")),
        ("gen_ai.request.model", text("claude-opus-4")),
        ("gen_ai.system", text("anthropic")),
        ("input_tokens", Value::IntValue(3)),
        ("cache_read_tokens", Value::IntValue(9)),
        ("ttft_ms", Value::IntValue(40)),
        ("stop_reason", text("tool_use")),
        ("success", Value::BoolValue(true)),
    ];
    check(
        "claude_code.llm_request",
        &list,
        r#"session_id=s llm.call status=ok operation=llm_request provider=anthropic request_model=claude-opus-4 finish_reasons=["tool_use"] time_to_first_chunk_us=40000 usage_input_tokens=3 usage_cache_read_input_tokens=9 capture_convention=claude_code"#,
    );
}
