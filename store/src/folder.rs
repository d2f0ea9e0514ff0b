//! SHELL: a store that is a folder of this machine: durable create-only files, and listings without a look at each file.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use schemas::Digest;

use crate::error::Error;
use crate::moving::Replaced;
use crate::page::Page;
use crate::store::Created;

/// Marks a file that is being written; no key has it.
const STAGED: char = '#';

/// Writes of this process so far: two at once of one key must not share a staged file.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// A folder, made where it is absent.
pub(crate) fn open(path: &Path) -> Result<PathBuf, Error> {
    fs::create_dir_all(path).map_err(local("make the folder", path))?;
    path.canonicalize().map_err(local("find", path))
}

/// Writes beside, syncs, then links: the name appears with all its bytes or not at all, and only if it is free.
///
/// A crash before the link leaves a `#`-named file, which listings pass over.
pub(crate) fn create(folder: &Path, key: &str, bytes: &[u8]) -> Result<Created, Error> {
    let path = folder.join(key);
    let parent = path.parent().unwrap_or(folder);
    make_folders(folder, parent)?;
    let staged = stage(&path, bytes)?;
    let linked = fs::hard_link(&staged, &path);
    fs::remove_file(&staged).map_err(local("clear away", &staged))?;
    match linked {
        Ok(()) => sync(parent).map(|()| Created::New),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // It may be this process's own from before a crash, its folder not yet synced.
            sync(parent).map(|()| Created::Exists)
        }
        Err(error) => Err(local("create", &path)(error)),
    }
}

/// Writes a file beside `path`, all of it durable but its name.
fn stage(path: &Path, bytes: &[u8]) -> Result<PathBuf, Error> {
    let mut staged = path.to_owned().into_os_string();
    // Only digits: what the library, too, passes over in its listings.
    let write = WRITES.fetch_add(1, Ordering::Relaxed);
    staged.push(format!("{STAGED}{}{write:08}", std::process::id()));
    let staged = PathBuf::from(staged);
    let mut file = File::create(&staged).map_err(local("create", &staged))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(local("create", &staged))?;
    Ok(staged)
}

/// Replaces a file whose bytes have this hash. Whoever replaces one in the same folder waits meanwhile; a crash leaves the old
/// file or the new one.
pub(crate) fn replace(
    folder: &Path,
    key: &str,
    seen: Digest,
    bytes: &[u8],
) -> Result<Replaced, Error> {
    let path = folder.join(key);
    let parent = path.parent().unwrap_or(folder);
    let replacing = || local("replace", &path);
    let lock = File::open(parent).map_err(replacing())?;
    lock.lock().map_err(replacing())?;
    let now = match fs::read(&path) {
        Ok(now) => now,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Replaced::Moved),
        Err(error) => return Err(replacing()(error)),
    };
    if Digest::of(&now) != seen {
        return Ok(Replaced::Moved);
    }
    let staged = stage(&path, bytes)?;
    fs::rename(&staged, &path).map_err(replacing())?;
    lock.sync_all().map_err(replacing())?;
    Ok(Replaced::Done)
}

/// The first keys in `inside` that sort after `after`. Only names are read: nothing is asked of the files themselves.
pub(crate) fn page(folder: &Path, inside: &str, after: Option<&str>) -> Result<Page, Error> {
    let (mut folders, mut keys) = (vec![inside.to_owned()], Vec::new());
    while let Some(name) = folders.pop() {
        let path = folder.join(&name);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(local("list", &path)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(local("list", &path))?;
            let Ok(file) = entry.file_name().into_string() else { continue };
            let slash = if name.is_empty() { "" } else { "/" };
            let key = format!("{name}{slash}{file}");
            if entry.file_type().map_err(local("list", &path))?.is_dir() {
                folders.push(key);
            } else if !file.contains(STAGED) && after.is_none_or(|after| key.as_str() > after) {
                keys.push(key);
            }
        }
    }
    Ok(Page::first(keys))
}

/// Makes `parent` and the folders between it and `root`, each durable in the one that holds it.
fn make_folders(root: &Path, parent: &Path) -> Result<(), Error> {
    if parent.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(parent).map_err(local("make the folder", parent))?;
    let inside = parent.ancestors().take_while(|folder| *folder != root);
    for holder in inside.filter_map(Path::parent) {
        sync(holder)?;
    }
    Ok(())
}

fn sync(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(local("sync", path))
}

fn local(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Local { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_writers_at_once_one_wins_and_all_of_its_bytes_are_there() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..4 {
            let key = format!("f/{round}");
            let write = |writer: u8| create(folder.path(), &key, &[writer; 1 << 16]).unwrap();
            let created: Vec<Created> = std::thread::scope(|scope| {
                let writers: Vec<_> =
                    (0..8).map(|writer| scope.spawn(move || write(writer))).collect();
                writers.into_iter().map(|writer| writer.join().unwrap()).collect()
            });
            let winners: Vec<usize> =
                (0..8).filter(|&writer| created[writer] == Created::New).collect();
            let bytes = fs::read(folder.path().join(&key)).unwrap();
            assert_eq!(winners.len(), 1);
            assert_eq!(bytes, vec![u8::try_from(winners[0]).unwrap(); 1 << 16]);
        }
        assert_eq!(fs::read_dir(folder.path().join("f")).unwrap().count(), 4);
    }
}
