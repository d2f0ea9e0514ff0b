//! The recorded sessions, and the events that an import would make of each; every text as it was recorded.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Context;
use serde_json::Value;
use serde_json::value::RawValue;

/// All sessions of a data set.
#[derive(Debug)]
pub(crate) struct Corpus {
    pub(crate) sessions: Vec<Recorded>,
}

/// One recorded session.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// Different contents.
    pub(crate) parts: Vec<String>,
    /// One for each event.
    pub(crate) steps: Vec<Step>,
}

/// An event without what differs from copy to copy.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) kind: &'static str,
    /// Everything the event says.
    pub(crate) items: Vec<Item>,
    /// Its different parts, and those that no event of the session had before.
    pub(crate) parts: Vec<usize>,
    pub(crate) parts_new: Vec<usize>,
    /// The model call whose items these begin with, and how many those are.
    pub(crate) prefix: Option<(usize, usize)>,
    pub(crate) tool: Option<Tool>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) role: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) part: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) call_id: String,
    /// The step that asked for it.
    pub(crate) cause: usize,
}

impl Corpus {
    /// Reads `tau-bench/gpt-4o-airline.json` of the folder.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("tau-bench").join("gpt-4o-airline.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let records: Vec<HashMap<String, &RawValue>> = serde_json::from_str(&text)?;
        let sessions = records.iter().map(recorded).collect::<anyhow::Result<Vec<_>>>()?;
        anyhow::ensure!(!sessions.is_empty(), "{} has no sessions", path.display());
        Ok(Self { sessions })
    }

    pub(crate) fn events(&self) -> usize {
        self.sessions.iter().map(|session| session.steps.len()).sum()
    }
}

/// A session in the making.
#[derive(Default)]
struct Making {
    recorded: Recorded,
    index: HashMap<String, usize>,
    carried: HashSet<usize>,
    /// The conversation so far.
    history: Vec<Item>,
    /// The last model call and how many items it had.
    last_call: Option<(usize, usize)>,
    /// What tool calls were asked for: name, arguments and the step that asked.
    asked: HashMap<String, (String, String, usize)>,
}

fn recorded(record: &HashMap<String, &RawValue>) -> anyhow::Result<Recorded> {
    let field = |name: &str| record.get(name).with_context(|| format!("a session has no {name}"));
    let (task, reward, info) = (field("task_id")?, field("reward")?, field("info")?);
    let attributes = format!(r#"{{"task_id":{task},"reward":{reward},"info":{info}}}"#);
    let mut making = Making::default();
    let part = making.part(attributes);
    making.step("session.start", vec![Item { role: "", kind: "attributes", part }], None, None);
    let messages: Vec<&RawValue> = serde_json::from_str(field("traj")?.get())?;
    for raw in messages {
        making.message(raw)?;
    }
    making.step("session.end", Vec::new(), None, None);
    Ok(making.recorded)
}

impl Making {
    fn message(&mut self, raw: &RawValue) -> anyhow::Result<()> {
        let value: Value = serde_json::from_str(raw.get())?;
        let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let role = ["system", "user", "assistant", "tool"].into_iter().find(|r| *r == text("role"));
        let role = role.context("a message has no role")?;
        let part = self.part(raw.get().to_owned());
        let item = Item { role, kind: "message", part };
        self.history.push(item);
        match role {
            "user" => self.step("user.message", vec![item], None, None),
            "assistant" => {
                self.ask(&value);
                let call = (self.recorded.steps.len(), self.history.len());
                let prefix = self.last_call.replace(call);
                self.step("llm.call", self.history.clone(), prefix, None);
            }
            "tool" => {
                let call_id = text("tool_call_id").to_owned();
                let (name, arguments, cause) = self.asked.remove(&call_id).unwrap_or_default();
                let part = self.part(arguments);
                let arguments = Item { role: "assistant", kind: "tool_arguments", part };
                let tool = Tool { name, call_id, cause };
                self.step("tool.call", vec![arguments, item], None, Some(tool));
            }
            _ => {}
        }
        Ok(())
    }

    fn ask(&mut self, message: &Value) {
        let calls = message.get("tool_calls").and_then(Value::as_array);
        for call in calls.into_iter().flatten() {
            let text = |path| call.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let [id, name, arguments] =
                ["/id", "/function/name", "/function/arguments"].map(|path| text(path).to_owned());
            self.asked.insert(id, (name, arguments, self.recorded.steps.len()));
        }
    }

    fn part(&mut self, text: String) -> usize {
        let parts = &mut self.recorded.parts;
        *self.index.entry(text).or_insert_with_key(|text| {
            parts.push(text.clone());
            parts.len() - 1
        })
    }

    fn step(
        &mut self,
        kind: &'static str,
        items: Vec<Item>,
        prefix: Option<(usize, usize)>,
        tool: Option<Tool>,
    ) {
        let mut seen = HashSet::new();
        let parts = items.iter().map(|item| item.part).filter(|part| seen.insert(*part));
        let parts: Vec<usize> = parts.collect();
        let parts_new = parts.iter().copied().filter(|part| self.carried.insert(*part)).collect();
        self.recorded.steps.push(Step { kind, items, parts, parts_new, prefix, tool });
    }
}
