//! Whom a verifier trusts (C2SP tlog-policy): logs, witnesses, and how many of these must have signed.

use std::collections::{BTreeMap, BTreeSet};

use crate::tlog::key::{VerifierKey, VerifierKind};
use crate::tlog::note::{Note, NoteSignature};

/// Largest number of lines, and depth of groups.
const LINES_MAX: usize = 1_000;

/// A text that is no policy: which line, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadPolicy {
    /// From 1 on.
    pub line: usize,
    /// What is wrong.
    pub why: &'static str,
}

/// A witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// What the policy calls it.
    pub name: String,
    /// Verifies its cosignatures.
    pub key: VerifierKey,
    /// Where it is asked.
    pub url: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    needs: usize,
    members: Vec<String>,
}

/// Whom to trust. A line may also be a verifier key alone: a log's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Keys of logs.
    pub logs: Vec<VerifierKey>,
    /// Witnesses, in the order of the file.
    pub witnesses: Vec<Witness>,
    groups: BTreeMap<String, Group>,
    /// A witness or a group; `None` where no cosignature is needed.
    quorum: Option<String>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// The first line that makes no sense.
    pub fn parse(text: &str) -> Result<Self, BadPolicy> {
        let mut policy = Self::default();
        for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line)) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let read = match words.as_slice() {
                _ if number > LINES_MAX => Err("there are more than 1,000 lines"),
                [] => Ok(()),
                [first, ..] if first.starts_with('#') => Ok(()),
                ["log", key] | ["log", key, _] | [key] => policy.log(key),
                ["witness", name, key] => policy.witness(name, key, None),
                ["witness", name, key, url] => policy.witness(name, key, Some(url)),
                ["group", name, needs, members @ ..] => policy.group(name, needs, members),
                ["quorum", "none"] => Ok(()),
                ["quorum", name] if policy.quorum.is_none() => policy.quorum(name),
                _ => Err("it is not a line of a policy"),
            };
            read.map_err(|why| BadPolicy { line: number, why })?;
        }
        Ok(policy)
    }

    fn log(&mut self, key: &str) -> Result<(), &'static str> {
        let key: VerifierKey = key.parse().map_err(|_| "it is not a verifier key")?;
        if key.kind() != VerifierKind::Ed25519 {
            return Err("a log's key is of type 1");
        }
        self.logs.push(key);
        Ok(())
    }

    fn witness(&mut self, name: &str, key: &str, url: Option<&str>) -> Result<(), &'static str> {
        let key: VerifierKey = key.parse().map_err(|_| "it is not a verifier key")?;
        if key.kind() != VerifierKind::Cosignature {
            return Err("a witness's key is of type 4");
        }
        self.is_new(name)?;
        let (name, url) = (name.to_owned(), url.map(str::to_owned));
        self.witnesses.push(Witness { name, key, url });
        Ok(())
    }

    fn group(&mut self, name: &str, needs: &str, members: &[&str]) -> Result<(), &'static str> {
        self.is_new(name)?;
        let distinct: BTreeSet<&str> = members.iter().copied().collect();
        if members.is_empty() || distinct.len() != members.len() {
            return Err("a group has members, each once");
        }
        if members.iter().any(|member| !self.is_known(member)) {
            return Err("a member was not defined before");
        }
        let needs = match needs {
            "all" => Some(members.len()),
            "any" => Some(1),
            number => number.parse().ok(),
        };
        let needs = needs.filter(|needs| (1..=members.len()).contains(needs));
        let needs = needs.ok_or("a group needs all, any, or so many of its members")?;
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        self.groups.insert(name.to_owned(), Group { needs, members });
        Ok(())
    }

    fn quorum(&mut self, name: &str) -> Result<(), &'static str> {
        if !self.is_known(name) {
            return Err("the quorum was not defined before");
        }
        self.quorum = Some(name.to_owned());
        Ok(())
    }

    fn is_known(&self, name: &str) -> bool {
        self.groups.contains_key(name) || self.witnesses.iter().any(|one| one.name == name)
    }

    fn is_new(&self, name: &str) -> Result<(), &'static str> {
        let taken = name == "none" || self.is_known(name);
        if taken { Err("the name is taken") } else { Ok(()) }
    }

    /// Whether the policy wants cosignatures at all.
    #[must_use]
    pub fn wants_witnesses(&self) -> bool {
        self.quorum.is_some()
    }

    /// The witnesses that signed a note's text, and when, in seconds since 1970.
    #[must_use]
    pub fn cosigned(&self, note: &Note) -> Vec<(&Witness, u64)> {
        let signed = |one: &'_ Witness| note.is_signed_by(&one.key).ok();
        self.witnesses.iter().filter_map(|one| Some((one, signed(one)?))).collect()
    }

    /// The witness whose line this is over `text`, and when it signed.
    #[must_use]
    pub fn witness_of(&self, line: &NoteSignature, text: &str) -> Option<(&Witness, u64)> {
        self.witnesses.iter().find_map(|one| Some((one, line.check(&one.key, text).ok()?)))
    }

    /// Whether the witnesses of these names are as many as are wanted.
    #[must_use]
    pub fn is_met_by(&self, names: &BTreeSet<&str>) -> bool {
        self.quorum.as_ref().is_none_or(|name| self.counts(name, names))
    }

    /// Members were defined before their group, so this ends.
    fn counts(&self, name: &str, names: &BTreeSet<&str>) -> bool {
        match self.groups.get(name) {
            None => names.contains(name),
            Some(group) => {
                let met = group.members.iter().filter(|member| self.counts(member, names));
                met.count() >= group.needs
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::tlog::key::KeyName;

    fn key(kind: VerifierKind, seed: u8) -> VerifierKey {
        let name = KeyName::new(&format!("k{seed}")).unwrap();
        VerifierKey::new(name, kind, SigningKey::from_bytes(&[seed; 32]).verifying_key())
    }

    #[test]
    fn a_quorum_is_counted_through_groups() {
        let (log, w) = (key(VerifierKind::Ed25519, 1), |seed| key(VerifierKind::Cosignature, seed));
        let text = format!(
            "# whom we trust\nlog {log} https://l\nwitness a {} https://a\nwitness b {}\nwitness c {}\n\
             group ab any a b\ngroup top 2 ab c\nquorum top\n",
            w(2),
            w(3),
            w(4)
        );
        let policy = Policy::parse(&text).unwrap();
        assert!(policy.wants_witnesses());
        for (names, met) in
            [(vec!["a", "b"], false), (vec!["a", "c"], true), (vec!["c"], false), (vec![], false)]
        {
            assert_eq!(policy.is_met_by(&names.into_iter().collect()), met);
        }
        assert!(Policy::parse(&log.to_string()).unwrap().is_met_by(&BTreeSet::new()));
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        let witness = key(VerifierKind::Cosignature, 2);
        for (text, line) in [
            (format!("log {witness}\n"), 1),
            (format!("witness a {witness}\nwitness a {witness}\n"), 2),
            (format!("witness a {witness}\ngroup g 2 a\n"), 2),
            ("group g any x\n".to_owned(), 1),
            ("\nquorum q\n".to_owned(), 2),
            ("what is this\n".to_owned(), 1),
        ] {
            assert_eq!(Policy::parse(&text).unwrap_err().line, line, "{text}");
        }
    }
}
