//! Makes and shows the keys that logs are signed with.

use anyhow::Context as _;
use schemas::tlog::KeyName;

use crate::cli;
use crate::exit::{Exit, OrExit};
use crate::log_key;
use crate::output::{notice, stdout};

/// Runs what the command line says of keys. Of a private key only what verifies it is printed.
pub(crate) fn run(args: cli::Key) -> anyhow::Result<Exit> {
    let key = match args {
        cli::Key::New { name, output } => {
            let name = KeyName::new(&name).or_exit(Exit::Usage, "the log cannot have this name")?;
            let key = log_key::make(name)?;
            log_key::write(&output, &key)?;
            let output = output.display();
            notice(format_args!("the private key is in {output}; it stands nowhere else"));
            key
        }
        cli::Key::Show { file } => log_key::read(&file)?,
    };
    stdout(|out| writeln!(out, "{}", key.verifier())).context("cannot print the key")?;
    Ok(Exit::Good)
}
