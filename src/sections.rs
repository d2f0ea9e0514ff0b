//! The settings of all services, section by section. Each section's fields are documented where they are used.

use std::path::Path;

use serde::Deserialize;

use crate::cli::SettingsArgs;
use crate::exit::{Exit, OrExit};
use crate::metrics;
use crate::settings::{BadSetting, Settings};

/// One file may serve every service: each takes its own sections, and all of them are checked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sections {
    pub(crate) ingest: ingest::Config,
    pub(crate) sealer: sealer::Config,
    /// The log of segments.
    pub(crate) log: sealer::LogConfig,
    /// Read by both services; the sealer takes only `framing` and `properties` of it.
    pub(crate) kafka: ingest::KafkaConfig,
    pub(crate) metrics: metrics::Config,
    /// Read by both services, where topics have Confluent framing.
    pub(crate) registry: registry::Config,
    /// Read by both services: how long what each class has is locked.
    pub(crate) retention: store::Retention,
}

impl Sections {
    /// From the file and the `--set` options; `prepare` gives defaults and values of other options.
    pub(crate) fn load(
        args: &SettingsArgs,
        prepare: impl FnOnce(&mut Settings),
    ) -> anyhow::Result<Self> {
        let file = args.config.as_deref().map_or(Ok(String::new()), read)?;
        let from = args.config.as_deref().map_or("--set".into(), Path::to_string_lossy);
        Self::merge(&file, &args.set, prepare).or_exit(Exit::Usage, format!("settings ({from})"))
    }

    fn merge(
        file: &str,
        sets: &[String],
        prepare: impl FnOnce(&mut Settings),
    ) -> Result<Self, BadSetting> {
        let mut settings = Settings::new(file, sets)?;
        settings.flatten("kafka", "properties");
        prepare(&mut settings);
        settings.read()
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).or_exit(Exit::Usage, format!("cannot read {}", path.display()))
}
