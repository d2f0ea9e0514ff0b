//! Rules of the tree that a machine can check: who depends on whom, how long a file is, how it opens, and that every
//! format version is tested.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

/// A file may not grow past this without being split along the object that owns the state.
const LINES_MAX: usize = 400;

const CRATES: [&str; 10] = [
    "schemas", "capture", "spool", "store", "registry", "anchor", "ingest", "sealer", "replay",
    "recorder",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rust_files() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        CRATES.iter().chain(&["src", "tests"]).map(|name| root().join(name)).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn crates_depend_on_each_other_only_along_the_arrows() {
    let arrows = [
        ("schemas", &[][..]),
        ("capture", &["schemas"]),
        ("spool", &[]),
        ("store", &["schemas"]),
        ("registry", &["schemas"]),
        ("anchor", &["schemas"]),
        ("ingest", &["schemas", "capture", "spool", "store", "registry"]),
        ("sealer", &["schemas", "spool", "store", "registry", "anchor"]),
        ("replay", &["schemas", "store"]),
        ("recorder", &["schemas"]),
    ];
    for (name, allowed) in arrows {
        let manifest = std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let used: Vec<&str> = CRATES
            .into_iter()
            .filter(|other| {
                manifest.lines().any(|line| line.starts_with(&format!("{other}.workspace")))
            })
            .collect();
        assert_eq!(used, allowed, "{name}/Cargo.toml");
    }
}

#[test]
fn every_file_says_first_what_it_is() {
    for path in rust_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} does not open with //!", path.display());
    }
}

#[test]
fn no_file_is_too_long_to_hold_one_idea() {
    for path in rust_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or(&text).lines().count();
        assert!(code <= LINES_MAX, "{} has {code} lines", path.display());
    }
}

#[test]
fn every_golden_version_is_tested() {
    let golden = root().join("schemas/golden");
    let tests = std::fs::read_to_string(root().join("schemas/tests/golden.rs")).unwrap();
    for entry in std::fs::read_dir(golden).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() && entry.file_name() != "__pycache__" {
            let folder = format!("golden/{}/", entry.file_name().to_str().unwrap());
            assert!(tests.contains(&folder), "{folder} is read by no test");
        }
    }
}

/// A row of its tables ends with the names of tests.
#[test]
fn every_row_of_hostile_input_names_tests_that_there_are() {
    let files = rust_files().into_iter().map(|path| std::fs::read_to_string(path).unwrap());
    let tests: String =
        files.filter(|text| text.contains("#[test]") || text.contains("::test")).collect();
    let page = std::fs::read_to_string(root().join("docs/hostile.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| Test |"));
    let mut count = 0;
    for row in rows {
        let named = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for name in named.split(", ") {
            let name = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
            let name = name.unwrap_or_else(|| panic!("no test is named in {row}"));
            assert!(tests.contains(&format!("fn {name}(")), "there is no test {name}");
            count += 1;
        }
    }
    assert!(count > 0, "the page has no rows");
}

#[test]
fn only_the_shells_that_own_them_use_the_libraries_that_talk_to_the_outside() {
    let owners = [
        ("rdkafka", &["ingest", "sealer", "recorder"][..]),
        ("object_store", &["store"]),
        ("parquet", &["sealer", "replay"]),
        ("axum", &["ingest"]),
    ];
    for (library, owners) in owners {
        for name in CRATES.into_iter().filter(|name| !owners.contains(name)) {
            let manifest = std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
            assert!(!manifest.contains(&format!("{library}.workspace")), "{name} uses {library}");
        }
    }
}
