//! The demo's main story: a refund that is too large for the agent to make alone.
//!
//! Core. Two agents, parallel tools of which one fails, a retrieval, a denial, a hand-off, an approval, a state change.

use schemas::Micros;
use serde_json::{Value, json};

use super::recorder::{Cause, Recorder, asks, content, says, text};

const SYSTEM: &str = "You are the refund agent of Nordwind Audio. Look up the order and the policy before you decide. \
Never refund more than the policy allows; hand over to a human instead. Answer in the customer's language.";

/// The events of the session.
pub(crate) fn session(id: &str, now: Micros) -> Vec<Value> {
    let mut agent = Recorder::new(id.to_owned(), now, refund_agent());
    let start = content("", "attributes", json!({"channel": "web chat", "locale": "de-DE"}));
    agent.event("session.start", None, json!({}), vec![start]);
    agent.system(SYSTEM);
    agent.wait_ms(800);
    let asked = agent.user(
        "Hallo, mein Kopfhörer aus Bestellung 4711 kam kaputt an 😞 Ich möchte die 249 € zurück.",
    );
    let decided = look_up(&mut agent, &asked);
    let denied = try_alone(&mut agent, &decided);
    let approved = ask_a_human(&mut agent, &denied);
    refund(&mut agent, &approved);
    judge(&mut agent);
    agent.end()
}

fn refund_agent() -> Value {
    json!({
        "actor_type": "agent", "actor_id": "refund-agent",
        "agent_id": "agt-refund", "agent_name": "refund-agent", "agent_version": "2.3.1",
        "agent_git_sha": "9f1c2ab77d0e4c58a6b3d1e5f0a49c7728b6e013", "agent_framework": "handmade/0.4",
        "principal_type": "user", "principal_id": "usr-8c1f0e",
        "delegation": [{"type": "agent", "id": "agt-refund"}, {"type": "service", "id": "web-chat"}],
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "producer_id": "web-chat-7", "producer_epoch": 3,
        "data_classes": ["personal", "payment"]
    })
}

fn model_call(input: u64, cached: u64, output: u64, cost_nanos: u64, finish: &str) -> Value {
    json!({
        "operation": "chat", "provider": "openai", "request_model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06", "temperature": 0.2, "max_tokens": 1024,
        "duration_us": 900_000 + output * 11_000, "time_to_first_chunk_us": 410_000,
        "usage_input_tokens": input, "usage_cache_read_input_tokens": cached,
        "usage_output_tokens": output, "cost_nanos": cost_nanos, "finish_reasons": [finish]
    })
}

fn tools() -> Value {
    let tool = |name: &str, what: &str, arguments: Value| {
        let parameters = json!({"type": "object", "properties": arguments});
        json!({"type": "function", "function": {"name": name, "description": what, "parameters": parameters}})
    };
    json!([
        tool("get_order", "Reads an order.", json!({"order_id": {"type": "string"}})),
        tool("check_shipment", "Asks the carrier.", json!({"order_id": {"type": "string"}})),
        tool("search_policy", "Searches the policies.", json!({"query": {"type": "string"}})),
        tool(
            "issue_refund",
            "Pays back.",
            json!({"order_id": {"type": "string"}, "amount_eur": {"type": "number"}})
        ),
    ])
}

/// The model asks for three tools at once; the carrier does not answer.
fn look_up(agent: &mut Recorder, asked: &Cause) -> Cause {
    let order = json!({"order_id": "4711"});
    let query = json!({"query": "damaged on arrival, refund limit"});
    let calls = asks(&[
        ("call_1", "get_order", order.clone()),
        ("call_2", "check_shipment", order.clone()),
        ("call_3", "search_policy", query.clone()),
    ]);
    let call =
        agent.model(asked, model_call(412, 0, 61, 1_640_000, "tool_calls"), Some(tools()), calls);
    let read = json!({"tool_effect": "read", "protocol": "mcp/2025-06-18", "duration_us": 42_000});
    let found = r#"{"order_id":"4711","item":"Nordwind ANC 7","price_eur":249.00,"status":"delivered","delivered":"2026-11-19"}"#;
    agent.tool(&call, ("get_order", "call_1"), read, order.clone(), found);
    let failed = json!({
        "tool_effect": "read", "status": "timeout", "error_type": "upstream_timeout", "duration_us": 5_000_000
    });
    let why = "The carrier did not answer within 5 s.";
    agent.tool(&call, ("check_shipment", "call_2"), failed, order, why);
    let policy = retrieve(agent, &call);
    agent.tool(&call, ("search_policy", "call_3"), json!({"tool_effect": "read"}), query, &policy);
    call
}

fn retrieve(agent: &mut Recorder, cause: &Cause) -> String {
    let limit = "§ 4.2 An agent may refund up to 200 EUR. Above that, a person of the service team decides.";
    let damage = "§ 4.1 Goods that arrive damaged are refunded in full within 30 days.";
    let fields = json!({
        "operation": "search", "duration_us": 18_000,
        "retrievals": [
            {"source": "policies", "document_id": "refunds#4.2", "version": "2026-09", "score": 0.91,
                "digest": {"text": limit}},
            {"source": "policies", "document_id": "refunds#4.1", "version": "2026-09", "score": 0.87,
                "digest": {"text": damage}}
        ]
    });
    agent.event("retrieval", Some(cause), fields, Vec::new());
    format!("{limit}\n{damage}")
}

