//! The commands that read sessions: `sessions`, `trace`, `export`.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use replay::emit::terminal::TerminalOptions;
use replay::emit::{json, terminal};
use replay::{ErrorKind, ExportForm, ExportOptions, Filter, SessionSummary, Store};
use schemas::Tenant;

use crate::cli;
use crate::exit::{Exit, OrExit};
use crate::output::{Stdout, notice, printable, stdout};

/// Partitions read at once.
const JOBS: usize = 4;
/// Columns of a trace where the terminal does not say how many it has.
const WIDTH: usize = 80;

/// Lists sessions.
pub(crate) async fn sessions(args: cli::Sessions) -> anyhow::Result<Exit> {
    let store = open(&args.store.store)?;
    let cli::Sessions { since, until, agent, tool, status, limit, .. } = args;
    let tenant = args.store.tenant;
    let filter = Filter { since, until, tenant, agent, tool, status, limit, jobs: JOBS };
    let sessions = replay::sessions(&store, &filter).await.map_err(failure)?;
    stdout(|out| {
        if !args.store.json.json && !sessions.is_empty() {
            writeln!(out, "{HEAD}")?;
        }
        sessions.iter().try_for_each(|session| {
            if args.store.json.json {
                serde_json::to_writer(&mut *out, session)?;
                writeln!(out)
            } else {
                line(out, session)
            }
        })
    })?;
    Ok(Exit::Good)
}

const HEAD: &str = "last event, UTC      status     events  model  tools  tokens in  tokens out       USD  session";

fn line(out: &mut dyn Write, session: &SessionSummary) -> io::Result<()> {
    let SessionSummary { events, model_calls, tool_calls, input_tokens, output_tokens, .. } =
        session;
    let last: String = session.last.iter().flat_map(|time| time.chars()).take(19).collect();
    let status = printable(&session.status);
    let (dollars, rest) = (session.cost_nanos / 1_000_000_000, session.cost_nanos % 1_000_000_000);
    let cost = format!("{dollars}.{:04}", rest / 100_000);
    write!(out, "{last:19}  {status:9} {events:7} {model_calls:6} {tool_calls:6} ")?;
    write!(out, "{input_tokens:10} {output_tokens:11} {cost:>9}  ")?;
    let agent = session.agent.as_deref().map(|agent| format!("  {}", printable(agent)));
    let open = if session.ended || session.watched { "" } else { "  (no end)" };
    let holes =
        if session.holes > 0 { format!("  {} HOLES", session.holes) } else { String::new() };
    let id = printable(&session.session_id);
    writeln!(out, "{id}{}{open}{holes}", agent.unwrap_or_default())
}

/// Shows what happened in a session, and why.
pub(crate) async fn trace(args: cli::Trace) -> anyhow::Result<Exit> {
    let store = open(&args.store.store)?;
    let tenant = tenant(&args.store)?;
    let tenant = tenant.as_ref();
    let trace = match (&args.session, args.trace_id, args.only) {
        (Some(session), _, true) => replay::trace(&store, tenant, session).await,
        (Some(session), _, false) => replay::trace_joined(&store, tenant, session).await,
        (None, Some(trace), _) => replay::trace_of_id(&store, tenant, trace).await,
        (None, None, _) => return Err(Exit::Usage.error("name a session, or a --trace-id")),
    };
    let trace = trace.map_err(failure)?;
    let color = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
    let width = env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).unwrap_or(WIDTH);
    let options = TerminalOptions { width, full: args.full, color };
    stdout(|mut out| {
        if args.store.json.json {
            json::trace(&trace, &mut out)
        } else {
            Ok(terminal::trace(&trace, &mut out, options)?)
        }
    })?;
    Ok(Exit::Good)
}

/// Writes sessions out. All forms are JSON already.
pub(crate) async fn export(args: cli::Export) -> anyhow::Result<Exit> {
    let store = open(&args.store.store)?;
    let tenant = tenant(&args.store)?;
    let options =
        |form| ExportOptions { sessions: args.session.clone(), tenant: tenant.clone(), form };
    let options = match (args.form, &args.output) {
        (cli::ExportForm::Jsonl, _) => options(ExportForm::Events),
        (cli::ExportForm::OpenaiChat, _) => options(ExportForm::OpenAiChat),
        (cli::ExportForm::Exchanges, Some(folder)) => {
            return exchanges(&store, options(ExportForm::Events), folder).await;
        }
        (cli::ExportForm::Exchanges, None) => {
            return Err(Exit::Usage.error("exchanges go into a folder: name one with --output"));
        }
    };
    let exported = match &args.output {
        None => {
            let mut out = BufWriter::new(Stdout::new());
            let exported = replay::export(&store, options, &mut out).await.map_err(failure)?;
            out.flush()?;
            exported
        }
        Some(path) => into_file(&store, options, path).await?,
    };
    if args.output.is_some() {
        let (sessions, lines) = (exported.sessions, exported.lines);
        notice(format_args!("{sessions} sessions in {lines} lines"));
    }
    Ok(Exit::Good)
}

/// Writes exchanges into a folder, where nothing is overwritten.
async fn exchanges(store: &Store, options: ExportOptions, folder: &Path) -> anyhow::Result<Exit> {
    let what = || format!("cannot write into {}", folder.display());
    fs::create_dir_all(folder).or_exit(Exit::Usage, what())?;
    let index = File::create_new(folder.join("index.jsonl")).or_exit(Exit::Usage, what())?;
    let mut index = BufWriter::new(index);
    let file = |name: &str, bytes: &[u8]| File::create_new(folder.join(name))?.write_all(bytes);
    let exported = replay::export_exchanges(store, options, &mut index, file).await;
    let exported = exported.map_err(failure)?;
    index.flush().or_exit(Exit::Infrastructure, what())?;
    let replay::ExportedExchanges { sessions, exchanges, bodies, missing } = exported;
    notice(format_args!("{exchanges} exchanges of {sessions} sessions, {bodies} bodies"));
    if missing == 0 {
        return Ok(Exit::Good);
    }
    notice(format_args!("{missing} bodies could not be put together: index.jsonl says why"));
    Ok(Exit::Incomplete)
}

async fn into_file(
    store: &Store,
    options: ExportOptions,
    path: &Path,
) -> anyhow::Result<replay::Exported> {
    let what = || format!("cannot write {}", path.display());
    let mut out = BufWriter::new(File::create(path).or_exit(Exit::Usage, what())?);
    let exported = replay::export(store, options, &mut out).await.map_err(failure)?;
    out.flush().or_exit(Exit::Infrastructure, what())?;
    Ok(exported)
}

/// The store that an argument names.
pub(crate) fn open(address: &str) -> anyhow::Result<Store> {
    Store::open(address).map_err(failure)
}

pub(crate) fn tenant(args: &cli::Store) -> anyhow::Result<Option<Tenant>> {
    let tenant = args.tenant.as_deref().map(Tenant::new).transpose();
    tenant.or_exit(Exit::Usage, "--tenant cannot be used")
}

/// What could not be read, and how that ends the command.
pub(crate) fn failure(error: replay::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::Transient => Exit::Infrastructure,
        ErrorKind::Refused => Exit::Usage,
        ErrorKind::Early => Exit::Incomplete,
        ErrorKind::Corrupt => Exit::Evidence,
    }
    .because(error, "cannot answer from this store")
}
