//! An object store in memory that breaks on demand: every operation waits at a gate until the simulator opens it and says what
//! becomes of it.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What waits at a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Put(String, Bytes, PutMode),
    Get(String),
    List(String),
    /// Nothing of the store: whoever asks only waits for its turn.
    Turn,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is done, and answered.
    Done,
    /// It is not done, and answered with an error: the request was lost, or refused with a 5xx.
    Lost,
    /// It is done, and answered with an error: only the answer was lost.
    Unsaid,
    /// It is answered with an error, and done later or never.
    Late,
    /// It is not done, and answered as if the key were taken: a 409.
    Conflict,
    /// A listing that lacks so many of the newest keys.
    Stale(usize),
}

/// A store that is wrong, to show that the audit notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Broken {
    #[default]
    No,
    /// It ignores the condition of a PUT.
    Overwrites,
    /// It calls a PUT to a taken key a success: what a sealer does that takes "exists" for "mine".
    SaysCreated,
}

/// The gates, and the store behind them; clones are the same ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Gates(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    objects: Arc<InMemory>,
    broken: Broken,
    count: u64,
    waiting: BTreeMap<u64, Waiting>,
    /// PUTs whose senders gave up or died, and that have not arrived.
    late: Vec<(String, Bytes, PutMode)>,
    /// Everything that was ever created, in order.
    created: Vec<(String, Bytes)>,
}

#[derive(Debug)]
struct Waiting {
    who: usize,
    asked: Asked,
    fate: Option<Fate>,
}

