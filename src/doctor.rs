//! `chancery doctor`: checks a deployment before it is trusted, and says what is wrong with it in plain words.
#![expect(clippy::disallowed_methods, reason = "a shell: retention counts from now")]

mod bucket;
mod check;
mod topic;

use std::time::{SystemTime, UNIX_EPOCH};

use schemas::{Seconds, Topic};
use serde_json::json;
use store::Store;
use uuid::Uuid;

use crate::cli;
use crate::exit::{Exit, OrExit};
use crate::output::stdout;
use crate::sections::Sections;
use check::Check;

/// Checks the store, the settings and, where one is named, the topic.
pub(crate) async fn run(args: cli::Doctor) -> anyhow::Result<Exit> {
    let sections = Sections::load(&args.settings, |_| {})?;
    let store = Store::open(&args.store).or_exit(Exit::Usage, "--store cannot be used")?;
    let folder = format!("probe/{}", Uuid::now_v7().simple());
    let mut checks = bucket::check(&store, sections.retention.mode(), &folder).await;
    let are_settings_given = args.settings.config.is_some() || !args.settings.set.is_empty();
    checks.push(if are_settings_given { retention(&sections)? } else { unknown_retention() });
    if let Some((brokers, topic)) = args.kafka.zip(args.topic) {
        let topic = Topic::new(&topic).or_exit(Exit::Usage, "--topic cannot be used")?;
        checks.extend(kafka(&sections, &store, &brokers, &topic).await);
    }
    let exit = check::exit(&checks);
    let written = stdout(|out| {
        if args.json.json {
            let report = json!({"ok": exit == Exit::Good, "checks": checks});
            return writeln!(out, "{report}");
        }
        checks.iter().try_for_each(|check| writeln!(out, "{check}"))
    });
    // The verdict stands, whether or not somebody reads all of it.
    match written.map_err(anyhow::Error::from) {
        Err(error) if !crate::output::is_closed(&error) => Err(error),
        _ => Ok(exit),
    }
}

const RETENTION: &str = "retention settings";

fn retention(sections: &Sections) -> anyhow::Result<Check> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let class = &sections.sealer.retention_class;
    Ok(match sections.retention.lock(class, Seconds(i64::try_from(now)?)) {
        Ok(lock) => {
            Check::ok(RETENTION, format!("class {class}: {} until {}", lock.mode, lock.until))
        }
        Err(error) => Check::wrong(
            RETENTION,
            error.to_string(),
            "without it nothing can be locked, and the sealer does not start",
            "set retention.mode and the class's days in retention.classes",
        ),
    })
}

fn unknown_retention() -> Check {
    Check::unchecked(RETENTION, "no settings were given", "give the sealer's with --config")
}

async fn kafka(sections: &Sections, store: &Store, brokers: &str, topic: &Topic) -> Vec<Check> {
    let properties: Vec<_> = sections.kafka.properties.clone().into_iter().collect();
    let state = match sealer::describe(brokers, topic, &properties).await {
        Ok(state) => state,
        Err(error) => return vec![Check::failed("topic", error)],
    };
    let (chains, mut checks) = match chains(store, topic).await {
        Ok(chains) => (Some(chains), Vec::new()),
        Err(error) => (None, vec![Check::failed("topic's chains in the store", error)]),
    };
    let wanted = topic::Wanted {
        message_bytes_max: u64::try_from(sections.kafka.message_max_bytes).unwrap_or(u64::MAX),
        segment_age_max_ms: sections.sealer.segment_age_max_ms,
        chains,
    };
    checks.extend(topic::check(&state, &wanted));
    checks
}

/// One more than the highest partition of the topic that has a chain in the store.
async fn chains(store: &Store, topic: &Topic) -> Result<u32, store::Error> {
    let found = store.children(&format!("epochs/{topic}")).await?;
    let partitions = found.folders.iter().filter_map(|folder| {
        let name = folder.rsplit('/').next()?;
        name.parse::<u32>().ok()
    });
    Ok(partitions.max().map_or(0, |highest| highest.saturating_add(1)))
}
