//! Rules as they are written: a file of TOML, checked as a whole before any of it counts.

use regex::bytes::Regex;
use ring::hmac;
use serde::Deserialize;

use super::detect::{self, Detector};
use super::path::Path;

/// Rules of a file.
const RULES_MAX: usize = 256;
/// Bytes of a rule's name, and of a version.
const NAME_BYTES_MAX: usize = 64;
/// Bytes of a key that hashes are made with, at least.
const KEY_BYTES_MIN: usize = 16;
/// What would break an event, or tear a session apart.
pub(super) const FIXED_FIELDS: [&str; 17] = [
    "event_id",
    "nonce",
    "tenant",
    "session_id",
    "kind",
    "occurred_at",
    "capture_source",
    "phase",
    "status",
    "prev_event_digest",
    "retention_class",
    "capture_fidelity",
    "context_prefix",
    "context_digest",
    "contents",
    "trace_id",
    "span_id",
];

/// What is not to be recorded as it is, under one version.
#[derive(Debug)]
pub struct Rules {
    pub(super) version: String,
    pub(super) rules: Vec<Rule>,
}

/// Why rules are not usable.
#[derive(Debug, thiserror::Error)]
pub enum BadRules {
    /// It is no TOML, or a field is unknown or of another type.
    #[error("the rules are not TOML as rules are written")]
    Form(#[source] Box<toml::de::Error>),
    /// Something in it is not right.
    #[error("the rules have {0}")]
    File(String),
    /// Something in a rule is not right.
    #[error("the rule {rule:?} {why}")]
    Rule {
        /// The rule's name, or its number.
        rule: String,
        /// What is wrong.
        why: String,
    },
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) action: Action,
    pub(super) kinds: Vec<String>,
    pub(super) roles: Vec<String>,
    pub(super) content_kinds: Vec<String>,
    pub(super) place: Place,
    pub(super) what: What,
    pub(super) refuses_avro: bool,
    /// What the rules before it leave behind.
    pub(super) markers: Option<Regex>,
}

/// Where a rule looks.
#[derive(Debug)]
pub(super) enum Place {
    /// Everywhere.
    Anywhere,
    /// In JSON contents, at this path.
    Path(Path),
    /// In the envelope's field of this name, or where a source's attribute is called so.
    Field(String, Path),
}

/// What a rule looks for.
#[derive(Debug)]
pub(super) enum What {
    /// All that is there.
    Whole,
    Pattern(Regex),
    Detected(Vec<Detector>),
}

#[derive(Debug)]
pub(super) enum Action {
    Mask,
    Hash(hmac::Key),
    Drop,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    #[serde(default)]
    rule: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    action: String,
    #[serde(default)]
    kinds: Vec<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    content_kinds: Vec<String>,
    path: Option<String>,
    field: Option<String>,
    pattern: Option<String>,
    #[serde(default)]
    detect: Vec<String>,
    avro: Option<String>,
}

impl Rules {
    /// What every gateway does unless it is told otherwise: keys and tokens are masked.
    #[must_use]
    pub fn defaults() -> Self {
        let rule = Rule {
            name: "api-keys".to_owned(),
            action: Action::Mask,
            kinds: Vec::new(),
            roles: Vec::new(),
            content_kinds: Vec::new(),
            place: Place::Anywhere,
            what: What::Detected(vec![Detector::ApiKeys]),
            refuses_avro: false,
            markers: None,
        };
        Self { version: "default/1".to_owned(), rules: vec![rule] }
    }

