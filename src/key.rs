//! Makes and shows the keys that logs are signed with.

use anyhow::Context as _;
use schemas::tlog::{KeyName, LogSigner};

use crate::cli;
use crate::exit::{Exit, OrExit};
use crate::log_key;
use crate::output::{notice, stdout};
use crate::sealing::now;
use crate::sections::Sections;

/// Runs what the command line says of keys. Of a private key only what verifies it is printed.
pub(crate) async fn run(args: cli::Key) -> anyhow::Result<Exit> {
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
        cli::Key::Change(args) => change(args).await?,
    };
    stdout(|out| writeln!(out, "{}", key.verifier())).context("cannot print the key")?;
    Ok(Exit::Good)
}

/// Enrols the change of keys; the new key is the answer.
async fn change(args: cli::ChangeKey) -> anyhow::Result<LogSigner> {
    let sections = Sections::load(&args.settings, |_| {})?;
    let store = store::Store::open(&args.store).or_exit(Exit::Usage, "--store cannot be used")?;
    let retention = (!args.unsafe_no_lock).then_some(sections.retention);
    let keys = (log_key::read(&args.old)?, log_key::read(&args.new)?);
    let (class, new) = (sections.sealer.retention_class, keys.1.clone());
    let changed = sealer::change_key(store, &class, retention, keys, now()).await;
    let size = changed.or_exit(Exit::Infrastructure, "the log's key is as it was")?;
    notice(format_args!(
        "the log has its next key since entry {size}; give it to those who verify, and take the old one from the sealers"
    ));
    Ok(new)
}
