//! SHELL. An evidence bundle out of a store: finds the rows, their links in the log and what stands over it, and puts them
//! together. What is made is checked as a stranger would check it before it is given away.

mod anchor;
mod disclose;
mod find;
mod log;
mod owner;
mod rows;
mod run;

use std::ops::Range;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use schemas::tlog::Entry;
use schemas::{
    Claim, Claimed, Digest, EnrolledRecord, KafkaKey, Monitor, Partition, Rows, Seconds,
    ShownContent, ShownRow, Tenant, Topic,
};

use crate::bundle::{self, Bundle, Link, Statement, Trust, summary::writer};
use crate::decode::Segment;
use crate::error::Error;
use crate::fetch::{SEGMENT_BYTES_MAX, Store};
use crate::select;

use self::anchor::Anchored;
use self::disclose::Bodies;
use self::find::Owner;
use self::log::{Chain, Enrolled, Log, Paths};

pub use disclose::Disclose;
pub use find::Sought;

/// Segments read at once.
const JOBS: usize = 4;

/// What is to be proven. Times are milliseconds, as messages have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// That an event was sealed.
    Event {
        /// What is known of it.
        sought: Sought,
        /// Its session, where that is known.
        session: Option<String>,
    },
    /// All that was sealed of a session.
    Session {
        /// Its id.
        id: String,
        /// The segments with messages of these times, and those between them; all where it is none.
        times: Option<Range<i64>>,
    },
    /// That nothing was sealed of a session in a time.
    Absent {
        /// Its id.
        id: String,
        /// The time.
        times: Range<i64>,
    },
}

/// How a bundle is made.
#[derive(Clone, Debug)]
pub struct ProveOptions {
    /// Whose session it is; needed where several have one of the id, or none has.
    pub tenant: Option<Tenant>,
    /// The topic; needed where sessions of several could be meant.
    pub topic: Option<Topic>,
    /// Likewise the partition.
    pub partition: Option<Partition>,
    /// Which bodies go in.
    pub disclose: Vec<Disclose>,
    /// What the maker says of its own last run of `verify`.
    pub monitor: Option<Monitor>,
    /// The time.
    pub now: Seconds,
}

/// A bundle.
#[derive(Clone, Debug)]
pub struct Proven {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it states, nobody's key having been asked.
    pub statement: Statement,
    /// What its maker should know: bodies that were asked for and are not in it.
    pub notes: Vec<String>,
}

/// Makes a bundle.
///
/// # Errors
/// What is not there or not enrolled, cannot be read, or cannot be proven.
pub async fn prove(
    store: &Store,
    question: &Question,
    options: &ProveOptions,
) -> Result<Proven, Error> {
    let log = Log::read(store).await?;
    let maker = Maker { store, log: &log, options };
    match question {
        Question::Event { sought, session } => maker.event(*sought, session.clone()).await,
        Question::Session { id, times } => maker.session(id, times.as_ref()).await,
        Question::Absent { id, times } => maker.absent(id, times).await,
    }
}

struct Maker<'a> {
    store: &'a Store,
    log: &'a Log,
    options: &'a ProveOptions,
}

/// What goes into a bundle, and where it comes from.
struct Run<'a> {
    what: Claimed,
    key: KafkaKey,
    chain: &'a Chain,
    links: Range<usize>,
    rows: Vec<Option<Rows>>,
}

impl<'a> Maker<'a> {
    async fn event(&self, sought: Sought, session: Option<String>) -> Result<Proven, Error> {
        let owner = Owner { tenant: self.options.tenant.clone(), session };
        let (chain, at, key, offset) = self.find(sought, &owner).await?;
        let links = at..at + 1;
        let record = record(chain, at).ok_or_else(|| unprovable("the link is no record"))?;
        let segment = segment(self.store, record).await?;
        let rows = {
            let (record, key) = (record.clone(), key.clone());
            let read = move || rows::of_event(&segment, &record, &key, offset);
            tokio::task::spawn_blocking(read).await?
        };
        let damaged = |why| Error::Damaged { key: record.key.clone(), why };
        let rows = rows.map_err(|breach| damaged(breach.why))?;
        let digest = rows.own().find_map(|row| match &row.content {
            ShownContent::Event(event) => Some(event.digest()),
            ShownContent::Raw(..) => None,
        });
        let digest = digest.ok_or_else(|| unprovable("the message is no event"))?;
        let what = Claimed::Event(digest);
        self.make(Run { what, key, chain, links, rows: vec![Some(rows)] }).await
    }

