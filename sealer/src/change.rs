//! What an operator does to give a log its next key: an entry that both keys sign.

use schemas::tlog::{Entry, KeyChange, LogSigner};
use schemas::{Seconds, Topic};
use store::{Retention, Store};

use crate::enrol::Desk;
use crate::error::Error;
use crate::lane::Keeping;

/// How often another's commit may come first.
const TRIES_MAX: usize = 16;

/// Enrols the change from the log's key to its next one, and returns the log's size with it. From there on only `new` signs:
/// sealers must have been given both keys before. Where `new` is in force already, nothing is written.
///
/// # Errors
/// The keys have two names, `old` is not in force, or the store failed.
pub async fn change_key(
    store: Store,
    class: &str,
    retention: Option<Retention>,
    (old, new): (LogSigner, LogSigner),
    now: Seconds,
) -> Result<u64, Error> {
    if old.verifier().name() != new.verifier().name() {
        return Err(Error::Config("the two keys have two names; a log has one".to_owned()));
    }
    let change = Entry::KeyChange(Box::new(KeyChange::new(&old, &new, now)));
    let target = new.verifier();
    let desk = Desk {
        store,
        // Only of links, which a change of keys is not.
        topic: Topic::new("-").map_err(|error| Error::Config(error.to_string()))?,
        keeping: Keeping { class: class.to_owned(), retention },
        signers: vec![old, new],
    };
    for _ in 0..TRIES_MAX {
        let mut log = desk.load(0).await?;
        desk.follow(&mut log).await?;
        if *log.key() == target {
            return Ok(log.size());
        }
        let commit = log.plan(vec![change.clone()]);
        if desk.commit(&mut log, commit, now).await? > 0 {
            return Ok(log.size());
        }
    }
    Err(Error::Unsettled { what: "others append to the log all the time".to_owned() })
}
