//! SHELL. The sessions of a store, from views, and of model calls that were watched from envelopes; no body is read.

mod doubles;
mod ranges;

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use parquet::arrow::arrow_reader::RowSelection;
use schemas::{Envelope, KafkaKey, Micros, SessionKey};
use serde::Serialize;

use self::doubles::Doubles;
use self::ranges::Ranges;
use crate::decode::{self, Batch, Breach, Segment};
use crate::error::Error;
use crate::fetch::Store;
use crate::load;
use crate::row;
use crate::session::only_watches;
use crate::totals::{rank, status_of_rank};

/// Which sessions are listed.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// With an event at or after this time.
    pub since: Option<Micros>,
    /// With an event before this time.
    pub until: Option<Micros>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// In which an agent of this name or id acted.
    pub agent: Option<String>,
    /// In which a tool of this name was called.
    pub tool: Option<String>,
    /// That have this status.
    pub status: Option<String>,
    /// At most so many, the newest.
    pub limit: Option<usize>,
    /// Partitions read at once; 0 is 1.
    pub jobs: usize,
}

/// A session in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionSummary {
    /// Its id.
    pub session_id: String,
    /// Its owner.
    pub tenant: String,
    /// The first agent that acted.
    pub agent: Option<String>,
    /// When its first event began, RFC 3339.
    pub first: Option<String>,
    /// When its last event began.
    pub last: Option<String>,
    /// Events, repeats included.
    pub events: u64,
    /// Model calls.
    pub model_calls: u64,
    /// Tool calls.
    pub tool_calls: u64,
    /// Tokens in.
    pub input_tokens: u64,
    /// Tokens out.
    pub output_tokens: u64,
    /// In 1e-9 US dollars.
    pub cost_nanos: u64,
    /// Of its end, or the worst of its events.
    pub status: String,
    /// Whether its end was seen.
    pub ended: bool,
    /// Whether all that told of it only watches, and so is not told of its end.
    pub watched: bool,
    /// Numbers that its source counted and that did not arrive, losses that its producer tells of, and messages that could not
    /// be decoded.
    pub holes: u64,
    #[serde(skip)]
    newest: i64,
}

const COLUMNS_READ: [usize; 16] = [
    decode::SESSION_KEY,
    decode::OFFSET,
    decode::KEY,
    decode::RAW_REASON,
    decode::KIND,
    decode::OCCURRED_AT,
    decode::CAPTURE_SOURCE,
    decode::PHASE,
    decode::STATUS,
    decode::SESSION_SEQ,
    decode::AGENT_ID,
    decode::AGENT_NAME,
    decode::INPUT_TOKENS,
    decode::OUTPUT_TOKENS,
    decode::COST,
    decode::TOOL_NAME,
];

/// The sessions of a store, newest first.
///
/// # Errors
/// A store that cannot be read, or a segment that cannot be decoded.
pub async fn sessions(store: &Store, filter: &Filter) -> Result<Vec<SessionSummary>, Error> {
    let catalogue = store.catalogue().await?;
    let read = stream::iter(catalogue.partitions)
        .map(|(topic, partition)| async move {
            let shelf = load::shelf(store, topic, partition).await?;
            let mut sums = Sums::new(filter);
            for (&at, present) in &shelf.places {
                if !present.segment && !store.has_versions() {
                    continue;
                }
                let Some(segment) = load::fetch(store, &shelf, at).await?.segment else { continue };
                let added = tokio::task::spawn_blocking(move || {
                    let result = sums.add(&segment);
                    (sums, result)
                });
                let result;
                (sums, result) = added.await?;
                let key = shelf.segment_key(at.0, at.1);
                result.map_err(|breach| Error::Damaged { key, why: breach.why })?;
            }
            Ok::<_, Error>(sums)
        })
        .buffer_unordered(filter.jobs.max(1));
    let read: Vec<Sums> = read.try_collect().await?;
    let mut listed: Vec<SessionSummary> =
        read.into_iter().flat_map(|sums| sums.finish(filter)).collect();
    listed.sort_by(|a, b| b.newest.cmp(&a.newest).then_with(|| a.session_id.cmp(&b.session_id)));
    listed.truncate(filter.limit.unwrap_or(usize::MAX));
    Ok(listed)
}

