//! What the tests of a store share: copies of golden stores, and changes to them.

pub(crate) mod chat;
pub(crate) mod judged;
pub(crate) mod log;
pub(crate) mod writer;
pub(crate) mod zip;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use replay::{Report, Store, VerifyOptions, verify};
use tempfile::TempDir;

/// A store in a folder of its own.
pub(crate) type Objects = Arc<TempDir>;

pub(crate) fn empty() -> Objects {
    Arc::new(tempfile::tempdir().unwrap())
}

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

/// A golden store, copied.
pub(crate) async fn loaded(name: &str) -> Objects {
    let objects = empty();
    for key in keys_below(&golden(name)) {
        let bytes = std::fs::read(golden(name).join(&key)).unwrap();
        put(&objects, &key, bytes).await;
    }
    objects
}

pub(crate) async fn put(objects: &Objects, key: &str, bytes: Vec<u8>) {
    let path = objects.path().join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

pub(crate) async fn get(objects: &Objects, key: &str) -> Vec<u8> {
    std::fs::read(objects.path().join(key)).unwrap()
}

pub(crate) async fn delete(objects: &Objects, key: &str) {
    std::fs::remove_file(objects.path().join(key)).unwrap();
}

pub(crate) async fn keys(objects: &Objects) -> Vec<String> {
    keys_below(objects.path())
}

pub(crate) fn store(objects: &Objects) -> Store {
    Store::open(objects.path().to_str().unwrap()).unwrap()
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
