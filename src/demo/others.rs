//! The demo's other sessions: an analyst with a very large tool result, and an operator who changes an agent.
//!
//! Core.

use schemas::Micros;
use serde_json::{Value, json};

use super::recorder::{Recorder, asks, content, says, text};

/// Rows of the table that the analyst's tool returns: some 2 MB.
const ROWS: u32 = 45_000;

/// An agent reads a table of 2 MB and answers in three scripts.
pub(crate) fn analyst(id: &str, now: Micros) -> Vec<Value> {
    let actor = json!({
        "agent_id": "agt-analyst", "agent_name": "analyst", "agent_version": "0.9.0", "actor_type": "agent",
        "principal_type": "service", "principal_id": "svc-reporting", "data_classes": ["internal"]
    });
    let mut agent = Recorder::new(id.to_owned(), now, actor);
    agent.event("session.start", None, json!({}), Vec::new());
    agent.system(
        "You read tables and tell what stands out, for readers in Tokyo, Tel Aviv and Cairo.",
    );
    let asked = agent.user("Which carrier damaged the most parcels in November?");
    let arguments = json!({"table": "shipments", "month": "2026-11"});
    let fields = json!({
        "operation": "chat", "provider": "anthropic", "request_model": "claude-sonnet-4-5",
        "usage_input_tokens": 231, "usage_output_tokens": 44, "usage_reasoning_output_tokens": 210,
        "cost_nanos": 4_500_000, "duration_us": 2_100_000, "finish_reasons": ["tool_use"]
    });
    let calls = asks(&[("toolu_1", "read_table", arguments.clone())]);
    let call = agent.model(&asked, fields, None, calls);
    let read = json!({"tool_effect": "read", "duration_us": 730_000});
    agent.tool(&call, ("read_table", "toolu_1"), read, arguments, &table());
    let fields = json!({
        "operation": "chat", "provider": "anthropic", "request_model": "claude-sonnet-4-5",
        "usage_input_tokens": 712_000, "usage_output_tokens": 96, "cost_nanos": 2_137_000_000_u64,
        "duration_us": 19_000_000, "finish_reasons": ["end_turn"]
    });
    let answer = says(
        "最も破損が多いのは「ポーラーポスト」です 📦💥 · הכי הרבה נזקים: ״פולרפוסט״ · الأكثر ضررًا: «بولاربوست»",
    );
    agent.model(&call, fields, None, answer);
    agent.end()
}

fn table() -> String {
    let row = |at: u32| {
        let (day, damaged) = (at % 28 + 1, at.is_multiple_of(23));
        let carrier = match at % 7 {
            0..=3 => "Polarpost",
            4..=5 => "Südpost",
            _ => "Westbote",
        };
        format!("2026-11-{day:02},{carrier},{at:08},{damaged},Größe M ✓\n")
    };
    let head = "day,carrier,parcel,damaged,note\n".to_owned();
    std::iter::once(head).chain((0..ROWS).map(row)).collect()
}

/// An operator raises the refund agent's limit, and is kept from deleting the old versions.
pub(crate) fn operator(id: &str, now: Micros) -> Vec<Value> {
    let actor = json!({
        "agent_id": "agt-deploy", "agent_name": "deploy-agent", "agent_version": "5.1.0", "actor_type": "agent",
        "principal_type": "user", "principal_id": "emp-77d2",
        "delegation": [{"type": "agent", "id": "agt-deploy"}]
    });
    let mut agent = Recorder::new(id.to_owned(), now, actor);
    agent.event("session.start", None, json!({}), Vec::new());
    agent.system("You deploy agents. You never delete.");
    let asked = agent.user("Raise the refund limit to 300 EUR and drop all old versions.");
    let drop_it = json!({"agent": "agt-refund", "versions": "< 2.3"});
    let fields = json!({
        "operation": "chat", "provider": "openai", "request_model": "gpt-4o-mini", "usage_input_tokens": 187,
        "usage_output_tokens": 58, "cost_nanos": 63_000, "duration_us": 1_200_000, "finish_reasons": ["tool_calls"]
    });
    let calls = asks(&[
        ("call_a", "set_config", json!({"agent": "agt-refund", "limit_eur": 300})),
        ("call_b", "delete_versions", drop_it.clone()),
    ]);
    let call = agent.model(&asked, fields, None, calls);
    let changes = json!({"state_changes": [
        {"target": "agents/agt-refund/config", "op": "replace", "path": "/refund/limit_eur", "before": {"json": 200}, "after": {"json": 300}},
        {"target": "agents/agt-refund/config", "op": "add", "path": "/tools/-", "after": {"json": "check_photo"}},
        {"target": "agents/agt-refund/config", "op": "remove", "path": "/tools/2", "before": {"json": "legacy_refund"}}
    ]});
    agent.event("config.change", Some(&call), changes, Vec::new());
    let deny = json!({
        "policy_decision": "deny", "policy_id": "no-deletes/2", "status": "denied", "tool_name": "delete_versions",
        "tool_call_id": "call_b", "tool_effect": "destructive"
    });
    let reason =
        text("", "reason", "Versions that made decisions are kept for as long as the decisions.");
    let denied = agent.event("policy.decision", Some(&call), deny, vec![reason]);
    let error = content("", "error", json!({"code": "denied", "policy": "no-deletes/2"}));
    let cancelled = json!({"status": "cancelled", "tool_name": "delete_versions", "tool_call_id": "call_b",
        "tool_effect": "destructive", "error_type": "policy_denied"});
    agent.event("tool.call", Some(&denied), cancelled, vec![error]);
    agent.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_two_megabytes() {
        assert!((2_000_000..3_000_000).contains(&table().len()), "{}", table().len());
    }
}