/// Sums over one partition, by session.
#[derive(Debug)]
struct Sums {
    sessions: HashMap<SessionKey, Sum>,
    agent: Option<String>,
    tool: Option<String>,
}

#[derive(Debug)]
struct Sum {
    key: KafkaKey,
    agent: Option<String>,
    times: Option<(i64, i64)>,
    events: u64,
    raw: u64,
    gaps: u64,
    watched: bool,
    calls: [Calls; 2],
    doubles: Doubles,
    input_tokens: u64,
    output_tokens: u64,
    cost_nanos: u64,
    worst: usize,
    end: Option<String>,
    numbers: Ranges,
    agent_fits: bool,
    tool_fits: bool,
}

/// Calls of one kind: a start and its end are one.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    whole: u64,
    starts: u64,
    ends: u64,
}

impl Sums {
    fn new(filter: &Filter) -> Self {
        Self { sessions: HashMap::new(), agent: filter.agent.clone(), tool: filter.tool.clone() }
    }

    fn add(&mut self, segment: &Segment) -> Result<(), Breach> {
        for group in 0..segment.parquet().num_row_groups() {
            let (mut rows, mut watched) = (0, Vec::new());
            for batch in segment.group(group, Some(&COLUMNS_READ), None)? {
                let batch = batch?;
                let batch = Batch::new(&batch);
                for row in 0..batch.rows {
                    self.row(&batch, row);
                    watched.extend(is_watched_call(&batch, row).then_some(rows..rows + 1));
                    rows += 1;
                }
            }
            if !watched.is_empty() {
                let selection = RowSelection::from_consecutive_ranges(watched.into_iter(), rows);
                self.watched(segment, group, selection)?;
            }
        }
        Ok(())
    }

    /// Looks for model calls that were told of more than once.
    fn watched(
        &mut self,
        segment: &Segment,
        group: usize,
        selection: RowSelection,
    ) -> Result<(), Breach> {
        let columns = [decode::SESSION_KEY, decode::OFFSET, decode::ENVELOPE];
        for batch in segment.group(group, Some(&columns), Some(selection))? {
            let batch = batch?;
            let batch = Batch::new(&batch);
            for row in 0..batch.rows {
                let session = row::position(&batch, row).map(|(session, _)| session);
                let sum = session.and_then(|session| self.sessions.get_mut(&session));
                let envelope = batch.bytes(decode::ENVELOPE, row).and_then(Envelope::from_bytes);
                if let Some((sum, envelope)) = sum.zip(envelope) {
                    sum.doubles.take(&envelope);
                }
            }
        }
        Ok(())
    }

    fn row(&mut self, batch: &Batch<'_>, row: usize) {
        let Some((session, _)) = row::position(batch, row) else { return };
        if session == SessionKey::NONE {
            return;
        }
        let sum = match self.sessions.entry(session) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let key = batch.bytes(decode::KEY, row).map(KafkaKey::parse);
                let Some(Ok(key)) = key else { return };
                entry.insert(Sum::new(key, self.agent.is_none(), self.tool.is_none()))
            }
        };
        sum.row(batch, row, self.agent.as_deref(), self.tool.as_deref());
    }

    fn finish(self, filter: &Filter) -> Vec<SessionSummary> {
        let fits = |sum: &Sum| {
            let (first, last) = sum.times.unwrap_or_default();
            sum.agent_fits
                && sum.tool_fits
                && filter.since.is_none_or(|since| last >= since.0)
                && filter.until.is_none_or(|until| first < until.0)
                && filter.tenant.as_deref().is_none_or(|tenant| sum.key.tenant.as_str() == tenant)
        };
        let listed = self.sessions.into_values().filter(fits).map(Sum::finish);
        let status = filter.status.as_deref();
        listed.filter(|summary| status.is_none_or(|status| summary.status == status)).collect()
    }
}

