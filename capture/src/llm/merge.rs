//! Deltas put together to what the API would have given at once.
//!
//! Texts are joined and lists with an `index` merged by it, as the SDKs do; names of things, which some repeat, are not
//! joined to themselves.

use serde_json::{Map, Value};

/// Items of a list that come in deltas. More are not followed.
const ITEMS_MAX: usize = 1024;
/// Members that are said once, or again and again, but not in pieces.
const WHOLE: [&str; 5] = ["role", "type", "id", "index", "object"];

/// Adds a delta to a message. `None` where it has too many items.
pub(super) fn merge(into: &mut Map<String, Value>, delta: Map<String, Value>) -> Option<()> {
    for (key, value) in delta {
        match (into.get_mut(&key), value) {
            (Some(_), Value::Null) => {}
            (None | Some(Value::Null), Value::Array(items))
                if items.iter().any(|item| place(item).is_some()) =>
            {
                let mut list = Vec::new();
                merge_items(&mut list, items)?;
                into.insert(key, Value::Array(list));
            }
            (Some(Value::String(text)), Value::String(more)) if !WHOLE.contains(&&*key) => {
                // Some repeat a function's name with every piece of its arguments.
                if key != "name" || *text != more {
                    text.push_str(&more);
                }
            }
            (Some(Value::Object(inner)), Value::Object(more)) => merge(inner, more)?,
            (Some(Value::Array(list)), Value::Array(more)) => merge_items(list, more)?,
            (_, value) => drop(into.insert(key, value)),
        }
    }
    Some(())
}

fn place(item: &Value) -> Option<u64> {
    item.get("index")?.as_u64()
}

fn merge_items(list: &mut Vec<Value>, items: Vec<Value>) -> Option<()> {
    for item in items {
        let there =
            place(&item).and_then(|at| list.iter_mut().find(|other| place(other) == Some(at)));
        match (there, item) {
            (Some(Value::Object(inner)), Value::Object(more)) => merge(inner, more)?,
            (_, item) => list.push(item),
        }
        if list.len() > ITEMS_MAX {
            return None;
        }
    }
    Some(())
}

/// Takes the `index` of each item away, once all have come, and puts them in its order.
pub(super) fn settle(message: &mut Map<String, Value>) {
    for value in message.values_mut() {
        let Value::Array(items) = value else { continue };
        items.sort_by_key(|item| place(item).unwrap_or(u64::MAX));
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.shift_remove("index");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(deltas: &[Value]) -> Option<Value> {
        let mut message = Map::new();
        for delta in deltas {
            merge(&mut message, delta.as_object().unwrap().clone())?;
        }
        settle(&mut message);
        Some(message.into())
    }

    #[test]
    fn texts_are_joined_and_names_are_not() {
        let deltas = [
            json!({"role":"assistant","content":null,"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":"{"}}]}),
            json!({"role":"assistant","content":"Hi","tool_calls":[{"index":0,"id":"a","function":{"name":"g","arguments":""}}]}),
            json!({"content":"!","tool_calls":[{"index":1,"type":"function","function":{"name":"f","arguments":"}"}}]}),
            json!({"content":null,"audio":{"data":"x"}}),
            json!({"audio":{"data":"y","transcript":"z"}}),
        ];
        let message = json!({"role":"assistant","content":"Hi!","tool_calls":[
            {"id":"a","function":{"name":"g","arguments":""}},
            {"id":"b","type":"function","function":{"name":"f","arguments":"{}"}},
        ],"audio":{"data":"xy","transcript":"z"}});
        assert_eq!(merged(&deltas).unwrap(), message);
    }

    #[test]
    fn too_many_items_are_not_followed() {
        let item = |index: usize| json!({"tool_calls":[{"index":index}]});
        let within: Vec<Value> = (0..ITEMS_MAX).map(item).collect();
        assert!(merged(&within).is_some());
        let beyond: Vec<Value> = (0..=ITEMS_MAX).map(item).collect();
        assert!(merged(&beyond).is_none());
    }
}
