//! Verification of golden stores, which an independent script wrote, as they are and damaged in every way.

use crate::kit::{delete, get, golden, keys, kinds, loaded, put, report};
use replay::{Store, VerifyOptions, verify};

const STORES: [&str; 2] = ["store", "store-epochs"];

#[tokio::test]
async fn golden_stores_verify_clean() {
    for name in STORES {
        let store = Store::open(golden(name).to_str().unwrap()).unwrap();
        let report = verify(&store, VerifyOptions::default()).await.unwrap();
        assert_eq!(report.findings, [], "{name}");
        assert!(report.ok && report.segments > 0 && report.events > 0);
    }
}

#[tokio::test]
async fn any_object_removed_is_found() {
    for name in STORES {
        for key in keys(&loaded(name).await).await {
            let objects = loaded(name).await;
            delete(&objects, &key).await;
            let found = kinds(&report(&objects).await);
            // What nobody can know from the chain alone: that the last segment was there, with its record gone too;
            // or that junk once lay where an opening says it was abandoned.
            let unknowable = key.ends_with("0000000001/00000000000000000010.parquet");
            assert!(!found.is_empty() || unknowable, "{key}");
        }
    }
}

#[tokio::test]
async fn any_two_objects_swapped_are_found() {
    for name in STORES {
        let all = keys(&loaded(name).await).await;
        for (index, first) in all.iter().enumerate() {
            for second in all.iter().skip(index + 1) {
                let objects = loaded(name).await;
                let (a, b) = (get(&objects, first).await, get(&objects, second).await);
                put(&objects, first, b).await;
                put(&objects, second, a).await;
                assert!(!report(&objects).await.ok, "{first} {second}");
            }
        }
    }
}

#[tokio::test]
async fn a_folder_made_by_up_is_opened_and_missing_folders_are_no_error() {
    let folder = tempfile::tempdir().unwrap();
    for key in crate::kit::keys_below(&golden("store")) {
        if !key.starts_with("records/") {
            let to = folder.path().join("store").join(&key);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(golden("store").join(&key), to).unwrap();
        }
    }
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    let report = verify(&store, VerifyOptions::default()).await.unwrap();
    assert_eq!((kinds(&report), report.findings.len()), (vec!["missing_record", "unenrolled"], 3));
    let url = format!("file://{}", folder.path().join("store").display());
    assert_eq!(
        verify(&Store::open(&url).unwrap(), VerifyOptions::default()).await.unwrap(),
        report
    );
    let mut out = Vec::new();
    replay::emit::terminal::report(&report, &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().contains("NOT GOOD: 3 segments"));
    for nowhere in ["/nonexistent/store", "ftp://host/x", "s3:///"] {
        assert!(Store::open(nowhere).is_err(), "{nowhere}");
    }
}
