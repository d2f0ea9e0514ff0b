//! Paths into JSON: `$.a.b[*].c`, `$["a"][0]`, `$..name`. What a path has matched so far is a set of positions in it.

use std::str::FromStr;

/// Steps of a path: a position for each fits into the bits of a set.
const STEPS_MAX: usize = 32;

/// A path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The member of this name.
    Member(String),
    /// The item with this index.
    Item(usize),
    /// Every member or item.
    Every,
    /// Members of this name, however deep.
    Deep(String),
}

/// Positions that lead to a value: bit n says that the first n steps do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached(u64);

/// How a value is found in the one around it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way<'k> {
    Member(&'k [u8]),
    Item(usize),
}

impl Path {
    /// To members of this name, however deep.
    pub(super) fn deep(name: &str) -> Self {
        Self(vec![Step::Deep(name.to_owned())])
    }

    /// Where every path begins.
    pub(super) fn root() -> Reached {
        Reached(1)
    }

    /// From a value to one in it.
    pub(super) fn step(&self, from: Reached, way: Way<'_>) -> Reached {
        let mut to = 0;
        for (index, step) in self.0.iter().enumerate() {
            if from.0 >> index & 1 == 0 {
                continue;
            }
            let (goes_on, stays) = match (step, way) {
                (Step::Member(name), Way::Member(key)) => (name.as_bytes() == key, false),
                (Step::Item(wanted), Way::Item(index)) => (*wanted == index, false),
                (Step::Every, _) => (true, false),
                (Step::Deep(name), Way::Member(key)) => (name.as_bytes() == key, true),
                (Step::Deep(_), Way::Item(_)) => (false, true),
                _ => (false, false),
            };
            to |= u64::from(stays) << index | u64::from(goes_on) << (index + 1);
        }
        Reached(to)
    }

    /// Whether the value is one that the path leads to.
    pub(super) fn is_end(&self, at: Reached) -> bool {
        at.0 >> self.0.len() & 1 == 1
    }
}

impl Reached {
    /// Whether nothing in the value can be one.
    pub(super) fn is_dead(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Path {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let mut rest = text.strip_prefix('$').ok_or("must begin with $")?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let step;
            (step, rest) = read(rest)?;
            steps.push(step);
        }
        if steps.len() > STEPS_MAX {
            return Err("has more than 32 steps");
        }
        Ok(Self(steps))
    }
}

/// One step, and what follows it.
fn read(text: &str) -> Result<(Step, &str), &'static str> {
    if let Some(rest) = text.strip_prefix("..") {
        let (name, rest) = name(rest)?;
        return Ok((Step::Deep(name), rest));
    }
    if let Some(rest) = text.strip_prefix(".*").or_else(|| text.strip_prefix("[*]")) {
        return Ok((Step::Every, rest));
    }
    if let Some(rest) = text.strip_prefix('.') {
        let (name, rest) = name(rest)?;
        return Ok((Step::Member(name), rest));
    }
    let rest =
        text.strip_prefix('[').ok_or("has something that is neither .name, ..name nor [ ]")?;
    if let Some(quote) = rest.chars().next().filter(|first| ['"', '\''].contains(first)) {
        let (name, rest) = rest
            .get(1..)
            .unwrap_or_default()
            .split_once(quote)
            .ok_or("has a quote that does not end")?;
        let rest = rest.strip_prefix(']').ok_or("has a [ that does not end")?;
        return Ok((Step::Member(name.to_owned()), rest));
    }
    let (index, rest) = rest.split_once(']').ok_or("has a [ that does not end")?;
    Ok((Step::Item(index.parse().map_err(|_| "has an index that is no number")?), rest))
}

fn name(text: &str) -> Result<(String, &str), &'static str> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name == "*" {
        return Err("has a step without a name");
    }
    Ok((name.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(path: &str, ways: &[Way<'_>]) -> bool {
        let path: Path = path.parse().unwrap();
        let end = ways.iter().fold(Path::root(), |at, way| path.step(at, *way));
        path.is_end(end)
    }

    #[test]
    fn a_path_leads_where_it_says() {
        let [a, b, c] = ["a", "b", "c"].map(|name| Way::Member(name.as_bytes()));
        assert!(leads("$", &[]) && !leads("$", &[a]));
        assert!(leads("$.a.b", &[a, b]) && !leads("$.a.b", &[a]) && !leads("$.a.b", &[a, b, c]));
        assert!(leads("$.a[*].c", &[a, Way::Item(7), c]) && leads("$.a.*.c", &[a, b, c]));
        assert!(
            leads("$['a'][1]", &[a, Way::Item(1)]) && !leads("$[\"a\"][1]", &[a, Way::Item(2)])
        );
        assert!(
            leads("$..c", &[c]) && leads("$..c", &[a, Way::Item(0), c]) && leads("$..c", &[c, c])
        );
        assert!(leads("$..a.b", &[b, a, b]) && !leads("$..a.b", &[a, c, b]));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = format!("${}", ".a".repeat(33));
        for text in ["", "a", "$a", "$.", "$..", "$[", "$[x]", "$['a", "$.a..*", "$[-1]", &long] {
            assert!(text.parse::<Path>().is_err(), "{text}");
        }
    }
}
