//! SHELL: what the log's objects weigh, by kind, for logs that grow in larger and smaller steps.

use std::fs;
use std::path::{Path, PathBuf};

use crate::deployment::{Deployment, ROWS};
use crate::figure::{number, wide};
use crate::synthetic::{Synthetic, commits};
use crate::table;

/// Records: ten full tiles.
const RECORDS: u64 = 2_560;
/// Records of a commit.
const STEPS: [u64; 3] = [1, 16, 256];

/// Bytes of a log's objects.
#[derive(Debug, Default)]
struct Weight {
    commits: u64,
    checkpoints: u64,
    bundles: u64,
    tiles: u64,
    partial_bundles: u64,
    partial_tiles: u64,
}

pub(crate) fn report() -> anyhow::Result<()> {
    let columns = [
        "records a commit",
        "entries",
        "commits",
        "full entry bundles",
        "full tiles",
        "checkpoints",
        "sum",
        "bytes an event of it",
        "besides, partial bundles",
        "partial tiles",
        "bytes an event of these",
    ];
    table::head("Bytes an entry in log/", &columns)?;
    STEPS.iter().try_for_each(|step| table::row(&measure(*step)?))
}

fn measure(step: u64) -> anyhow::Result<[String; 11]> {
    table::progress(format_args!("a log that grows by {step} at a time"));
    let (deployment, store) = {
        let deployment = Deployment::new()?;
        let store = deployment.store()?;
        (deployment, store)
    };
    deployment
        .runtime
        .block_on(async { Synthetic::after(store.clone(), 0).await?.grow(RECORDS, step).await })?;
    // Writes what follows from the commits.
    deployment.seal(ROWS, true)?;
    let commits = deployment.runtime.block_on(commits(&store))?;
    let entries: usize = commits.iter().map(|commit| commit.entries.len()).sum();
    let weight = Weight::of(&deployment.folder().join("log"))?;
    let Weight { commits, checkpoints, bundles, tiles, partial_bundles, partial_tiles } = weight;
    let an_entry = |bytes: u64| number(bytes) / number(wide(entries));
    let an_event = |bytes| format!("{:.2}", an_entry(bytes) / number(wide(ROWS)));
    let an_entry = |bytes| format!("{:.1}", an_entry(bytes));
    let sum = commits + checkpoints + bundles + tiles;
    Ok([
        step.to_string(),
        entries.to_string(),
        an_entry(commits),
        an_entry(bundles),
        an_entry(tiles),
        an_entry(checkpoints),
        an_entry(sum),
        an_event(sum),
        an_entry(partial_bundles),
        an_entry(partial_tiles),
        an_event(partial_bundles + partial_tiles),
    ])
}

impl Weight {
    fn of(log: &Path) -> anyhow::Result<Self> {
        let (mut weight, mut folders) = (Self::default(), vec![PathBuf::new()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(log.join(&folder))? {
                let entry = entry?;
                let name = folder.join(entry.file_name());
                match entry.file_type()?.is_dir() {
                    true => folders.push(name),
                    false => *weight.kind(&name)? += entry.metadata()?.len(),
                }
            }
        }
        Ok(weight)
    }

    fn kind(&mut self, name: &Path) -> anyhow::Result<&mut u64> {
        let is_partial = name.parent().is_some_and(|it| it.to_string_lossy().ends_with(".p"));
        let is_bundle = name.starts_with("tile/entries");
        let first = name.components().next().map(|part| part.as_os_str().to_string_lossy());
        Ok(match (first.as_deref(), is_bundle, is_partial) {
            (Some("commits"), ..) => &mut self.commits,
            (Some("checkpoint" | "checkpoints"), ..) => &mut self.checkpoints,
            (Some("tile"), true, false) => &mut self.bundles,
            (Some("tile"), true, true) => &mut self.partial_bundles,
            (Some("tile"), false, false) => &mut self.tiles,
            (Some("tile"), false, true) => &mut self.partial_tiles,
            _ => anyhow::bail!("log/{} is none of the log's objects", name.display()),
        })
    }
}
