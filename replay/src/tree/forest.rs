//! Steps under steps: spans under their parents, tool calls under who asked for them; and turns, which a user's word begins.

use std::collections::HashMap;

use schemas::{SpanId, TraceId};

use crate::trace::{Step, Turn};

/// Steps above a step. What hangs deeper hangs there.
const DEPTH_MAX: usize = 12;
/// Kinds of what may have steps under it by its span.
const PARENTS: [&str; 6] =
    ["agent.run", "http.exchange", "llm.call", "mcp.request", "span", "tool.call"];

/// Steps, and for each the one above it.
#[derive(Debug)]
pub(super) struct Forest {
    steps: Vec<Option<Step>>,
    above: Vec<Option<usize>>,
    /// Who asked for it.
    askers: Vec<Option<usize>>,
    /// Whether it begins a turn.
    opens: Vec<bool>,
}

impl Forest {
    pub(super) fn new(steps: Vec<Step>, askers: Vec<Option<usize>>, opens: Vec<bool>) -> Self {
        let above = parents(&steps);
        let mut forest =
            Self { steps: steps.into_iter().map(Some).collect(), above, askers, opens };
        forest.cut_circles();
        for at in 0..forest.steps.len() {
            let Some(asker) = forest.asker(at) else { continue };
            let root = forest.root(at);
            if root == forest.root(asker) && root != at && !forest.is_under(asker, at) {
                forest.put(at, asker);
            }
        }
        forest
    }

    fn above(&self, at: usize) -> Option<usize> {
        self.above.get(at).copied().flatten()
    }

    fn asker(&self, at: usize) -> Option<usize> {
        self.askers.get(at).copied().flatten()
    }

    fn put(&mut self, at: usize, under: usize) {
        self.above.get_mut(at).into_iter().for_each(|slot| *slot = Some(under));
    }

    /// What each says of itself is not to be trusted: a step may name one as its parent that hangs on it.
    fn cut_circles(&mut self) {
        let mut done = vec![false; self.above.len()];
        for begin in 0..self.above.len() {
            let mut path = Vec::new();
            let mut here = Some(begin);
            let mut on_path = std::collections::HashSet::new();
            while let Some(at) = here.filter(|at| !done.get(*at).copied().unwrap_or(true)) {
                if !on_path.insert(at) {
                    self.above.get_mut(at).into_iter().for_each(|slot| *slot = None);
                    break;
                }
                path.push(at);
                here = self.above(at);
            }
            for at in path {
                done.get_mut(at).into_iter().for_each(|slot| *slot = true);
            }
        }
    }

    fn root(&self, at: usize) -> usize {
        let mut here = at;
        for _ in 0..self.above.len() {
            match self.above(here) {
                Some(above) => here = above,
                None => break,
            }
        }
        here
    }

    fn is_under(&self, at: usize, other: usize) -> bool {
        let mut here = Some(at);
        for _ in 0..=self.above.len() {
            match here {
                Some(place) if place == other => return true,
                Some(place) => here = self.above(place),
                None => return false,
            }
        }
        true
    }

    /// The turns: a root with a word of a user in or under it begins one. What came before anybody spoke belongs to the first.
    pub(super) fn turns(mut self) -> Vec<Turn> {
        let roots: Vec<usize> =
            (0..self.steps.len()).filter(|at| self.above(*at).is_none()).collect();
        let of: Vec<usize> = (0..self.steps.len()).map(|at| self.root(at)).collect();
        let mut opening = vec![false; self.steps.len()];
        for (root, opens) in of.iter().zip(&self.opens) {
            opening.get_mut(*root).into_iter().for_each(|slot| *slot |= *opens);
        }
        let mut turn_of: HashMap<usize, usize> = HashMap::new();
        let mut turns: Vec<Vec<usize>> = Vec::new();
        let mut spoken = false;
        for root in roots {
            let opens = opening.get(root).copied().unwrap_or(false);
            let last = turns.len().saturating_sub(1);
            let asker = self.asker(root).filter(|asker| !self.is_under(*asker, root));
            let asked_in = asker.and_then(|asker| turn_of.get(&self.root(asker)).copied());
            if let (Some(asker), Some(turn)) = (asker, asked_in) {
                if turn == last {
                    self.put(root, asker);
                    continue;
                }
                let step = self.steps.get_mut(root).and_then(Option::as_mut);
                step.into_iter()
                    .for_each(|step| step.marks.push(format!("asked for in turn {}", turn + 1)));
            }
            if turns.is_empty() || (opens && spoken) {
                turns.push(Vec::new());
            }
            spoken |= opens;
            turn_of.insert(root, turns.len() - 1);
            turns.last_mut().into_iter().for_each(|turn| turn.push(root));
        }
        self.assemble(&turns)
    }

    fn assemble(mut self, turns: &[Vec<usize>]) -> Vec<Turn> {
        let mut under: HashMap<usize, Vec<usize>> = HashMap::new();
        for at in 0..self.steps.len() {
            if let Some(above) = self.above(at) {
                under.entry(above).or_default().push(at);
            }
        }
        let turn = |roots: &Vec<usize>| Turn {
            steps: roots.iter().filter_map(|root| self.take(*root, 0, &mut under)).collect(),
        };
        turns.iter().map(turn).collect()
    }

    fn take(
        &mut self,
        at: usize,
        depth: usize,
        under: &mut HashMap<usize, Vec<usize>>,
    ) -> Option<Step> {
        let mut step = self.steps.get_mut(at).and_then(Option::take)?;
        let mut children = under.remove(&at).unwrap_or_default();
        if depth >= DEPTH_MAX {
            let mut next = 0;
            while let Some(child) = children.get(next).copied() {
                children.extend(under.remove(&child).unwrap_or_default());
                next += 1;
            }
            children.sort_unstable();
        }
        let below = children.into_iter().filter_map(|child| self.take(child, depth + 1, under));
        step.children = below.collect();
        Some(step)
    }
}

/// The step whose span is a step's parent, as its trace has it. A user's word hangs on nothing.
fn parents(steps: &[Step]) -> Vec<Option<usize>> {
    let mut spans: HashMap<(TraceId, SpanId), usize> = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        for envelope in step.envelopes() {
            let key = envelope.trace_id.zip(envelope.span_id);
            if let Some(key) = key.filter(|_| PARENTS.contains(&&*envelope.kind)) {
                spans.entry(key).or_insert(at);
            }
        }
    }
    let candidates = |(at, step): (usize, &Step)| -> Vec<usize> {
        let envelopes = step.envelopes();
        if envelopes.first().is_some_and(|envelope| envelope.kind == "user.message") {
            return Vec::new();
        }
        let keys = envelopes.iter().filter_map(|it| it.trace_id.zip(it.parent_span_id));
        keys.filter_map(|key| spans.get(&key).copied()).filter(|parent| *parent != at).collect()
    };
    let candidates: Vec<Vec<usize>> = steps.iter().enumerate().map(candidates).collect();
    // Below a call that a proxy saw too stands the span of the client that the proxy names as the call's parent.
    let is_below =
        |other: usize, at: usize| candidates.get(other).is_some_and(|it| it.contains(&at));
    let places = candidates.iter().enumerate();
    let outermost = |(at, of): (usize, &Vec<usize>)| {
        of.iter().copied().find(|parent| !is_below(*parent, at)).or_else(|| of.first().copied())
    };
    places.map(outermost).collect()
}
