//! Sealed segments in; verified traces, sessions and exports out.
//!
//! Reads what a sealer wrote and trusts nothing of it: bytes are hashed before they are parsed, parsed within budgets, and every
//! row is rebuilt and read again. Knows nothing of how segments are written; it meets the writer in `docs/format.md` alone.

mod audit;
mod bundle;
mod chain;
mod chat;
mod claim;
mod claimed;
mod command;
mod context;
mod conversation;
mod decode;
mod diff;
mod due;
pub mod emit;
mod error;
mod exchange;
mod exchanges;
mod export;
mod fetch;
mod finding;
mod hold;
mod holes;
mod joined;
mod load;
mod lock;
mod log;
mod message;
mod page;
mod profile;
mod prove;
mod report;
mod row;
mod segment;
mod select;
mod session;
mod sessions;
mod sources;
mod statistics;
mod storage;
mod totals;
mod trace;
mod tree;
mod unchecked;
mod version;
mod walk;

pub use audit::{Progress, VerifyOptions, verify};
pub use bundle::{
    FAULTS_MAX, Fault, Place, Stamp, Stamped, Stamping, Statement, Trust, Vouched,
    check as check_bundle,
};
pub use command::{read, trace, trace_joined, trace_of_id};
pub use context::{CONTEXT_ENTRIES_MAX, CONTEXT_WORK_MAX};
pub use diff::{FIELDS_MAX, FieldChange};
pub use error::{Error, ErrorKind};
pub use exchange::EXCHANGE_BYTES_MAX;
pub use exchanges::{ExportedExchanges, export_exchanges};
pub use export::{ExportForm, ExportOptions, Exported, export};
pub use fetch::{SEGMENT_BYTES_MAX, Store, TEXT_BYTES_MAX};
pub use finding::{FINDINGS_MAX, Finding, Kind};
pub use hold::{Hold, Object, ObjectKind, hold};
pub use joined::{OTHERS_MAX, OTHERS_ROWS_MAX, TRACES_MAX};
pub use load::SESSION_BYTES_MAX;
pub use log::{LogOptions, LogReport, LogTrust, Newest, Sample, Sign, Since};
pub use message::{Message, ToolRequest};
pub use page::{PAGES_MAX, UNCOMPRESSED_BYTES_MAX};
pub use prove::{Disclose, ProveOptions, Proven, Question, Sought, prove};
pub use report::{Abandoned, Loss, Report, SignatureCounts, StorageCounts};
pub use session::{
    Body, Content, Entry, Position, Repeat, SESSION_ENTRIES_MAX, Session, SessionEvent, What,
};
pub use sessions::{Filter, SessionSummary, sessions};
pub use sources::{BadSource, Source, Sources};
pub use totals::Totals;
pub use trace::{Change, Hole, Outcome, Request, Sighting, Step, Trace, Turn};
