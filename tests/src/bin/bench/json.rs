//! Events as JSON: as an agent posts them to the gateway, and as a log of traces keeps them.

use crate::traffic::Happening;

/// The event as an agent sends it to the gateway, the whole history included.
pub(crate) fn posted(event: &Happening<'_>, out: &mut String) {
    start(event, out);
    out.push_str(",\"contents\":[");
    for (index, item) in event.step.items.iter().enumerate() {
        let (text, _, _) = event.copy.part(item.part);
        let (role, kind) = (item.role, item.kind);
        let head = format!(r#"{{"role":"{role}","kind":"{kind}","media_type":"application/json","#);
        out.push_str(if index == 0 { "" } else { "," });
        out.push_str(&head);
        if kind == "tool_arguments" {
            push(out, &["\"text\":", &serde_json::Value::from(text).to_string(), "}"]);
        } else {
            push(out, &["\"json\":", text, "}"]);
        }
    }
    out.push_str("]}");
}

/// The event as one line of a log: flat metadata and the messages themselves.
pub(crate) fn logged(event: &Happening<'_>, out: &mut String) {
    start(event, out);
    push(out, &[r#","tenant":"default","observed_at":""#, &event.at.to_string(), "\""]);
    let parts = |kind| {
        let items = event.step.items.iter().filter(move |item| item.kind == kind);
        items.map(|item| event.copy.part(item.part).0)
    };
    for text in parts("attributes") {
        push(out, &[",\"attributes\":", text]);
    }
    for text in parts("tool_arguments") {
        push(out, &[",\"arguments\":", text]);
    }
    out.push_str(",\"messages\":[");
    for (index, text) in parts("message").enumerate() {
        push(out, &[if index == 0 { "" } else { "," }, text]);
    }
    out.push_str("]}\n");
}

/// What both have in common, up to the last metadata field.
fn start(event: &Happening<'_>, out: &mut String) {
    let (copy, step) = (&event.copy, event.step);
    let (id, session, at) = (event.event_id, &copy.session_id, event.at);
    let (kind, index) = (step.kind, event.index);
    let head = format!(
        r#"{{"event_id":"{id}","session_id":"{session}","kind":"{kind}","occurred_at":"{at}","capture_source":"import","session_seq":{index},"status":"ok""#
    );
    out.push_str(&head);
    if kind == "llm.call" {
        out.push_str(r#","operation":"chat""#);
    }
    if kind == "session.end" {
        push(out, &[",\"session_event_count\":", &copy.recorded.steps.len().to_string()]);
    }
    if let Some(tool) = &step.tool {
        let cause = copy.event_id(tool.cause).to_string();
        push(out, &[",\"causation_id\":\"", &cause, "\",\"tool_name\":\"", &tool.name]);
        push(out, &["\",\"tool_call_id\":\"", &tool.call_id, "\""]);
    }
}

fn push(out: &mut String, texts: &[&str]) {
    texts.iter().for_each(|text| out.push_str(text));
}
