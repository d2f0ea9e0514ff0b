//! What rules do to whole events.

use proptest::prelude::*;
use schemas::Cut;

use super::*;

const SECRET: &str = "sk-ant-api03-AbCdEf0123456789_AbCdEf";

fn rules(text: &str) -> Rules {
    let text = format!("version = \"v7\"\n{text}");
    Rules::parse(&text, Some(b"0123456789abcdef")).unwrap()
}

fn rule(text: &str) -> Rules {
    rules(&format!("[[rule]]\nname = \"r\"\n{text}"))
}

fn event(kind: &'static str, contents: Vec<Content>) -> Happening {
    Happening { contents, ..Happening::new(kind, "http") }
}

/// The contents that are left, the account apart.
fn left(rules: &Rules, mut happening: Happening) -> (Vec<String>, Option<Value>) {
    rules.apply_to(&mut happening).unwrap();
    let account = happening.contents.pop_if(|content| content.kind == "redactions");
    assert_eq!(account.is_some(), happening.envelope.capture_fidelity == "redacted");
    let text = |content: &Content| String::from_utf8(content.data.to_vec()).unwrap();
    let account = account.map(|account| serde_json::from_slice(&account.data).unwrap());
    (happening.contents.iter().map(text).collect(), account)
}

fn one(rules: &Rules, content: Content) -> String {
    left(rules, event("tool.call", vec![content])).0.remove(0)
}

fn json(text: &str) -> Content {
    Content::json("user", "message", text.to_owned())
}