    /// Reads a file's text. `key` is what values are hashed with.
    ///
    /// # Errors
    /// [`BadRules`]; nothing of a file with an error counts.
    pub fn parse(text: &str, key: Option<&[u8]>) -> Result<Self, BadRules> {
        let file: File = toml::from_str(text).map_err(|error| BadRules::Form(Box::new(error)))?;
        if !is_name(&file.version) {
            let why = format!(
                "the version {:?}, which is not of the form [A-Za-z0-9._/-]{{1,64}}",
                file.version
            );
            return Err(BadRules::File(why));
        }
        if file.rule.len() > RULES_MAX {
            return Err(BadRules::File(format!("more than {RULES_MAX} rules")));
        }
        let mut rules: Vec<Rule> = Vec::with_capacity(file.rule.len());
        for (index, written) in file.rule.into_iter().enumerate() {
            let name = written.name.clone();
            if !is_name(&name) || name.contains('/') {
                let why = "has a name that is not of the form [A-Za-z0-9._-]{1,64}".to_owned();
                return Err(BadRules::Rule { rule: format!("#{}", index + 1), why });
            }
            if rules.iter().any(|rule| rule.name == name) {
                return Err(BadRules::Rule { rule: name, why: "stands there twice".to_owned() });
            }
            let markers = markers(&rules);
            let rule = written.rule(key, markers);
            let rule = rule.map_err(|why| BadRules::Rule { rule: name, why })?;
            rules.push(rule);
        }
        Ok(Self { version: file.version, rules })
    }

    /// The version that the file gives itself.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl Written {
    fn rule(self, key: Option<&[u8]>, markers: Option<Regex>) -> Result<Rule, String> {
        let action = action(&self.action, key)?;
        let place = place(self.path.as_deref(), self.field)?;
        let what = what(self.pattern.as_deref(), &self.detect)?;
        let is_limited =
            !(self.kinds.is_empty() && self.roles.is_empty() && self.content_kinds.is_empty());
        if matches!((&place, &what), (Place::Anywhere, What::Whole)) && !is_limited {
            let why = "says nothing of what it looks for: give it a pattern, detect, path, field, kinds, roles or content_kinds";
            return Err(why.to_owned());
        }
        let refuses_avro = match self.avro.as_deref() {
            None | Some("pass") => false,
            Some("refuse") => true,
            Some(other) => return Err(format!("has avro = {other:?}; it must be pass or refuse")),
        };
        let Self { name, kinds, roles, content_kinds, .. } = self;
        Ok(Rule { name, action, kinds, roles, content_kinds, place, what, refuses_avro, markers })
    }
}

/// What these rules leave in place of what they find. Names have no characters that mean something in an expression but dots.
fn markers(rules: &[Rule]) -> Option<Regex> {
    let names: Vec<String> = rules.iter().map(|rule| rule.name.replace('.', r"\.")).collect();
    let pattern = format!(r"\[(?:redacted|hashed):(?:{})(?::[0-9a-f]{{32}})?\]", names.join("|"));
    if names.is_empty() { None } else { detect::compile(&pattern).ok() }
}

fn action(name: &str, key: Option<&[u8]>) -> Result<Action, String> {
    match name {
        "mask" => Ok(Action::Mask),
        "drop" => Ok(Action::Drop),
        "hash" => match key {
            None => Err("hashes, which takes a key: set CHANCERY_REDACT_KEY. Without one, whoever guesses a value could check it".to_owned()),
            Some(key) if key.len() < KEY_BYTES_MIN => Err(format!("hashes, and CHANCERY_REDACT_KEY has fewer than {KEY_BYTES_MIN} bytes")),
            Some(key) => Ok(Action::Hash(hmac::Key::new(hmac::HMAC_SHA256, key))),
        },
        "encrypt-only" => Err("has the action encrypt-only, and this version cannot encrypt bodies: it would have to keep them in clear. Use mask, hash or drop until it can".to_owned()),
        other => Err(format!("has the action {other:?}; it must be mask, hash, drop or encrypt-only")),
    }
}

fn place(path: Option<&str>, field: Option<String>) -> Result<Place, String> {
    match (path, field) {
        (None, None) => Ok(Place::Anywhere),
        (Some(_), Some(_)) => Err("has both path and field; make two rules".to_owned()),
        (Some(path), None) => {
            let read: Result<Path, _> = path.parse();
            read.map(Place::Path).map_err(|why| format!("has the path {path:?}, which {why}"))
        }
        (None, Some(field)) if FIXED_FIELDS.contains(&&*field) => {
            Err(format!("has the field {field:?}, without which an event is none"))
        }
        (None, Some(field)) => {
            let path = Path::deep(&field);
            Ok(Place::Field(field, path))
        }
    }
}

