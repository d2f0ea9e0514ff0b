//! SHELL. Recorded HTTP exchanges out of a store: each body as a file of its own, and an index with a line for each exchange.
//!
//! Files are named by the exchange's number in the index, never by what an agent or a server wrote.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::exchange::{Exchange, Half, Whole};
use crate::export::{ExportOptions, each};
use crate::fetch::Store;
use crate::session::Session;
use crate::trace::Step;
use crate::tree::{Told, steps};

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportedExchanges {
    /// Sessions that were looked at.
    pub sessions: u64,
    /// Exchanges: lines of the index.
    pub exchanges: u64,
    /// Bodies that were put together and are what went over the wire.
    pub bodies: u64,
    /// Bodies that could not be put together.
    pub missing: u64,
}

/// Writes the exchanges of sessions: lines to `index`, and each body by its name to `file`.
///
/// # Errors
/// As [`crate::export`].
pub async fn export_exchanges(
    store: &Store,
    options: ExportOptions,
    index: &mut impl Write,
    mut file: impl FnMut(&str, &[u8]) -> io::Result<()>,
) -> Result<ExportedExchanges, Error> {
    let mut exported = ExportedExchanges::default();
    let sessions = each(store, &options, |session| {
        for step in steps(&Told { session, other: None, traces: None }) {
            let Some(exchange) = Exchange::of(&step) else { continue };
            exported.exchanges += 1;
            let mut line = line(session, &step);
            line.insert("exchange".to_owned(), exported.exchanges.into());
            for (name, half) in [("request", &exchange.request), ("response", &exchange.response)] {
                let written = match half {
                    Some(half) => {
                        let name = format!("{:08}-{name}", exported.exchanges);
                        put(half, &name, &mut exported, &mut file)?
                    }
                    None => Value::Null,
                };
                line.insert(name.to_owned(), written);
            }
            serde_json::to_writer(&mut *index, &line).map_err(io::Error::from)?;
            index.write_all(b"\n")?;
        }
        Ok(())
    });
    let sessions = sessions.await?;
    Ok(ExportedExchanges { sessions, ..exported })
}

fn line(session: &Session, step: &Step) -> Map<String, Value> {
    let (began, last) = (step.event.envelope(), step.last().envelope());
    let at = step.end.as_ref().map_or(step.at, |(at, _)| *at);
    let line = json!({
        "tenant": session.key.tenant.as_str(),
        "session_id": session.key.session.as_str(),
        "epoch": at.epoch,
        "offset": at.offset,
        "event_id": last.event_id.to_string(),
        "event_digest": step.last().digest.to_string(),
        "kind": began.kind,
        "occurred_at": began.occurred_at.to_string(),
        "status": last.status,
        "ended": step.end.is_some() || began.phase != "start",
    });
    line.as_object().cloned().unwrap_or_default()
}

/// Writes the body of one direction; returns what the index says of it.
fn put(
    half: &Half,
    name: &str,
    exported: &mut ExportedExchanges,
    file: &mut impl FnMut(&str, &[u8]) -> io::Result<()>,
) -> io::Result<Value> {
    let mut said = half.head.clone();
    let body = match &half.body {
        None => Value::Null,
        Some(Whole { size, sha256, encoding, bytes }) => {
            let mut body = json!({
                "size": size,
                "sha256": sha256,
                "redacted": sha256.is_none(),
                "encoding": encoding,
            });
            let (key, value) = match bytes {
                Ok(bytes) => {
                    file(name, bytes)?;
                    exported.bodies += 1;
                    ("file", name)
                }
                Err(why) => {
                    exported.missing += 1;
                    ("missing", *why)
                }
            };
            body.as_object_mut()
                .into_iter()
                .for_each(|body| drop(body.insert(key.to_owned(), value.into())));
            body
        }
    };
    said.insert("body".to_owned(), body);
    Ok(Value::Object(said))
}
