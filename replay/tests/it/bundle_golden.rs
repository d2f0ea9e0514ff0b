//! Bundles that an independent script wrote: they are read as it meant them, and neither of us refuses what the other takes.

use replay::{Trust, check_bundle};
use schemas::tlog::Policy;

use crate::bundle::checked;
use crate::kit::golden;

#[test]
fn golden_bundles_verify_and_say_what_they_show() {
    let text = std::fs::read_to_string(golden("store-log.policy")).unwrap();
    let policy = Policy::parse(&text).unwrap();
    let mut found = Vec::new();
    for file in std::fs::read_dir(golden("bundles")).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let statement = checked(&bytes, &policy).map_err(|faults| format!("{name}: {faults:?}"));
        let statement = statement.unwrap();
        assert!(statement.vouched && statement.since.is_some(), "{name}");
        assert!(name.starts_with(statement.claim), "{name}");
        assert!(!check_bundle(&bytes, &Trust::default()).unwrap().vouched);
        if name.starts_with("absent") {
            let covered =
                statement.proven.iter().any(|line| line.contains("whole time is covered"));
            assert_eq!(
                covered,
                ["absent-until", "absent-within"].contains(&name.as_str()),
                "{name}"
            );
        }
        found.push(name);
    }
    found.sort();
    let all = ["absent", "absent-between", "absent-until", "absent-within", "event", "session"];
    assert!(all.iter().all(|name| found.iter().any(|one| one == name)), "{found:?}");
}