fn what(pattern: Option<&str>, detect: &[String]) -> Result<What, String> {
    match (pattern, detect) {
        (Some(_), [_, ..]) => Err("has both pattern and detect; make two rules".to_owned()),
        (Some(pattern), []) => {
            let compiled = detect::compile(pattern);
            compiled
                .map(What::Pattern)
                .map_err(|error| format!("has a pattern that cannot be used: {error}"))
        }
        (None, []) => Ok(What::Whole),
        (None, detect) => {
            let known = |name: &String| {
                let why =
                    || format!("detects {name:?}; it must be api-keys, email or card-numbers");
                Detector::named(name).ok_or_else(why)
            };
            detect.iter().map(known).collect::<Result<_, _>>().map(What::Detected)
        }
    }
}

fn is_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<Rules, String> {
        let text = format!("version = \"v1\"\n[[rule]]\nname = \"r\"\n{text}");
        Rules::parse(&text, Some(b"0123456789abcdef")).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_of_a_rule_is_read() {
        for text in [
            "action = \"mask\"\ndetect = [\"api-keys\", \"email\", \"card-numbers\"]",
            "action = \"hash\"\npath = \"$..ssn\"\nkinds = [\"tool.call\"]\navro = \"refuse\"",
            "action = \"drop\"\nfield = \"principal_id\"",
            "action = \"drop\"\nroles = [\"system\"]\ncontent_kinds = [\"message\"]",
            "action = \"mask\"\npattern = '\\b\\d{3}-\\d{2}-\\d{4}\\b'",
        ] {
            assert_eq!(rule(text).unwrap().rules.len(), 1, "{text}");
        }
        assert_eq!(Rules::parse("version = 'v1'", None).unwrap().rules.len(), 0);
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_said() {
        for (text, why) in [
            ("action = \"mask\"", "says nothing of what it looks for"),
            ("action = \"encrypt-only\"\nfield = \"a\"", "cannot encrypt bodies"),
            ("action = \"burn\"\nfield = \"a\"", "must be mask, hash, drop"),
            ("action = \"mask\"\nfield = \"session_id\"", "without which an event is none"),
            ("action = \"mask\"\nfield = \"a\"\npath = \"$\"", "both path and field"),
            ("action = \"mask\"\npath = \"a\"", "must begin with $"),
            ("action = \"mask\"\npattern = \"(\"", "cannot be used"),
            ("action = \"mask\"\npattern = \"(?:a{1000}){1000}\"", "cannot be used"),
            ("action = \"mask\"\npattern = \"a\"\ndetect = [\"email\"]", "both pattern and detect"),
            ("action = \"mask\"\ndetect = [\"names\"]", "must be api-keys"),
            ("action = \"mask\"\nfield = \"a\"\navro = \"x\"", "must be pass or refuse"),
            ("action = \"mask\"\nfeld = \"a\"", "not TOML as rules are written"),
        ] {
            let error = rule(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let keyless = Rules::parse(
            "version = \"1\"\n[[rule]]\nname = \"r\"\naction = \"hash\"\nfield = \"a\"",
            None,
        );
        assert!(keyless.unwrap_err().to_string().contains("CHANCERY_REDACT_KEY"));
        let short = Rules::parse(
            "version = \"1\"\n[[rule]]\nname = \"r\"\naction = \"hash\"\nfield = \"a\"",
            Some(b"short"),
        );
        assert!(short.is_err());
        let twice = "version = \"1\"\n[[rule]]\nname = \"r\"\naction = \"mask\"\nfield = \"a\"\n"
            .to_owned();
        let twice = format!("{twice}{}", &twice[14..]);
        assert!(Rules::parse(&twice, None).unwrap_err().to_string().contains("twice"));
    }
}