    async fn session(&self, id: &str, times: Option<&Range<i64>>) -> Result<Proven, Error> {
        let key = self.owner(id).await?;
        let chain = self.chain_with(&key).await?;
        let none = || unprovable("no record has messages of that time");
        let (from, held) = held(chain, &key);
        let links = match times {
            None => 0..held.len(),
            Some(times) => run::overlapping(held, times).ok_or_else(none)?,
        };
        let links = from + links.start..from + links.end;
        self.nothing_waits(&key, chain, times, true).await?;
        let rows = self.rows(&key, chain, links.clone()).await?;
        if rows.iter().flatten().all(|rows| rows.own().next().is_none()) {
            return Err(Error::NoSession { session: id.to_owned() });
        }
        self.make(Run { what: Claimed::Session, key, chain, links, rows }).await
    }

    async fn absent(&self, id: &str, times: &Range<i64>) -> Result<Proven, Error> {
        let key = self.owner(id).await?;
        let chain = self.only_chain(&key)?;
        self.nothing_waits(&key, chain, Some(times), false).await?;
        let (from, held) = held(chain, &key);
        let links = run::enclosing(held, times);
        if from > 0 && links.start == 0 {
            return Err(unprovable("the session may have been in another partition then"));
        }
        let links = from + links.start..from + links.end;
        let rows = self.rows(&key, chain, links.clone()).await?;
        let within = |row: &&ShownRow| {
            row.timestamp.kind.code() == 0 || times.contains(&row.timestamp.millis)
        };
        let found = rows.iter().flatten().flat_map(Rows::own).find(within).map(|row| row.offset);
        if let Some(offset) = found {
            return Err(unprovable(&format!(
                "the session has a message of that time at offset {offset}"
            )));
        }
        self.make(Run { what: Claimed::Absent(times.clone()), key, chain, links, rows }).await
    }

    /// What each link of a run shows of a session.
    async fn rows(
        &self,
        key: &KafkaKey,
        chain: &Chain,
        links: Range<usize>,
    ) -> Result<Vec<Option<Rows>>, Error> {
        let run = chain.links.get(links).unwrap_or_default();
        let shown = stream::iter(run).map(|link| async move {
            let Entry::Record(record) = &link.entry else { return Ok(None) };
            let segment = segment(self.store, record).await?;
            let (of, key) = (record.clone(), key.clone());
            let rows = tokio::task::spawn_blocking(move || rows::of_session(&segment, &of, &key));
            let damaged = |why| Error::Damaged { key: record.key.clone(), why };
            rows.await?.map(Some).map_err(|breach| damaged(breach.why))
        });
        shown.buffered(JOBS).try_collect().await
    }

    async fn make(&self, run: Run<'a>) -> Result<Proven, Error> {
        let links = run.chain.links.get(run.links.clone()).unwrap_or_default();
        let to_the_end = run.links.end == run.chain.links.len();
        let heartbeat = run.chain.last_heartbeat().filter(|_| to_the_end);
        let heartbeat = heartbeat.filter(|_| !matches!(run.what, Claimed::Event(_)));
        let last = links.last().map(|link| link.index);
        let last = heartbeat.as_ref().map(|(index, _)| *index).max(last).unwrap_or(0);
        let newest = &self.log.checkpoint;
        let anchored = anchor::choose(self.store, newest, last.saturating_add(1)).await?;
        let mut bundle = self.without_links(&run, links, anchored)?;
        let mut paths = Paths::new(self.store, cosigned(&bundle));
        for (link, rows) in links.iter().zip(&run.rows) {
            let proof = paths.proof(link.index, &link.entry.leaf_hash()).await?;
            bundle.links.push(Link { entry: link.entry.clone(), proof, rows: rows.clone() });
        }
        if let Some((index, beat)) = heartbeat {
            let proof = paths.proof(index, &schemas::leaf_hash(&beat.to_string())).await?;
            bundle.heartbeat = Some(((*beat).clone(), proof));
        }
        let notes = self.disclose(&run, &mut bundle).await?;
        let finished = tokio::task::spawn_blocking(move || finish(bundle)).await?;
        let (bytes, statement) = finished?;
        Ok(Proven { bytes, statement, notes })
    }

