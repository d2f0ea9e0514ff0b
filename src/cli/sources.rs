//! The command lines for the keys that sources sign with.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Json;

#[derive(Debug, Subcommand)]
pub(crate) enum Sources {
    /// Makes a key pair: the private key into a new file, the public one into the file of sources
    New(NewSource),
    /// Lists the sources' public keys
    List {
        #[command(flatten)]
        file: SourcesFile,
        #[command(flatten)]
        json: Json,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewSource {
    #[command(flatten)]
    pub(crate) file: SourcesFile,
    /// Whose events the key may sign
    #[arg(long)]
    pub(crate) tenant: String,
    /// Where the private key goes, as PKCS#8 PEM that only its owner may read; must be absent
    #[arg(short, long, value_name = "KEY.pem")]
    pub(crate) out: PathBuf,
    /// What signatures call the key [default: made]
    #[arg(long, value_name = "NAME")]
    pub(crate) key_id: Option<String>,
    /// The producer whose events alone it signs [default: any of the tenant's]
    #[arg(long, value_name = "ID")]
    pub(crate) producer_id: Option<String>,
    /// Refuses the producer's events that are not signed
    #[arg(long, requires = "producer_id")]
    pub(crate) required: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SourcesFile {
    /// The file of sources that the gateway and `verify` read
    #[arg(long, value_name = "FILE")]
    pub(crate) sources: PathBuf,
}
