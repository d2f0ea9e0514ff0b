//! The private keys of a log of segments: made, kept in files that only their owner may read, and read again.
//!
//! Nothing of a private key is ever printed or logged.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ring::rand::{SecureRandom as _, SystemRandom};
use schemas::signature::SigningKey;
use schemas::tlog::{KeyName, LogSigner, Policy};

use crate::exit::{Exit, OrExit};

/// Holds the text of a key, where no file is named.
pub(crate) const VARIABLE: &str = "CHANCERY_LOG_KEY";

/// A new key of this name.
pub(crate) fn make(name: KeyName) -> anyhow::Result<LogSigner> {
    Ok(LogSigner::new(name, SigningKey::from_bytes(&random()?)))
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.ok().context("the system gives no random bytes")?;
    Ok(bytes)
}

/// Writes a key to a file that is not there yet.
pub(crate) fn write(path: &Path, key: &LogSigner) -> anyhow::Result<()> {
    let what = || format!("cannot make the key {}", path.display());
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.or_exit(Exit::Usage, what())?;
    let text = key.to_text();
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .or_exit(Exit::Infrastructure, what())
}

/// Reads a key.
pub(crate) fn read(path: &Path) -> anyhow::Result<LogSigner> {
    let what = || format!("cannot take the log's key from {}", path.display());
    let text = std::fs::read_to_string(path).or_exit(Exit::Usage, what())?;
    LogSigner::parse(&text).or_exit(Exit::Usage, what())
}

/// The keys in these files, or in the environment where none is named: one name, the key in force and perhaps the next.
pub(crate) fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<LogSigner>> {
    let mut signers: Vec<LogSigner> =
        paths.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    if let (true, Ok(text)) = (signers.is_empty(), std::env::var(VARIABLE)) {
        let key = LogSigner::parse(&text);
        signers
            .push(key.or_exit(Exit::Usage, format!("cannot take the log's key from {VARIABLE}"))?);
    }
    let names = |one: &LogSigner| one.verifier().name().clone();
    if signers.iter().any(|one| Some(names(one)) != signers.first().map(names)) {
        return Err(Exit::Usage.error("the log's keys have several names; a log has one"));
    }
    Ok(signers)
}

/// The witnesses of a file, where there is one.
pub(crate) fn policy(path: Option<&Path>) -> anyhow::Result<Policy> {
    let Some(path) = path else { return Ok(Policy::default()) };
    let what = || format!("cannot take the policy of {}", path.display());
    let text = std::fs::read_to_string(path).or_exit(Exit::Usage, what())?;
    Policy::parse(&text).or_exit(Exit::Usage, what())
}

/// The key of a deployment on one machine, made with its first start; beside it lies what verifies it.
pub(crate) fn of_folder(dir: &Path) -> anyhow::Result<LogSigner> {
    let path = dir.join("log.key");
    let key = if path.exists() {
        read(&path)?
    } else {
        let tag: String = random::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = make(KeyName::new(&format!("chancery.local/{tag}"))?)?;
        write(&path, &key)?;
        key
    };
    let public = dir.join("log.vkey");
    std::fs::write(&public, format!("{}\n", key.verifier()))
        .or_exit(Exit::Infrastructure, format!("cannot write {}", public.display()))?;
    Ok(key)
}
