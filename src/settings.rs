//! Settings: one TOML file, and `--set section.key=value` on top of it.
//!
//! Core. It merges and flattens; what a section may say is decided by the crate whose section it is.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Why settings are not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadSetting {
    #[error("the file is not TOML")]
    File(#[source] Box<toml::de::Error>),
    #[error("--set {0:?} is not of the form section.key=value")]
    Form(String),
    #[error("{path} cannot be set: {at} is not a section")]
    NotASection { path: String, at: String },
    #[error("a setting is not right")]
    Content(#[source] Box<toml::de::Error>),
}

/// All sections, as given.
#[derive(Debug, Default)]
pub(crate) struct Settings(Table);

impl Settings {
    /// The file's text with the `--set` values over it.
    pub(crate) fn new(file: &str, sets: &[String]) -> Result<Self, BadSetting> {
        let mut table: Table =
            toml::from_str(file).map_err(|error| BadSetting::File(Box::new(error)))?;
        for set in sets {
            apply(&mut table, set)?;
        }
        Ok(Self(table))
    }

    /// Sets a value where neither file nor `--set` gave one.
    pub(crate) fn default(&mut self, section: &str, key: &str, value: impl Into<Value>) {
        if let Some(section) = self.section(section) {
            section.entry(key).or_insert_with(|| value.into());
        }
    }

    /// Sets a value, whatever there was: for options of the command line that have a name of their own.
    pub(crate) fn set(&mut self, section: &str, key: &str, value: impl Into<Value>) {
        if let Some(section) = self.section(section) {
            section.insert(key.to_owned(), value.into());
        }
    }

    /// Makes a table whose keys have dots, such as librdkafka's, flat and of texts, however it was written.
    pub(crate) fn flatten(&mut self, section: &str, key: &str) {
        if let Some(section) = self.section(section)
            && let Some(value) = section.remove(key)
        {
            let mut flat = Table::new();
            flatten("", value, &mut flat);
            section.insert(key.to_owned(), flat.into());
        }
    }

    /// The settings as the type that has them all; what it does not know is refused.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, BadSetting> {
        self.0.try_into().map_err(|error| BadSetting::Content(Box::new(error)))
    }

    fn section(&mut self, name: &str) -> Option<&mut Table> {
        self.0.entry(name).or_insert_with(|| Table::new().into()).as_table_mut()
    }
}

/// `section.key=value`; deeper keys have more dots.
fn apply(table: &mut Table, set: &str) -> Result<(), BadSetting> {
    let form = || BadSetting::Form(set.to_owned());
    let (path, text) = set.split_once('=').ok_or_else(form)?;
    let (sections, key) = path.trim().rsplit_once('.').ok_or_else(form)?;
    let mut at = table;
    for name in sections.split('.') {
        if name.is_empty() || key.is_empty() {
            return Err(form());
        }
        let next = at.entry(name).or_insert_with(|| Table::new().into()).as_table_mut();
        at = next.ok_or_else(|| BadSetting::NotASection {
            path: path.to_owned(),
            at: name.to_owned(),
        })?;
    }
    at.insert(key.to_owned(), value(text.trim()));
    Ok(())
}

/// A TOML value, or else the text as it stands, so that plain words need no quotes.
fn value(text: &str) -> Value {
    let table = toml::from_str::<Table>(&format!("value = {text}"));
    let value = table.ok().filter(|table| table.len() == 1).and_then(|mut t| t.remove("value"));
    value.unwrap_or_else(|| text.into())
}

fn flatten(path: &str, value: Value, flat: &mut Table) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{key}"), value, flat);
            }
        }
        Value::String(text) => drop(flat.insert(path.to_owned(), text.into())),
        other => drop(flat.insert(path.to_owned(), other.to_string().into())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sections {
        sealer: Sealer,
        kafka: Kafka,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sealer {
        age_max_ms: u64,
        lock: String,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Kafka {
        properties: BTreeMap<String, String>,
    }

    fn settings(file: &str, sets: &[&str]) -> Result<Settings, BadSetting> {
        let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
        Settings::new(file, &sets)
    }

    fn sealer(settings: Settings) -> Sealer {
        settings.read::<Sections>().unwrap().sealer
    }

    #[test]
    fn the_command_line_goes_over_the_file() {
        let file = "[sealer]\nage_max_ms = 1\nlock = 'governance'\n";
        let settings = settings(file, &["sealer.age_max_ms=2"]).unwrap();
        assert_eq!(sealer(settings), Sealer { age_max_ms: 2, lock: "governance".into() });
    }

    #[test]
    fn a_default_goes_under_the_file_and_an_option_over_it() {
        let mut settings = settings("", &["sealer.lock=none"]).unwrap();
        settings.default("sealer", "lock", "compliance");
        settings.set("sealer", "age_max_ms", 6);
        settings.default("sealer", "age_max_ms", 5);
        assert_eq!(sealer(settings), Sealer { age_max_ms: 6, lock: "none".into() });
    }

    #[test]
    fn words_need_no_quotes_and_values_have_their_types() {
        assert_eq!(value("governance"), Value::from("governance"));
        assert_eq!(value("'7'"), Value::from("7"));
        assert_eq!(value("7"), Value::from(7));
        assert_eq!(value("true"), Value::from(true));
        assert_eq!(value("127.0.0.1:4280"), Value::from("127.0.0.1:4280"));
        assert_eq!(value("1\nother = 2"), Value::from("1\nother = 2"));
        assert_eq!(value(""), Value::from(""));
    }

    #[test]
    fn dotted_kafka_keys_come_out_whole_however_they_are_written() {
        let file = "[kafka.properties]\n'security.protocol' = 'ssl'\nssl.ca.location = 'ca.pem'\n";
        let mut settings = settings(file, &["kafka.properties.linger.ms=5"]).unwrap();
        settings.flatten("kafka", "properties");
        let kafka = settings.read::<Sections>().unwrap().kafka;
        let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let expected =
            [("linger.ms", "5"), ("security.protocol", "ssl"), ("ssl.ca.location", "ca.pem")];
        assert_eq!(kafka.properties, expected.map(pair).into());
    }

    #[test]
    fn what_is_unknown_or_misspelt_is_refused() {
        assert!(matches!(settings("", &["sealer"]), Err(BadSetting::Form(_))));
        assert!(matches!(settings("", &["x=1"]), Err(BadSetting::Form(_))));
        assert!(matches!(settings("", &[".x=1"]), Err(BadSetting::Form(_))));
        let into = settings("[sealer]\nlock = 'x'", &["sealer.lock.y=1"]);
        assert!(matches!(into, Err(BadSetting::NotASection { .. })));
        assert!(matches!(settings("[", &[]), Err(BadSetting::File(_))));
        for (set, named) in [("seler.x=1", "seler"), ("sealer.agemax=1", "agemax")] {
            let unknown = settings("", &[set]).unwrap().read::<Sections>();
            let error = format!("{:#}", anyhow::Error::new(unknown.unwrap_err()));
            assert!(error.contains(named), "{error}");
        }
    }
}
