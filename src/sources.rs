//! Makes and lists the keys that sources sign with.

use std::io::Write;

use ingest::sources::{self, New, Source};
use serde_json::json;

use crate::cli;
use crate::exit::Exit;
use crate::output::{notice, stdout};
use crate::service::refusal;

/// Runs what the command line says of sources.
pub(crate) fn run(args: cli::Sources) -> anyhow::Result<Exit> {
    match args {
        cli::Sources::New(args) => {
            let (tenant, required) = (args.tenant, args.required);
            let new = New { tenant, key_id: args.key_id, producer_id: args.producer_id, required };
            let made = sources::create(&args.file.sources, &args.out, new).map_err(failure)?;
            stdout(|out| writeln!(out, "{}", made.key_id))?;
            let out = args.out.display();
            notice(format_args!("the private key is in {out}; it stands nowhere else"));
        }
        cli::Sources::List { file, json } => {
            let sources = sources::list(&file.sources).map_err(failure)?;
            stdout(|out| sources.iter().try_for_each(|source| line(out, source, json.json)))?;
        }
    }
    Ok(Exit::Good)
}

fn line(out: &mut dyn Write, source: &Source, as_json: bool) -> std::io::Result<()> {
    let Source { key_id, tenant, public_key, required, producer_id } = source;
    if as_json {
        let source = json!({
            "key_id": key_id, "tenant": tenant, "public_key": public_key,
            "required": required, "producer_id": producer_id
        });
        return writeln!(out, "{source}");
    }
    let signs = match (producer_id, required) {
        (None, _) => "any producer".to_owned(),
        (Some(producer), false) => format!("producer {producer}"),
        (Some(producer), true) => format!("producer {producer}, which must sign"),
    };
    writeln!(out, "{key_id}  {tenant}  {public_key}  {signs}")
}

/// What could not be done with the sources.
fn failure(error: ingest::Error) -> anyhow::Error {
    refusal(error, "the sources are as they were")
}