#[test]
fn each_action_leaves_what_it_says() {
    let text = r#"{"a":"my 123-45-6789, \"123-45-0000\"","n":5}"#;
    let ssn = r"pattern = '\d{3}-\d{2}-\d{4}'";
    let masked = r#"{"a":"my [redacted:r], \"[redacted:r]\"","n":5}"#;
    assert_eq!(one(&rule(&format!("action = \"mask\"\n{ssn}")), json(text)), masked);
    assert_eq!(one(&rule(&format!("action = \"drop\"\n{ssn}")), json(text)), r#"{"a":null,"n":5}"#);
    let hashed = one(&rule(&format!("action = \"hash\"\n{ssn}")), json(text));
    let value: Value = serde_json::from_str(&hashed).unwrap();
    let words: Vec<&str> = value["a"].as_str().unwrap().split_whitespace().collect();
    assert!(words[1].starts_with("[hashed:r:") && words[1].len() == "[hashed:r:],".len() + 32);
    let plain = Content::text("user", "text", "123-45-6789!");
    assert_eq!(one(&rule(&format!("action = \"mask\"\n{ssn}")), plain.clone()), "[redacted:r]!");
    assert_eq!(one(&rule(&format!("action = \"drop\"\n{ssn}")), plain), "");
}

#[test]
fn the_same_value_has_the_same_hash_and_another_key_gives_another() {
    let text = "version = \"1\"\n[[rule]]\nname = \"r\"\naction = \"hash\"\npath = \"$.a\"";
    let hash =
        |key: &[u8], json_text: &str| one(&Rules::parse(text, Some(key)).unwrap(), json(json_text));
    let key = b"0123456789abcdef";
    assert_eq!(hash(key, r#"{"a":"x"}"#), hash(key, r#"{"a":"\u0078"}"#));
    assert_ne!(hash(key, r#"{"a":"x"}"#), hash(b"fedcba9876543210", r#"{"a":"x"}"#));
    // By Python: hmac.new(key, b"x", sha256).
    let expected = r#"{"a":"[hashed:r:68f4d9c04881bab754f229e82dee00cc]"}"#;
    assert_eq!(hash(key, r#"{"a":"x"}"#), expected);
}

#[test]
fn a_path_takes_values_whole_or_looks_into_them() {
    let text = r#"{"user":{"ssn":[1,2],"name":"ann"},"x":[{"ssn":"123"}]}"#;
    let masked = r#"{"user":{"ssn":"[redacted:r]","name":"ann"},"x":[{"ssn":"[redacted:r]"}]}"#;
    assert_eq!(one(&rule("action = \"mask\"\npath = \"$..ssn\""), json(text)), masked);
    let dropped = r#"{"user":null,"x":[{"ssn":"123"}]}"#;
    assert_eq!(one(&rule("action = \"drop\"\npath = \"$.user\""), json(text)), dropped);
    let within = r#"{"user":{"ssn":[1,2],"name":"[redacted:r]n"},"x":[{"ssn":"123"}]}"#;
    assert_eq!(
        one(&rule("action = \"mask\"\npath = \"$.user\"\npattern = \"an\""), json(text)),
        within
    );
}

#[test]
fn a_number_that_goes_becomes_a_string_and_a_key_stays_a_key() {
    let cards = rule("action = \"mask\"\ndetect = [\"card-numbers\"]");
    let text = r#"{"card":4111111111111111,"4111 1111 1111 1111":[-1.5e3,4111111111111112]}"#;
    let masked = r#"{"card":"[redacted:r]","[redacted:r]":[-1.5e3,4111111111111112]}"#;
    assert_eq!(one(&cards, json(text)), masked);
    let dropped = one(&rule("action = \"drop\"\ndetect = [\"card-numbers\"]"), json(text));
    assert_eq!(dropped, r#"{"card":null,"[redacted:r]":[-1.5e3,4111111111111112]}"#);
}

#[test]
fn a_rule_applies_where_it_says() {
    let contents = || {
        vec![
            Content::json("system", "message", "\"secret\""),
            Content::json("user", "message", "\"secret\""),
            Content::json("user", "tool_result", "\"secret\""),
        ]
    };
    let text = "action = \"mask\"\nroles = [\"user\"]\ncontent_kinds = [\"message\"]\nkinds = [\"llm.call\"]";
    let (texts, account) = left(&rule(text), event("llm.call", contents()));
    assert_eq!(texts, ["\"secret\"", "\"[redacted:r]\"", "\"secret\""]);
    assert_eq!(account.unwrap(), json!([{"rule": "r", "version": "v7", "content": 1, "count": 1}]));
    assert_eq!(left(&rule(text), event("tool.call", contents())).1, None);
}

#[test]
fn rules_are_applied_in_the_order_of_the_file() {
    let file = |first: &str, second: &str| {
        rules(&format!(
            "[[rule]]\nname = \"{first}\"\naction = \"mask\"\npattern = \"{first}\"\n[[rule]]\nname = \"{second}\"\naction = \"mask\"\npattern = \"{second}\"",
        ))
    };
    let text = || Content::text("", "text", "abc bcd");
    assert_eq!(one(&file("abc", "bc"), text()), "[redacted:abc] [redacted:bc]d");
    assert_eq!(one(&file("bc", "abc"), text()), "a[redacted:bc] [redacted:bc]d");
    // A rule does not look into what another one left, but may take it away with what stands around it.
    assert_eq!(one(&file("abc", "red"), text()), "[redacted:abc] bcd");
    let all = rules(
        "[[rule]]\nname = \"a\"\naction = \"mask\"\npattern = \"abc\"\n[[rule]]\nname = \"b\"\naction = \"mask\"\npattern = \".+\"",
    );
    assert_eq!(one(&all, text()), "[redacted:b]");
}

#[test]
fn the_envelope_and_the_attributes_have_fields() {
    let mut happening = event(
        "tool.call",
        vec![Content::json("", "attributes", r#"{"span":{"user.id":"u1"},"x":1}"#)],
    );
    happening.envelope.principal_id = Some("ann".into());
    happening.envelope.tool_name = Some(SECRET.into());
    happening.envelope.occurred_at = schemas::Micros(7);
    happening.envelope.usage_input_tokens = Some(5);
    let file = "[[rule]]\nname = \"p\"\naction = \"hash\"\nfield = \"principal_id\"\n[[rule]]\nname = \"u\"\naction = \"drop\"\nfield = \"user.id\"\n[[rule]]\nname = \"n\"\naction = \"mask\"\nfield = \"usage_input_tokens\"\n[[rule]]\nname = \"k\"\naction = \"mask\"\ndetect = [\"api-keys\"]";
    assert_eq!(rules(file).apply_to(&mut happening).unwrap(), 4);
    let envelope = &happening.envelope;
    assert!(envelope.principal_id.as_deref().unwrap().starts_with("[hashed:p:"));
    assert_eq!(envelope.tool_name.as_deref(), Some("[redacted:k]"));
    assert_eq!((envelope.usage_input_tokens, envelope.occurred_at), (None, schemas::Micros(7)));
    assert_eq!((&*envelope.capture_source, &*envelope.phase), ("http", "complete"));
    assert_eq!(&*happening.contents[0].data, br#"{"span":{"user.id":null},"x":1}"#);
    let account: Value = serde_json::from_slice(&happening.contents[1].data).unwrap();
    assert_eq!(
        account[0],
        json!({"rule": "p", "version": "v7", "field": "principal_id", "count": 1})
    );
}

#[test]
fn a_secret_for_a_session_id_is_no_event() {
    let mut happening = event("a", vec![]);
    happening.envelope.session_id = SECRET.into();
    assert_eq!(Rules::defaults().apply_to(&mut happening), Err("session_id"));
}

#[test]
fn the_rest_of_an_exchange_is_redacted_where_it_stands() {
    let body = format!(r#"{{"key":"{SECRET}","x":[1],"card":4111111111111111}}"#);
    let start = body.find("[1]").unwrap();
    let cut = Cut::new(&body, &[(start..start + 3, 0)]).unwrap();
    let http = json!({
        "target": format!("/v1?k={SECRET}"), "body": {"size": 9, "sha256": "ab", "cut": cut.to_json()},
    });
    let raw = zstd::bulk::compress(b"harmless", 3).unwrap();
    let answer = json!({"status": 200, "body": {"size": 9, "sha256": "cd", "zstd": 2}});
    let mut happening = event(
        "llm.call",
        vec![
            json("[1]"),
            Content::json("", "http", http.to_string()),
            Content::new("", "raw", "text/event-stream+zstd", raw),
            Content::json("", "http", answer.to_string()),
        ],
    );
    let rules = rule("action = \"mask\"\ndetect = [\"api-keys\", \"card-numbers\"]");
    assert_eq!(rules.apply_to(&mut happening).unwrap(), 3);
    let value = |index: usize| -> Value {
        serde_json::from_slice(&happening.contents[index].data).unwrap()
    };
    let asked = value(1);
    assert_eq!(asked["target"], "/v1?k=[redacted:r]");
    assert_eq!(asked["body"]["sha256"], Value::Null);
    let filled = Cut::from_json(&asked["body"]["cut"]).unwrap().fill(|_| Some(b"[1]")).unwrap();
    assert_eq!(filled, br#"{"key":"[redacted:r]","x":[1],"card":"[redacted:r]"}"#);
    assert_eq!(happening.contents[2].data, "");
    assert_eq!(value(3)["body"], json!({"size": 9, "sha256": null, "dropped": "redaction"}));
}

#[test]
fn a_content_that_only_says_that_it_is_an_exchange_hides_nothing() {
    for kind in ["http", "jsonrpc"] {
        for text in [
            format!(r#"{{"{SECRET}":1}}"#),
            format!(r#"{{"rest":"{SECRET}","parts":5}}"#),
            format!(r#"{{"a":{{"rest":"x","parts":[],"b":"{SECRET}"}}}}"#),
            SECRET.to_owned(),
            format!("{}\"{SECRET}\"{}", "[".repeat(200), "]".repeat(200)),
        ] {
            let left = one(&Rules::defaults(), Content::json("", kind, text));
            assert!(!left.contains(SECRET), "{left}");
        }
    }
}

#[test]
fn a_secret_in_a_compressed_stream_is_found() {
    let raw = zstd::bulk::compress(format!("data: {SECRET}\n\n").as_bytes(), 3).unwrap();
    let content = |data: Vec<u8>| Content::new("", "raw", "text/event-stream+zstd", data);
    assert_eq!(one(&Rules::defaults(), content(raw)), "");
    assert_eq!(one(&Rules::defaults(), content(b"broken".to_vec())), "broken");
    let clean = zstd::bulk::compress(b"data: x\n\n", 3).unwrap();
    let mut happening = event("a", vec![content(clean)]);
    assert_eq!(Rules::defaults().apply_to(&mut happening), Ok(0));
}

#[test]
fn a_secret_in_a_body_as_it_went_over_the_wire_is_found() {
    let raw = zstd::bulk::compress(format!("{{\"key\":\"{SECRET}\"}}").as_bytes(), 3).unwrap();
    let http = json!({"body": {"size": 9, "sha256": "ab", "content": 1, "encoding": "zstd"}});
    let mut happening = event(
        "http.exchange",
        vec![Content::json("", "http", http.to_string()), Content::json("", "raw", raw)],
    );
    assert_eq!(Rules::defaults().apply_to(&mut happening), Ok(1));
    assert_eq!(happening.contents[1].data, "");
    let http: Value = serde_json::from_slice(&happening.contents[0].data).unwrap();
    assert_eq!(http["body"]["dropped"], "redaction");
}

#[test]
fn what_is_shown_does_not_give_it_away() {
    let content = json(&format!("[\"{SECRET}\"]"));
    let redacted =
        Rules::defaults().apply(&mut Envelope::blank(), &[View::of(&content)]).unwrap().unwrap();
    let shown = &redacted.applied[0].shown[0];
    assert_eq!(shown.before, format!("sk-a… ({} characters)", SECRET.len()));
    assert_eq!(shown.after, "[redacted:api-keys]");
}

/// A string of JSON with this text, some characters of it written as escapes.
fn escaped(text: &str, every: usize) -> String {
    let escape = |(index, character): (usize, char)| match index % every {
        0 if character.is_ascii() => format!("\\u{:04x}", u32::from(character)),
        _ => {
            let quoted = serde_json::to_string(&character).unwrap();
            quoted[1..quoted.len() - 1].to_owned()
        }
    };
    format!("\"{}\"", text.chars().enumerate().map(escape).collect::<String>())
}

proptest! {
    /// Wherever a secret is planted in JSON, it does not survive, and the JSON stays JSON.
    #[test]
    fn a_planted_secret_does_not_survive(
        before in "[a-z .,:ä\n\t]{0,20}( |\n|\"|\\\\|/)", after in "( |\n|,|ä)[a-z\n]{0,20}",
        every in 2_usize..5, depth in 0_usize..5, as_key in any::<bool>(), secret in prop::sample::select(vec![
            SECRET, "AKIAIOSFODNN7EXAMPLE", "ghp_0123456789abcdefghijABCDEFGHIJ012345", "xoxb-1234567890-abcdef",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "AIzaSyA0123456789abcdefghijklmnopqrstuv",
        ]),
    ) {
        let string = escaped(&format!("{before}{secret}{after}"), every);
        let leaf = if as_key { format!("{{{string} : 1}}") } else { string };
        let text = format!("{}{leaf}{}", "{\"a\":[".repeat(depth), ",null]}".repeat(depth));
        let before: Value = serde_json::from_str(&text).unwrap();
        prop_assert!(before.to_string().contains(secret));
        let left = one(&Rules::defaults(), json(&text));
        let after: Value = serde_json::from_str(&left).unwrap();
        prop_assert!(!after.to_string().contains(secret), "{}", left);
        prop_assert!(left.contains("[redacted:api-keys]"));
    }

    #[test]
    fn valid_json_stays_valid(text in "[ -~]{0,30}", pattern in prop::sample::select(vec!["a", "0", ".", r"\d+", "[a-z]*", "\"", r"\\", "12"])) {
        let value = json!({ text.clone(): [text, 12345, {"k": null}] }).to_string();
        for action in ["mask", "hash", "drop"] {
            let file = format!("[[rule]]\nname = \"r\"\naction = \"{action}\"\npattern = '''{pattern}'''");
            let left = one(&rules(&file), json(&value));
            prop_assert!(serde_json::from_str::<Value>(&left).is_ok(), "{}", left);
        }
    }
}
