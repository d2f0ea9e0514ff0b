//! CORE: retention classes: which there are, and which one an event is of.
//!
//! A topic has one class, and a session stays on its topic: so the class of a session is fixed by its first event, as long
//! as the session is remembered.

use std::collections::HashMap;

use crate::config::Config;
use crate::draft::Draft;
use crate::refusal::{Code, Refusal};

/// A retention class that this gateway has a topic for: its place among them, that of events that name none first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class(pub(crate) usize);

impl Class {
    /// The class with this name, if there is a topic for it.
    pub(crate) fn named(name: &str, config: &Config) -> Option<Self> {
        names(config).position(|known| known == name).map(Self)
    }

    pub(crate) fn name(self, config: &Config) -> &str {
        names(config).nth(self.0).unwrap_or(&config.retention_class)
    }

    /// Reads the field of an event.
    pub(crate) fn read(name: &str, config: &Config) -> Result<Self, Refusal> {
        let unknown = || {
            let known: Vec<&str> = names(config).collect();
            let why = match known.as_slice() {
                [one] => format!("must be {one} here"),
                _ => format!("must be one of {} here", known.join(", ")),
            };
            Refusal::field("retention_class", why)
        };
        Self::named(name, config).ok_or_else(unknown)
    }
}

/// The names of all classes.
pub(crate) fn names(config: &Config) -> impl Iterator<Item = &str> {
    let others = config.topics.keys().filter(|class| **class != config.retention_class);
    std::iter::once(&config.retention_class).chain(others).map(String::as_str)
}

/// The class of each event: that of its session. `remembered` tells it of a session that is remembered.
pub(crate) fn classes(
    drafts: &[Draft<'_>],
    config: &Config,
    remembered: impl Fn(&[u8]) -> Option<Class>,
) -> Result<Vec<Class>, Refusal> {
    if config.topics.is_empty() {
        return Ok(vec![Class::default(); drafts.len()]);
    }
    let mut sessions: HashMap<&[u8], Class> = HashMap::new();
    let mut classes = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        let first = || remembered(&draft.key).or(draft.class).unwrap_or_default();
        let fixed = *sessions.entry(&draft.key).or_insert_with(first);
        if draft.class.is_some_and(|named| named != fixed) {
            let why = format!("must be {}, as for this session before", fixed.name(config));
            let refusal = Refusal::field("retention_class", why);
            return Err(Refusal { code: Code::SessionClass, ..refusal }.at(index));
        }
        classes.push(fixed);
    }
    Ok(classes)
}
