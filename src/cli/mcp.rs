//! The command line of `mcp`.

use std::ffi::OsString;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Mcp {
    /// The gateway that takes the events
    #[arg(long, default_value = "http://127.0.0.1:4280")]
    pub(crate) url: String,
    /// The session that the events belong to, begun elsewhere [default: one of their own]
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// What the server is called in the record [default: the command's name]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What is not recorded as it is: `default` (keys and tokens are masked), `off`, or a file of rules
    #[arg(long, value_name = "RULES", default_value = "default")]
    pub(crate) redaction: String,
    /// Owner of the session: the tenant of the key
    #[arg(long, default_value = "default")]
    pub(crate) tenant: String,
    /// The server, and what it is started with
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

pub(crate) const MCP_HELP: &str = "\
What the client writes to standard input goes to the server, and what the server answers goes to standard output, byte
for byte and at once; standard error is the server's. Recording never holds them up: while the gateway is away, events
wait in memory (64 MiB), and beyond that the record says how many are missing. At the end they have 5 seconds to be taken.

The key comes from the environment variable CHANCERY_KEY, which the server does not get to see. Signals go to the server;
the exit code is the server's (128 + n where signal n ended it).";
