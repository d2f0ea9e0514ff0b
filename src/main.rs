//! `chancery`: the one binary; parses the command line and calls a crate.

mod allocator;
mod bundle;
mod cli;
mod demo;
mod doctor;
mod door;
mod exit;
mod framing;
mod hold;
mod import;
mod key;
mod log_key;
mod logging;
mod mcp;
mod metrics;
mod output;
mod prove;
mod read;
mod redact;
mod remembered;
mod sealing;
mod sections;
mod service;
mod settings;
mod signal;
mod sources;
mod up;
mod verify;
mod verify_metrics;
mod watch;

use std::process::ExitCode;

use anyhow::Context;

use cli::{Cli, ImportForm, Run};
use exit::Exit;

fn main() -> ExitCode {
    let cli = Cli::read();
    if matches!(cli.run, Run::Up(_) | Run::Ingest(_)) {
        allocator::keep();
    }
    logging::start(cli.log_json, level(&cli.run));
    let ended = tokio::runtime::Runtime::new().context("cannot start").and_then(|runtime| {
        let ended = runtime.block_on(run(cli.run));
        // A thread may still wait for standard input; nobody waits for it.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(exit) => exit.into(),
        Err(error) if output::is_closed(&error) => Exit::Good.into(),
        Err(error) => {
            output::notice(format_args!("error: {}", one_line(&error)));
            Exit::of(&error).into()
        }
    }
}

async fn run(run: Run) -> anyhow::Result<Exit> {
    match run {
        Run::Demo(args) => demo::run(args).await,
        Run::Up(args) => up::run(args).await,
        Run::Ingest(args) => service::ingest(args).await,
        Run::Sealer(args) => sealing::run(args).await,
        Run::Doctor(args) => doctor::run(args).await,
        Run::Import(args) => match args.form {
            ImportForm::OpenaiChat(args) => import::openai_chat(args).await,
        },
        Run::Keys(args) => service::keys(args),
        Run::Sources(args) => sources::run(args),
        Run::Sessions(args) => read::sessions(args).await,
        Run::Trace(args) => read::trace(args).await,
        Run::Verify(args) if args.is_bundle() => bundle::verify(&args),
        Run::Verify(args) => verify::run(args).await,
        Run::Prove(args) => prove::run(args).await,
        Run::Receipt(args) => prove::receipt(*args).await,
        Run::Key(args) => key::run(args).await,
        Run::Hold(args) => hold::run(args).await,
        Run::Export(args) => read::export(args).await,
        Run::Mcp(args) => mcp::run(args).await,
        Run::Redact(args) => redact::run(args),
    }
}

/// Services tell what they do; commands, what is wrong.
fn level(run: &Run) -> &'static str {
    match run {
        Run::Up(_) | Run::Ingest(_) | Run::Sealer(_) => "info",
        Run::Verify(args) if args.watch => "info",
        _ => "warn",
    }
}

/// The whole chain, on one line.
fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").trim_end().replace('\n', " ")
}
