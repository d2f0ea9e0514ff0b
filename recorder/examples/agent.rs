//! A small agent that records itself: it may calculate, and read files below one folder.
//!
//! ```text
//! cargo run -p recorder --example agent -- --to http://127.0.0.1:4280 [--folder DIR] [QUESTION]
//! ```
//!
//! With `OPENAI_BASE_URL` (and `OPENAI_API_KEY`, `OPENAI_MODEL`) it asks an OpenAI-compatible endpoint; otherwise a model
//! of its own, which always says the same. A gateway that wants a key is given `CHANCERY_KEY`. It is no part of the product.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use recorder::{
    Agent, Config, Decision, LlmAnswer, LlmRequest, Recorder, Session, Target, ToolRequest,
};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Calls of the model that one question may take.
const CALLS_MAX: usize = 8;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let mut url = "http://127.0.0.1:4280".to_owned();
    let mut folder = ".".to_owned();
    let mut question = "What is in notes.txt, and what is 6 * 7?".to_owned();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--to" => url = args.next().ok_or("--to takes a URL")?,
            "--folder" => folder = args.next().ok_or("--folder takes a folder")?,
            _ => question = arg,
        }
    }

    let agent = Agent { name: "example-agent".into(), version: "1".into(), ..Agent::default() };
    let target = Target::Ingest { url, key: std::env::var("CHANCERY_KEY").ok() };
    let recorder = Recorder::start(Config::new(target, "default", agent))?;
    let session = recorder.session();
    println!("session {}", session.id());

    let outcome = answer(&session, Path::new(&folder), &question).await;
    session.end(if outcome.is_ok() { "ok" } else { "error" });
    // Blocks: the agent has nothing else to do. It says what could not be sent.
    let stats = recorder.close(Duration::from_secs(30))?;
    println!("{}\n{} events recorded", outcome?, stats.acknowledged);
    Ok(())
}

/// Asks the model, runs the tools it asks for, and asks again, until it has nothing more to ask.
async fn answer(session: &Session, folder: &Path, question: &str) -> Outcome<String> {
    let user = json!({"role": "user", "content": question});
    session.user_message(recorder::Content::message(&user));
    let mut messages = vec![
        json!({"role": "system", "content": "Answer briefly. Use the tools; do not guess."}),
        user,
    ];
    for _ in 0..CALLS_MAX {
        let request = json!({"model": model(), "messages": messages, "tools": tools()});
        // The whole conversation each time: what the session had before is not sent again.
        let call = session.llm_call(LlmRequest::of_chat("openai", &request));
        // If this future is dropped here, the record says that the call was cancelled.
        let reply = match complete(&request).await {
            Ok(reply) => reply,
            Err(error) => {
                call.fail("model_unavailable", error.to_string());
                return Err(error);
            }
        };
        let cause = call.finish(LlmAnswer::of_chat(&reply));
        let message = reply.pointer("/choices/0/message").ok_or("the model said nothing")?.clone();
        messages.push(message.clone());
        let calls = message.get("tool_calls").and_then(Value::as_array);
        let Some(calls) = calls.filter(|calls| !calls.is_empty()) else {
            return Ok(text(&message, "/content").to_owned());
        };
        for call in calls {
            let result = run_tool(session, folder, cause, call);
            let id = text(call, "/id");
            messages.push(json!({"role": "tool", "tool_call_id": id, "content": result}));
        }
    }
    Err("the model does not come to an end".into())
}