impl Gates {
    pub(super) fn new(broken: Broken) -> Self {
        let gates = Self::default();
        gates.with(|state| state.broken = broken);
        gates
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The gates that are shut: which, whose, and what waits there.
    pub(super) fn shut(&self) -> Vec<(u64, usize, Asked)> {
        self.with(|state| {
            state.waiting.iter().map(|(id, one)| (*id, one.who, one.asked.clone())).collect()
        })
    }

    pub(super) fn open(&self, id: u64, fate: Fate) {
        self.with(|state| state.waiting.get_mut(&id).unwrap().fate = Some(fate));
    }

    pub(super) fn late(&self) -> usize {
        self.with(|state| state.late.len())
    }

    /// A late PUT arrives, or never will.
    pub(super) fn settle(&self, index: usize, arrives: bool) -> String {
        let (key, bytes, mode) = self.with(|state| state.late.swap_remove(index));
        if arrives {
            let _answered_to_nobody = self.put(&key, bytes, mode);
        }
        key
    }

    /// What was created after the first `count` objects.
    pub(super) fn created_after(&self, count: usize) -> Vec<(String, Bytes)> {
        self.with(|state| state.created.get(count..).unwrap_or_default().to_vec())
    }

    /// Creates an object, unless its key is taken.
    pub(super) fn create(&self, key: &str, bytes: Bytes) -> Result<PutResult> {
        self.put(key, bytes, PutMode::Create)
    }

    fn put(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<PutResult> {
        self.with(|state| {
            let mode = match state.broken {
                Broken::Overwrites => PutMode::Overwrite,
                _ => mode,
            };
            let payload = PutPayload::from(bytes.clone());
            let path = Path::from(key);
            let put = state.objects.put_opts(&path, payload, mode.into()).now_or_never().unwrap();
            if put.is_ok() {
                state.created.push((key.to_owned(), bytes));
            } else if state.broken == Broken::SaysCreated {
                return Ok(PutResult { e_tag: None, version: None });
            }
            put
        })
    }

    /// Waits for a turn.
    pub(super) fn turn(&self, who: usize) -> Ticket {
        self.ask(who, Asked::Turn)
    }

    fn ask(&self, who: usize, asked: Asked) -> Ticket {
        let id = self.with(|state| {
            state.count += 1;
            state.waiting.insert(state.count, Waiting { who, asked, fate: None });
            state.count
        });
        Ticket { gates: self.clone(), id }
    }
}

/// A place before a gate. Whoever drops a PUT's before it is opened has sent it all the same.
pub(super) struct Ticket {
    gates: Gates,
    id: u64,
}

impl Future for Ticket {
    type Output = Fate;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Fate> {
        self.gates.with(|state| match state.waiting.get(&self.id).unwrap().fate {
            Some(fate) => Poll::Ready(fate),
            None => Poll::Pending,
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gates.with(|state| {
            if let Some(Waiting { asked: Asked::Put(key, bytes, mode), fate: None, .. }) =
                state.waiting.remove(&self.id)
            {
                state.late.push((key, bytes, mode));
            }
        });
    }
}

/// The store as one of its users sees it.
#[derive(Clone, Debug)]
pub(super) struct Faulty {
    pub(super) gates: Gates,
    pub(super) who: usize,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a faulty store")
    }
}

fn failed() -> Error {
    Error::Generic { store: "faulty", source: "no answer".into() }
}

impl Faulty {
    async fn put(&self, key: String, bytes: Bytes, mode: PutMode) -> Result<PutResult> {
        let asked = Asked::Put(key.clone(), bytes.clone(), mode.clone());
        match self.gates.ask(self.who, asked).await {
            Fate::Done | Fate::Stale(_) => self.gates.put(&key, bytes, mode),
            Fate::Lost => Err(failed()),
            Fate::Unsaid => self.gates.put(&key, bytes, mode).and(Err(failed())),
            Fate::Late => {
                self.gates.with(|state| state.late.push((key, bytes, mode)));
                Err(failed())
            }
            Fate::Conflict => Err(Error::AlreadyExists { path: key, source: "409".into() }),
        }
    }

    async fn read(&self, key: Path, options: GetOptions) -> Result<GetResult> {
        match self.gates.ask(self.who, Asked::Get(key.to_string())).await {
            Fate::Done | Fate::Stale(_) => {
                let objects = self.gates.with(|state| Arc::clone(&state.objects));
                objects.get_opts(&key, options).now_or_never().unwrap()
            }
            _ => Err(failed()),
        }
    }

    async fn names(self, prefix: Option<Path>) -> Result<BoxStream<'static, Result<ObjectMeta>>> {
        let folder = prefix.as_ref().map(ToString::to_string).unwrap_or_default();
        let missed = match self.gates.ask(self.who, Asked::List(folder)).await {
            Fate::Done => 0,
            Fate::Stale(missed) => missed,
            _ => return Err(failed()),
        };
        let (objects, newest) = self.gates.with(|state| {
            let newest = state.created.iter().rev().take(missed).map(|(key, _)| key.clone());
            (Arc::clone(&state.objects), newest.collect::<Vec<_>>())
        });
        let listed: Vec<_> = objects.list(prefix.as_ref()).collect().now_or_never().unwrap();
        let seen = listed.into_iter().filter(move |one| {
            one.as_ref().is_ok_and(|one| !newest.contains(&one.location.to_string()))
        });
        Ok(stream::iter(seen).boxed())
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Written as the trait's macro writes it. What the sealer never asks for is answered with an error.
impl ObjectStore for Faulty {
    fn put_opts<'s, 'l, 'a>(
        &'s self,
        key: &'l Path,
        bytes: PutPayload,
        options: PutOptions,
    ) -> Answer<'a, PutResult>
    where
        's: 'a,
        'l: 'a,
        Self: 'a,
    {
        Box::pin(self.put(key.to_string(), bytes.into(), options.mode))
    }

    fn put_multipart_opts<'s, 'l, 'a>(
        &'s self,
        _: &'l Path,
        _: PutMultipartOptions,
    ) -> Answer<'a, Box<dyn MultipartUpload>>
    where
        's: 'a,
        'l: 'a,
        Self: 'a,
    {
        Box::pin(async { Err(failed()) })
    }

    fn get_opts<'s, 'l, 'a>(&'s self, key: &'l Path, options: GetOptions) -> Answer<'a, GetResult>
    where
        's: 'a,
        'l: 'a,
        Self: 'a,
    {
        Box::pin(self.read(key.clone(), options))
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        stream::once(async { Err(failed()) }).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::once(self.clone().names(prefix.cloned())).try_flatten().boxed()
    }

    fn list_with_delimiter<'s, 'l, 'a>(&'s self, _: Option<&'l Path>) -> Answer<'a, ListResult>
    where
        's: 'a,
        'l: 'a,
        Self: 'a,
    {
        Box::pin(async { Err(failed()) })
    }

    fn copy_opts<'s, 'f, 't, 'a>(
        &'s self,
        _: &'f Path,
        _: &'t Path,
        _: CopyOptions,
    ) -> Answer<'a, ()>
    where
        's: 'a,
        'f: 'a,
        't: 'a,
        Self: 'a,
    {
        Box::pin(async { Err(failed()) })
    }
}