    fn without_links(
        &self,
        run: &Run<'_>,
        links: &[Enrolled],
        anchored: Anchored,
    ) -> Result<Bundle, Error> {
        let place = links.first().and_then(|link| link.entry.partition());
        let (topic, partition) = place.ok_or_else(|| unprovable("there is no link"))?;
        let Anchored { checkpoint, cosignatures, timestamps } = anchored;
        let claim = Claim {
            what: run.what.clone(),
            origin: checkpoint.checkpoint.origin.clone(),
            size: checkpoint.checkpoint.size,
            topic: topic.clone(),
            partition,
            key: run.key.clone(),
            links: 0,
            disclosed: 0,
            withheld: 0,
            monitor: self.options.monitor,
            made_at: self.options.now,
            writer: writer(),
        };
        let (parts, heartbeat, bodies, schemas, manual, page) = Default::default();
        Ok(Bundle {
            claim,
            checkpoint,
            cosignatures,
            timestamps,
            links: parts,
            heartbeat,
            bodies,
            schemas,
            manual,
            page,
        })
    }

    /// Looks for the bodies that are disclosed, from the last link that is shown back: an earlier event may have carried
    /// what a shown one names.
    async fn disclose(&self, run: &Run<'_>, bundle: &mut Bundle) -> Result<Vec<String>, Error> {
        let (wanted, mut notes) = disclose::wanted(bundle, &self.options.disclose);
        let mut bodies = Bodies::new(self.store, &run.key, wanted);
        let session = [run.key.session_key()];
        for at in (0..run.links.end).rev() {
            if bodies.is_done() {
                break;
            }
            let shown = at.checked_sub(run.links.start).and_then(|at| run.rows.get(at));
            let empty = |rows: &Rows| rows.own().next().is_none();
            let without = shown.is_some_and(|rows| rows.as_ref().is_none_or(empty));
            let Some(record) = record(run.chain, at).filter(|_| !without) else { continue };
            let segment = segment(self.store, record).await?;
            let rows = tokio::task::spawn_blocking(move || select::rows(&segment, &session));
            let damaged = |why| Error::Damaged { key: record.key.clone(), why };
            bodies.take(rows.await?.map_err(|breach| damaged(breach.why))?).await?;
        }
        let (found, lacking) = bodies.finish();
        bundle.bodies = found;
        notes.extend(lacking);
        Ok(notes)
    }
}

/// The checkpoint as proofs carry it.
fn cosigned(bundle: &Bundle) -> schemas::tlog::SignedCheckpoint {
    let mut checkpoint = bundle.checkpoint.clone();
    checkpoint.note = bundle.note();
    checkpoint
}

fn finish(mut bundle: Bundle) -> Result<(Vec<u8>, Statement), Error> {
    bundle.complete();
    let bytes =
        bundle.write().map_err(|why| unprovable(&format!("the bundle: {why}; narrow it")))?;
    let checked = bundle::check(&bytes, &Trust::default());
    let statement = checked.map_err(|faults| {
        let why = faults.first().map(ToString::to_string).unwrap_or_default();
        Error::Damaged { key: "what the bundle was made of".to_owned(), why }
    })?;
    Ok((bytes, statement))
}

/// The links of a chain since the topic has as many partitions as now, if their number has ever changed.
fn held<'a>(chain: &'a Chain, key: &KafkaKey) -> (usize, &'a [Enrolled]) {
    let from = run::holding(&chain.links, &key.to_bytes());
    (from, chain.links.get(from..).unwrap_or_default())
}

fn unprovable(why: &str) -> Error {
    Error::Unprovable { why: why.to_owned() }
}

fn record(chain: &Chain, at: usize) -> Option<&EnrolledRecord> {
    match &chain.links.get(at)?.entry {
        Entry::Record(record) => Some(record),
        _ => None,
    }
}

/// The segment of a record, its bytes as they were enrolled.
async fn segment(store: &Store, record: &EnrolledRecord) -> Result<Arc<Segment>, Error> {
    let key = record.key.as_str();
    let is_it = |bytes: &bytes::Bytes| Digest::of(bytes) == record.sha256;
    let pinned = store.pin_or_recover(None, key, SEGMENT_BYTES_MAX, is_it).await?;
    let gone = || unprovable(&format!("{key} is gone, and with it what it held"));
    let (bytes, sha256) = (pinned.bytes.ok_or_else(gone)?, record.sha256);
    let opened = tokio::task::spawn_blocking(move || {
        let same = Digest::of(&bytes) == sha256;
        same.then(|| Segment::open(bytes)).ok_or("its bytes are not those enrolled")
    });
    let damaged = |why: String| Error::Damaged { key: key.to_owned(), why };
    let opened = opened.await?.map_err(|why| damaged(why.to_owned()))?;
    opened.map(Arc::new).map_err(|breach| damaged(breach.why))
}
