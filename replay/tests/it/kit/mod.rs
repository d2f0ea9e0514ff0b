//! What the tests of a store share: golden stores in memory, and changes to them.

pub(crate) mod chat;
pub(crate) mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use replay::{Report, Store, VerifyOptions, verify};

pub(crate) type Objects = Arc<InMemory>;

pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/golden/v1").join(name)
}

pub(crate) fn keys_below(folder: &Path) -> Vec<String> {
    let mut keys = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                keys.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    keys.sort();
    keys
}

/// A golden store, copied into memory.
pub(crate) async fn loaded(name: &str) -> Objects {
    let objects = Arc::new(InMemory::new());
    for key in keys_below(&golden(name)) {
        let bytes = std::fs::read(golden(name).join(&key)).unwrap();
        put(&objects, &key, bytes).await;
    }
    objects
}

pub(crate) async fn put(objects: &Objects, key: &str, bytes: Vec<u8>) {
    objects.put(&Key::from(key), bytes.into()).await.unwrap();
}

pub(crate) async fn get(objects: &Objects, key: &str) -> Vec<u8> {
    objects.get(&Key::from(key)).await.unwrap().bytes().await.unwrap().to_vec()
}

pub(crate) async fn delete(objects: &Objects, key: &str) {
    objects.delete(&Key::from(key)).await.unwrap();
}

pub(crate) async fn keys(objects: &Objects) -> Vec<String> {
    let listed: Vec<_> = objects.list(None).try_collect().await.unwrap();
    let mut keys: Vec<String> = listed.iter().map(|meta| meta.location.to_string()).collect();
    keys.sort();
    keys
}

pub(crate) fn store(objects: &Objects) -> Store {
    Store::new(objects.clone(), Key::default())
}

pub(crate) async fn report(objects: &Objects) -> Report {
    verify(&store(objects), VerifyOptions::default()).await.unwrap()
}

/// The kinds of findings, each once.
pub(crate) fn kinds(report: &Report) -> Vec<&'static str> {
    let mut kinds: Vec<_> = report.findings.iter().map(|finding| finding.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}
