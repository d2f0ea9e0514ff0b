//! SHELL. Which checkpoint a bundle carries, and what stands over it: the earliest that witnesses and time-stamp authorities
//! have vouched for, since theirs is the word that counts outside.

use std::collections::BTreeMap;

use schemas::BundleName;
use schemas::tlog::{LogKey, NOTE_BYTES_MAX, NoteSignature, SignedCheckpoint};

use crate::error::Error;
use crate::fetch::{Store, read};
use crate::prove::log::checkpoint;

/// Largest time-stamp that is taken.
const RESPONSE_BYTES_MAX: u64 = 64 << 10;

/// A checkpoint and what stands over it.
#[derive(Debug)]
pub(crate) struct Anchored {
    pub(crate) checkpoint: SignedCheckpoint,
    pub(crate) cosignatures: Vec<NoteSignature>,
    pub(crate) timestamps: BTreeMap<String, Vec<u8>>,
}

/// Chooses among the checkpoints of at least `entries` entries: the first that has most kinds of anchors and most of them,
/// or the newest where none has any.
pub(crate) async fn choose(
    store: &Store,
    newest: &SignedCheckpoint,
    entries: u64,
) -> Result<Anchored, Error> {
    let mut found: BTreeMap<u64, [Vec<String>; 2]> = BTreeMap::new();
    for (kind, folder) in ["log/cosignatures", "log/timestamps"].into_iter().enumerate() {
        // Keys of a size have a slash where this ends, and so come after it.
        let after = format!("{folder}/{entries:020}");
        let page = store.objects().page(folder, Some(&after)).await.map_err(read(folder))?;
        for key in page.keys {
            let size = key.split('/').nth(2).and_then(|size| size.parse().ok());
            let size = size.filter(|size| (entries..=newest.checkpoint.size).contains(size));
            if let Some(keys) = size.and_then(|size| found.entry(size).or_default().get_mut(kind)) {
                keys.push(key);
            }
        }
    }
    let worth = |[lines, stamps]: &[Vec<String>; 2]| {
        let kinds = usize::from(!lines.is_empty()) + usize::from(!stamps.is_empty());
        (kinds, lines.len() + stamps.len())
    };
    // Of several that are worth the same the last one wins: the smallest.
    let best = found.iter().rev().max_by_key(|(_, anchors)| worth(anchors));
    let mut anchored = Anchored {
        checkpoint: newest.clone(),
        cosignatures: Vec::new(),
        timestamps: BTreeMap::new(),
    };
    let size = best.map_or(newest.checkpoint.size, |(size, _)| *size);
    if let Some(older) = checkpoint(store, &LogKey::CheckpointAt(size)).await? {
        anchored.checkpoint = older;
    } else if size != newest.checkpoint.size {
        let key = LogKey::CheckpointAt(size).to_string();
        return Err(Error::Damaged { key, why: "it is gone".to_owned() });
    }
    if let Some((_, [lines, stamps])) = best {
        anchored.cosignatures = cosignatures(store, lines).await?;
        anchored.timestamps = timestamps(store, stamps).await?;
    }
    Ok(anchored)
}

/// A line that is none is left out: it proves nothing, and `verify` finds it.
async fn cosignatures(store: &Store, keys: &[String]) -> Result<Vec<NoteSignature>, Error> {
    let mut lines: Vec<NoteSignature> = Vec::new();
    let most = u64::try_from(NOTE_BYTES_MAX).unwrap_or(u64::MAX);
    for key in keys {
        let Some(bytes) = store.get(key, most).await? else { continue };
        let line = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
        let Some(line): Option<NoteSignature> = line else { continue };
        if lines.iter().all(|one| (one.name(), one.id()) != (line.name(), line.id())) {
            lines.push(line);
        }
    }
    Ok(lines)
}

async fn timestamps(store: &Store, keys: &[String]) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut responses = BTreeMap::new();
    for key in keys {
        let file = key.rsplit('/').next().unwrap_or_default();
        let named = BundleName::parse(&format!("timestamps/{file}"));
        let Some(BundleName::Timestamp(name)) = named else { continue };
        if let Some(bytes) = store.get(key, RESPONSE_BYTES_MAX).await? {
            responses.insert(name, bytes.to_vec());
        }
    }
    Ok(responses)
}
