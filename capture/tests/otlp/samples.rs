//! What SDKs sent, trimmed, and all of what it is read as. `samples/README.md` says where each is from.

use capture::Happening;
use capture::otlp::{Limits, logs, spans};

use crate::kit::lines;

fn read(name: &str) -> Vec<Happening> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/otlp/samples");
    let json = std::fs::read(format!("{folder}/{name}.json")).unwrap();
    let read = match name.ends_with(".log") {
        true => logs(serde_json::from_slice(&json).unwrap(), &Limits::default()).unwrap(),
        false => spans(serde_json::from_slice(&json).unwrap(), &Limits::default()).unwrap(),
    };
    assert_eq!((read.rejected, read.why), (0, None), "{name}");
    read.happenings
}

#[test]
fn every_sample_is_read_as_it_should_be() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/otlp/samples");
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = file.strip_suffix(".json") else { continue };
        let expected = std::fs::read_to_string(format!("{folder}/{name}.lines"));
        let is = lines(&read(name));
        if expected.ok().as_deref() != Some(&*is) {
            wrong.push(format!("{name} is read as\n{is}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