/// Runs one tool. Its start is in the record before anything happens.
fn run_tool(session: &Session, folder: &Path, cause: recorder::EventId, call: &Value) -> String {
    let name = text(call, "/function/name");
    let arguments = text(call, "/function/arguments");
    // What a model wrote may be anything; as a string it is kept all the same.
    let arguments: Value = serde_json::from_str(arguments).unwrap_or_else(|_| arguments.into());
    let recorded = session.tool_call(ToolRequest {
        name: name.to_owned().into(),
        call_id: Some(text(call, "/id").to_owned().into()),
        arguments: arguments.clone(),
        effect: Some("read".into()),
        cause: Some(cause),
        ..ToolRequest::default()
    });
    let outcome = match name {
        "calculate" => calculate(text(&arguments, "/expression")),
        "read_file" => {
            let file = text(&arguments, "/path");
            let path = folder.join(file);
            let is_below = is_below(folder, &path);
            session.policy_decision(Decision {
                decision: if is_below { "allow" } else { "deny" }.into(),
                policy_id: "files-below-folder/1".into(),
                cause: Some(recorded.id()),
                reason: (!is_below).then(|| format!("{file} is not below the folder")),
            });
            if !is_below {
                recorded.deny("files-below-folder");
                return "denied".to_owned();
            }
            std::fs::read_to_string(path).map_err(|error| error.to_string())
        }
        _ => Err("there is no such tool".to_owned()),
    };
    match outcome {
        Ok(result) => {
            recorded.finish(result.as_str());
            result
        }
        Err(error) => {
            recorded.fail("tool_failed", error.as_str());
            format!("error: {error}")
        }
    }
}

fn is_below(folder: &Path, path: &Path) -> bool {
    let (folder, path) = (folder.canonicalize(), path.canonicalize());
    matches!((folder, path), (Ok(folder), Ok(path)) if path.starts_with(&folder))
}

/// Two numbers and what is between them.
fn calculate(expression: &str) -> Result<String, String> {
    let parts: Vec<&str> = expression.split_whitespace().collect();
    let [left, operator, right] = parts.as_slice() else {
        return Err("write it as `6 * 7`".to_owned());
    };
    let number = |text: &str| text.parse::<f64>().map_err(|_| format!("{text} is not a number"));
    let (left, right) = (number(left)?, number(right)?);
    match *operator {
        "+" => Ok((left + right).to_string()),
        "-" => Ok((left - right).to_string()),
        "*" => Ok((left * right).to_string()),
        "/" => Ok((left / right).to_string()),
        other => Err(format!("{other} is not +, -, * or /")),
    }
}

fn tools() -> Value {
    let tool = |name: &str, what: &str, argument: &str| {
        let parameters = json!({
            "type": "object", "required": [argument], "properties": {argument: {"type": "string"}},
        });
        let function = json!({"name": name, "description": what, "parameters": parameters});
        json!({"type": "function", "function": function})
    };
    json!([
        tool("calculate", "Two numbers and +, -, * or / between them, such as 6 * 7", "expression"),
        tool("read_file", "The text of a file", "path"),
    ])
}

fn model() -> String {
    std::env::var("OPENAI_MODEL").unwrap_or_else(|_| "scripted".to_owned())
}

/// The answer of the endpoint, or of the script.
async fn complete(request: &Value) -> Outcome<Value> {
    let Ok(base) = std::env::var("OPENAI_BASE_URL") else { return Ok(scripted(request)) };
    let url = format!("{}/chat/completions", base.trim_end_matches('/'));
    let key = std::env::var("OPENAI_API_KEY").unwrap_or_default();
    let call = reqwest::Client::new().post(url).bearer_auth(key);
    let call = call.header("content-type", "application/json").body(request.to_string());
    let response = call.send().await?.error_for_status()?;
    Ok(serde_json::from_slice(&response.bytes().await?)?)
}

/// Asks for both tools first, and then says what they gave.
fn scripted(request: &Value) -> Value {
    let messages = request.get("messages").and_then(Value::as_array);
    let results = messages.into_iter().flatten().filter(|m| text(m, "/role") == "tool");
    let results: Vec<&str> = results.map(|message| text(message, "/content")).collect();
    let call = |id: &str, name: &str, arguments: Value| {
        let function = json!({"name": name, "arguments": arguments.to_string()});
        json!({"id": id, "type": "function", "function": function})
    };
    let (message, reason) = if results.is_empty() {
        let calls = [
            call("call_1", "read_file", json!({"path": "notes.txt"})),
            call("call_2", "calculate", json!({"expression": "6 * 7"})),
        ];
        (json!({"role": "assistant", "content": null, "tool_calls": calls}), "tool_calls")
    } else {
        (json!({"role": "assistant", "content": results.join("; ")}), "stop")
    };
    json!({
        "id": "scripted", "model": "scripted-1",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": request.to_string().len() / 4, "completion_tokens": 20},
    })
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
