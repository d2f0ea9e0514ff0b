//! The command lines of the services, and of the keys that agents come with.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Json;

/// Where settings come from.
#[derive(Debug, Default, Args)]
pub(crate) struct SettingsArgs {
    /// Settings, in TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One setting, over those of the file
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// Where agents reach a gateway.
#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Address for agents, again for more. Each takes everything: events, OTLP over HTTP and over gRPC, proxied calls.
    /// Port 0 takes a free one and prints it
    #[arg(long, default_values = ["127.0.0.1:4280", "127.0.0.1:4318", "127.0.0.1:4317"])]
    pub(crate) listen: Vec<SocketAddr>,
}

/// Model APIs that agents reach through the gateway.
#[derive(Debug, Args)]
pub(crate) struct Upstreams {
    /// A model API that agents reach as /llm/NAME/… of the gateway, which records every exchange; may be given again for
    /// another. More settings of it are in [ingest.llm.NAME]
    #[arg(long, value_name = "NAME=URL", value_parser = upstream)]
    llm_proxy: Vec<(String, String)>,
    /// An MCP server that agents reach as /mcp/NAME of the gateway, which records every message; may be given again for
    /// another. More settings of it are in [ingest.mcp.NAME]
    #[arg(long, value_name = "NAME=URL", value_parser = upstream)]
    mcp_proxy: Vec<(String, String)>,
}

impl Upstreams {
    /// These settings, and the upstreams.
    pub(crate) fn with(&self, settings: &SettingsArgs) -> SettingsArgs {
        let models = self.llm_proxy.iter().map(|upstream| ("llm", upstream));
        let servers = self.mcp_proxy.iter().map(|upstream| ("mcp", upstream));
        let urls = models.chain(servers);
        let urls = urls.map(|(kind, (name, url))| format!("ingest.{kind}.{name}.url={url}"));
        let set = settings.set.iter().cloned().chain(urls).collect();
        SettingsArgs { config: settings.config.clone(), set }
    }
}

fn upstream(text: &str) -> Result<(String, String), String> {
    let (name, url) = text.split_once('=').ok_or("it is not of the form NAME=URL")?;
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || !name.bytes().all(good) {
        return Err("the name may have a to z, 0 to 9 and -".to_owned());
    }
    Ok((name.to_owned(), url.to_owned()))
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Holds everything: the log in `spool`, what is sealed in `store`
    #[arg(long)]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) at: Listen,
    #[command(flatten)]
    pub(crate) who: Who,
    #[command(flatten)]
    pub(crate) upstreams: Upstreams,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// Who may send events.
#[derive(Debug, Args)]
pub(crate) struct Who {
    /// The file of keys that agents must present; without it every process of this machine may send
    #[arg(long, value_name = "FILE", conflicts_with = "tenant")]
    pub(crate) keys: Option<PathBuf>,
    /// Owner of sessions that come without a key, which only loopback addresses allow
    #[arg(long, default_value = "default")]
    pub(crate) tenant: String,
}

pub(crate) const UP_HELP: &str = "\
Sections of the settings: [ingest], [ingest.llm.NAME] (a model API behind the gateway), [sealer], [metrics]
(the sealer's; the gateway has its own at /metrics).
Prints `listening on http://…` to standard error when it is ready. SIGTERM and ctrl-c stop it: what it has
acknowledged is sealed first. After kill -9, start it again with the same folder.";

pub(crate) const SERVICE_HELP: &str = "\
One file of settings may serve both services. Its sections: [ingest], [ingest.llm.NAME] (a model API behind the
gateway), [sealer], [kafka], [kafka.properties] (librdkafka's own, such as security.protocol), [metrics]
(listen = address for the sealer's; the gateway has its own at /metrics), [registry] (url = a Confluent schema registry, for kafka.framing = confluent; credentials as
user:password in CHANCERY_REGISTRY_AUTH), [retention] (mode = compliance or governance) and [retention.classes] (class = days).
SIGTERM and ctrl-c stop a service.";

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    /// Bootstrap servers, host:port, with commas between
    #[arg(long, value_name = "BROKERS")]
    pub(crate) kafka: String,
    /// The topic that events go to
    #[arg(long)]
    pub(crate) topic: String,
    #[command(flatten)]
    pub(crate) at: Listen,
    /// The file of keys that agents must present
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: PathBuf,
    /// The file of keys that sources sign with; signatures are checked, and demanded where it says so
    #[arg(long, value_name = "FILE")]
    pub(crate) sources: Option<PathBuf>,
    /// A folder of this machine that events go to while Kafka is away; without it they are turned away
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: Option<PathBuf>,
    /// The sealer's store, for the contents of events that are too large for Kafka: a folder, or s3://bucket/prefix;
    /// needs the section `retention`. Without it such events are refused
    #[arg(long)]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) upstreams: Upstreams,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Makes a key and prints it, once; the file keeps only what recognises it
    Create {
        #[command(flatten)]
        file: KeysFile,
        /// Whose sessions the key may write
        #[arg(long)]
        tenant: String,
    },
    /// Lists the keys' ids and tenants
    List {
        #[command(flatten)]
        file: KeysFile,
        #[command(flatten)]
        json: Json,
    },
    /// Makes a key useless
    Revoke {
        #[command(flatten)]
        file: KeysFile,
        /// Id of the key, as `list` shows it
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeysFile {
    /// The file of keys that the gateway reads
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: PathBuf,
}
