//! The corpora of the fuzz targets in `fuzz/`, replayed: as they are, and with each byte of each of them changed and cut off.
//! What a fuzzer finds is put there, and stays.

use std::path::Path;

#[path = "../fuzz/parsers.rs"]
#[expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    reason = "the files are the fuzzer's too"
)]
mod parsers;

/// Larger ones are changed at so many places only; where reading takes long, at fewer.
const PLACES_MAX: usize = 2_000;
const SLOW_PLACES_MAX: usize = 300;
const SLOW: [&str; 3] = ["exchange", "otlp_json", "redaction_rules"];

#[test]
fn no_parser_panics_over_its_corpus_nor_over_what_is_near_it() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fuzz/corpus");
    for (name, parse) in parsers::ALL {
        let places_max = if SLOW.contains(name) { SLOW_PLACES_MAX } else { PLACES_MAX };
        let mut seeds = 0;
        for seed in std::fs::read_dir(corpora.join(name)).unwrap() {
            let seed = std::fs::read(seed.unwrap().path()).unwrap();
            seeds += 1;
            parsers::run(name, &seed);
            for at in (0..seed.len()).step_by(seed.len().div_ceil(places_max)) {
                for flip in [1, 0x80] {
                    let mut changed = seed.clone();
                    changed[at] ^= flip;
                    parse(&changed);
                }
                parse(&seed[..at]);
            }
        }
        assert!(seeds > 0, "{name} has no corpus");
    }
    let known = std::fs::read_dir(corpora).unwrap().count();
    assert_eq!(known, parsers::ALL.len(), "a corpus without a parser");
}