/// Whether it is a model call as one of those tells of it that only watch: whole, or its end.
fn is_watched_call(batch: &Batch<'_>, row: usize) -> bool {
    let text = |column| batch.text(column, row);
    text(decode::KIND) == Some("llm.call")
        && text(decode::PHASE) != Some("start")
        && text(decode::CAPTURE_SOURCE).is_some_and(only_watches)
}

impl Sum {
    fn new(key: KafkaKey, agent_fits: bool, tool_fits: bool) -> Self {
        let (agent, times, events, raw, calls, input_tokens, output_tokens, cost_nanos) =
            Default::default();
        let (worst, end, numbers, gaps) = Default::default();
        Self {
            key,
            agent,
            times,
            events,
            raw,
            gaps,
            watched: true,
            calls,
            doubles: Doubles::default(),
            input_tokens,
            output_tokens,
            cost_nanos,
            worst,
            end,
            numbers,
            agent_fits,
            tool_fits,
        }
    }

    fn row(&mut self, batch: &Batch<'_>, row: usize, agent: Option<&str>, tool: Option<&str>) {
        if batch.text(decode::RAW_REASON, row).is_some() {
            self.raw += 1;
            return;
        }
        self.events += 1;
        let text = |column| batch.text(column, row);
        self.watched &= text(decode::CAPTURE_SOURCE).is_some_and(only_watches);
        let (name, id) = (text(decode::AGENT_NAME), text(decode::AGENT_ID));
        self.agent_fits |= agent.is_some() && (name == agent || id == agent);
        self.tool_fits |= tool.is_some() && text(decode::TOOL_NAME) == tool;
        if self.agent.is_none() {
            self.agent = name.or(id).map(str::to_owned);
        }
        if let Some(time) = batch.long(decode::OCCURRED_AT, row) {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first.min(time), last.max(time)));
        }
        let sum = |to: &mut u64, column| {
            *to = to.saturating_add(batch.count(column, row).unwrap_or(0));
        };
        sum(&mut self.input_tokens, decode::INPUT_TOKENS);
        sum(&mut self.output_tokens, decode::OUTPUT_TOKENS);
        sum(&mut self.cost_nanos, decode::COST);
        let status = text(decode::STATUS).unwrap_or("unset");
        self.worst = self.worst.max(rank(status));
        if let Some(number) = batch.count(decode::SESSION_SEQ, row) {
            self.numbers.add(number);
        }
        let [models, tools] = &mut self.calls;
        match text(decode::KIND) {
            Some("producer.gap") => self.gaps += 1,
            Some("session.end") => self.end = Some(status.to_owned()),
            Some("llm.call") => models.add(text(decode::PHASE)),
            Some("tool.call") => tools.add(text(decode::PHASE)),
            _ => {}
        }
    }

    fn finish(self) -> SessionSummary {
        let time = |micros: i64| Micros(micros).to_string();
        let ended = self.end.is_some();
        let surplus = self.doubles.surplus;
        let models = self.calls.first().map_or(0, Calls::count);
        let status = self.end.filter(|status| status != "unset");
        SessionSummary {
            session_id: self.key.session.to_string(),
            tenant: self.key.tenant.to_string(),
            agent: self.agent,
            first: self.times.map(|(first, _)| time(first)),
            last: self.times.map(|(_, last)| time(last)),
            events: self.events,
            model_calls: models.saturating_sub(surplus.calls),
            tool_calls: self.calls.last().map_or(0, Calls::count),
            input_tokens: self.input_tokens.saturating_sub(surplus.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(surplus.output_tokens),
            cost_nanos: self.cost_nanos.saturating_sub(surplus.cost_nanos),
            status: status.unwrap_or_else(|| status_of_rank(self.worst).to_owned()),
            ended,
            watched: self.watched && self.events > 0,
            holes: self.numbers.missing().saturating_add(self.raw).saturating_add(self.gaps),
            newest: self.times.map_or(i64::MIN, |(_, last)| last),
        }
    }
}

impl Calls {
    fn add(&mut self, phase: Option<&str>) {
        match phase {
            Some("start") => self.starts += 1,
            Some("end") => self.ends += 1,
            _ => self.whole += 1,
        }
    }

    fn count(&self) -> u64 {
        self.whole + self.starts.max(self.ends)
    }
}