/// The agent wants to refund 249 EUR and may not.
fn try_alone(agent: &mut Recorder, cause: &Cause) -> Cause {
    let arguments = json!({"order_id": "4711", "amount_eur": 249.0});
    let wants = asks(&[("call_4", "issue_refund", arguments.clone())]);
    let call = agent.model(cause, model_call(598, 384, 34, 1_110_000, "tool_calls"), None, wants);
    let deny = json!({
        "policy_decision": "deny", "policy_id": "refund-limit/7", "status": "denied", "tool_name": "issue_refund",
        "tool_call_id": "call_4", "duration_us": 900
    });
    let reason = "249.00 EUR is over the limit of 200 EUR for an agent alone (refunds § 4.2).";
    let denied =
        agent.event("policy.decision", Some(&call), deny, vec![text("", "reason", reason)]);
    let refused =
        json!({"status": "denied", "tool_effect": "write", "error_type": "policy_denied"});
    agent.tool(&denied, ("issue_refund", "call_4"), refused, arguments, reason);
    denied
}

/// Another agent brings the case before a person, who agrees.
fn ask_a_human(agent: &mut Recorder, cause: &Cause) -> Cause {
    let summary =
        "Damaged on arrival, 249.00 EUR, over the agent's limit. Photos are with the order.";
    let handed =
        agent.event("agent.handoff", Some(cause), json!({}), vec![text("", "reason", summary)]);
    agent.hand_over(json!({
        "actor_id": "approval-agent", "agent_id": "agt-approval", "agent_name": "approval-agent",
        "agent_version": "1.0.4", "agent_git_sha": "c0ffee1f5a7e4d2b9c8a01d3e6f47b5528190abc"
    }));
    let question = "Refund 249.00 EUR for order 4711? The item arrived damaged; § 4.1 asks for it.";
    let put = agent.event(
        "agent.message",
        Some(&handed),
        json!({}),
        vec![text("assistant", "text", question)],
    );
    let approval = json!({
        "actor_type": "user", "actor_id": "emp-30a4", "policy_decision": "allow", "policy_id": "refund-limit/7",
        "approver_id": "emp-30a4", "duration_us": 94_000_000
    });
    let yes = text("user", "reason", "Yes. Third complaint about this carrier this week.");
    let approved = agent.event("approval", Some(&put), approval, vec![yes]);
    agent.event("agent.handoff", Some(&approved), json!({}), Vec::new());
    agent.hand_over(refund_agent());
    approved
}

/// The effect: noted before it happens and after, under a key that lets it happen once.
fn refund(agent: &mut Recorder, cause: &Cause) {
    let arguments = json!({"order_id": "4711", "amount_eur": 249.0});
    let again = asks(&[("call_5", "issue_refund", arguments.clone())]);
    let call = agent.model(cause, model_call(671, 512, 35, 1_030_000, "tool_calls"), None, again);
    let key = "refund-4711-1";
    let before = json!({
        "phase": "start", "status": "unset", "tool_name": "issue_refund", "tool_call_id": "call_5",
        "tool_effect": "write", "idempotency_key": key
    });
    let asked = content("assistant", "tool_arguments", arguments.clone());
    agent.event("tool.call", Some(&call), before, vec![asked]);
    let after = json!({
        "phase": "end", "tool_effect": "write", "idempotency_key": key, "duration_us": 1_350_000
    });
    let paid = r#"{"refund_id":"rf_88213","amount_eur":249.00,"state":"paid"}"#;
    let paid = agent.tool(&call, ("issue_refund", "call_5"), after, arguments, paid);
    change(agent, &paid);
    let answer = says(
        "Es tut mir leid, dass der Kopfhörer beschädigt ankam. Die 249,00 € sind erstattet und in \
         zwei Werktagen auf Ihrem Konto. 🎧",
    );
    agent.model(&paid, model_call(744, 640, 48, 1_220_000, "stop"), None, answer);
    agent.wait_ms(11_000);
    agent.user("Danke! ありがとう! شكرًا جزيلاً 🙏🏽");
}

fn change(agent: &mut Recorder, cause: &Cause) {
    let fields = json!({"state_changes": [
        {"target": "orders/4711", "op": "replace", "path": "/status", "before": {"json": "delivered"}, "after": {"json": "refunded"}},
        {"target": "orders/4711", "op": "add", "path": "/refunds/-", "after": {"json": {"id": "rf_88213", "amount_eur": 249.0}}}
    ]});
    agent.event("state.change", Some(cause), fields, Vec::new());
}

fn judge(agent: &mut Recorder) {
    let fields = json!({
        "actor_type": "system", "actor_id": "grader", "evaluations": [
            {"name": "resolved", "score": 1.0, "label": "yes"},
            {"name": "policy_followed", "score": 1.0, "label": "yes"},
            {"name": "tone", "score": 0.94, "label": "warm"}
        ]
    });
    let why =
        "Looked up order and policy, respected the limit, asked a person, answered in German.";
    agent.event("evaluation", None, fields, vec![text("", "reason", why)]);
}
