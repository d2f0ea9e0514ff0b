//! Bundles that somebody changed, with everything made right again that can be: each is refused, by name.

use replay::{Trust, check_bundle};
use schemas::tlog::{Checkpoint, KeyName, LogSigner, Policy};
use schemas::{Claim, Claimed, Digest, Rows, Shown};

use crate::bundle::{BEGIN, absent, checked, event, made, sealed, session, text};
use crate::kit::log::{Log, policy, witness};
use crate::kit::zip::{Members, unzipped, zipped};
use crate::kit::{put, store};

/// The reasons that a bundle with changed members is refused for.
fn refused(members: &Members) -> String {
    let faults = checked(&zipped(members), &policy(1, "")).unwrap_err();
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

fn edit(members: &mut Members, name: &str, change: impl FnOnce(&str) -> String) {
    let text = change(text(members, name));
    members.insert(name.to_owned(), text.into_bytes());
}

#[tokio::test]
async fn an_event_that_is_taken_out_is_missed() {
    let (objects, _) = sealed().await;
    let _log = Log::of(&objects).await;
    let bytes = made(&store(&objects), &session(), &[]).await.bytes;
    let rows_of = |members: &Members| Rows::parse(text(members, "links/00000002/rows")).unwrap();
    let own = |shown: &Shown| matches!(shown, Shown::Row(_));
    let count = rows_of(&unzipped(&bytes)).shown.iter().filter(|shown| own(shown)).count();
    assert_eq!(count, 3);
    for taken in 0..count {
        let mut members = unzipped(&bytes);
        let mut rows = rows_of(&members);
        let (at, _) =
            rows.shown.iter().enumerate().filter(|(_, shown)| own(shown)).nth(taken).unwrap();
        rows.shown.remove(at);
        members.insert("links/00000002/rows".to_owned(), rows.to_string().into_bytes());
        let why = refused(&members);
        assert!(
            why.contains("links/00000002/rows: the range proof does not lead to the root"),
            "{why}"
        );
    }
    // As a neighbour it leads to the root, and is told apart by its session.
    let mut members = unzipped(&bytes);
    let mut rows = rows_of(&members);
    let key = schemas::KafkaKey::parse(b"acme/s-1").unwrap();
    let at = rows.shown.iter().position(own).unwrap();
    if let Shown::Row(row) = rows.shown[at].clone() {
        rows.shown[at] = Shown::Other(row.neighbour(&key));
    }
    members.insert("links/00000002/rows".to_owned(), rows.to_string().into_bytes());
    assert!(refused(&members).contains("a row of the session is shown as a neighbour only"));
}

#[tokio::test]
async fn a_link_that_is_taken_out_or_moved_is_missed() {
    let (objects, _) = sealed().await;
    let _log = Log::of(&objects).await;
    let members = unzipped(&made(&store(&objects), &session(), &[]).await.bytes);
    let mut fewer = members.clone();
    for part in ["entry", "proof", "rows"] {
        let last = fewer.remove(&format!("links/00000003/{part}")).unwrap();
        fewer.insert(format!("links/00000002/{part}"), last);
    }
    edit(&mut fewer, "bundle", |claim| claim.replace("links 4", "links 3"));
    assert!(refused(&fewer).contains("links/00000002/entry: it does not follow the link before"));
    let mut cut = members.clone();
    cut.retain(|name, _| !name.starts_with("links/00000003"));
    let why = refused(&cut);
    assert!(why.contains("bundle: it says another number of links"), "{why}");
    assert!(why.contains("heartbeat/entry: it does not tell of the last link"), "{why}");
    let mut moved = members;
    for part in ["entry", "proof", "rows"] {
        let (two, three) = (format!("links/00000002/{part}"), format!("links/00000003/{part}"));
        let (a, b) = (moved[&two].clone(), moved[&three].clone());
        moved.extend([(two, b), (three, a)]);
    }
    assert!(refused(&moved).contains("its index does not come after that of the one before"));
}

#[tokio::test]
async fn every_forgery_of_a_proof_is_refused_by_name() {
    let (objects, _) = sealed().await;
    let log = Log::of(&objects).await;
    log.cosign(5, 1_790_000_300).await;
    let bytes = made(&store(&objects), &event(), &["all"]).await.bytes;
    let members = unzipped(&bytes);
    let with = |name: &str, change: &dyn Fn(&str) -> String| {
        let mut members = members.clone();
        edit(&mut members, name, change);
        refused(&members)
    };
    let proof = "links/00000000/proof";
    let longer = |text: &str| text.replacen("\n\n", &format!("\n{}=\n\n", "A".repeat(43)), 1);
    assert!(with(proof, &longer).contains("the path has a wrong length"));
    let shorter = |text: &str| {
        let hash = text.lines().nth(2).unwrap();
        text.replacen(&format!("{hash}\n"), "", 1)
    };
    assert!(with(proof, &shorter).contains("the path has a wrong length"));
    let index = |text: &str| text.replace("index 2", "index 1");
    assert!(with(proof, &index).contains("the path does not lead to the checkpoint's root"));
    let index = |text: &str| text.replace("index 2", "index 2000");
    assert!(with(proof, &index).contains("its index is not in the tree"));
    let origin = |text: &str| text.replace("origin example.org/log", "origin example.org/other");
    assert!(with("bundle", &origin).contains("its origin is another"));
    let twice = |text: &str| format!("{text}{}\n", text.lines().last().unwrap());
    assert!(with("checkpoint", &twice).contains("two of its signature lines are of one key"));
    assert!(with("cosignatures", &twice).contains("two of its signature lines are of one key"));
    let root = |text: &str| {
        let root = text.lines().nth(2).unwrap();
        text.replace(root, &format!("{}=", "A".repeat(43)))
    };
    let why = with("checkpoint", &root);
    assert!(why.contains("the signature is not its key's over this text"), "{why}");
    assert!(why.contains("it carries another checkpoint than the bundle"), "{why}");
    let unknown = |policy: &Policy| checked(&bytes, policy).unwrap_err()[0].to_string();
    assert!(unknown(&policy(2, "")).contains("signed with an unknown key"));
    let other = format!(
        "{}\n",
        LogSigner::new(
            KeyName::new("example.org/other").unwrap(),
            schemas::signature::SigningKey::from_bytes(&[1; 32])
        )
        .verifier()
    );
    assert!(
        unknown(&Policy::parse(&other).unwrap()).contains("no key that was given is of its log")
    );
    let two =
        format!("witness a {}\nwitness b {}\ngroup g all a b\nquorum g\n", witness(5), witness(6));
    assert!(
        unknown(&policy(1, &two)).contains("fewer witnesses have signed than the policy wants")
    );
}

#[tokio::test]
async fn a_cosignature_of_a_known_witness_has_to_be_right() {
    let (objects, _) = sealed().await;
    let log = Log::of(&objects).await;
    log.cosign(5, 1_790_000_300).await;
    let key = format!("log/cosignatures/{:020}", log.size());
    let line =
        crate::kit::keys(&objects).await.into_iter().find(|one| one.starts_with(&key)).unwrap();
    let mut bytes = crate::kit::get(&objects, &line).await;
    let at = bytes.len() - 10;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    put(&objects, &line, bytes).await;
    let proven = made(&store(&objects), &event(), &[]).await;
    let trusted = policy(1, &format!("witness w {}\n", witness(5)));
    let faults = checked(&proven.bytes, &trusted).unwrap_err();
    assert!(
        faults[0].to_string().starts_with("cosignatures: of w: the signature is not"),
        "{faults:?}"
    );
    // Whom nobody trusts may say what he will.
    assert!(checked(&proven.bytes, &policy(1, "")).is_ok());
}

#[tokio::test]
async fn a_log_that_is_smaller_or_another_than_was_known_is_refused() {
    let (objects, _) = sealed().await;
    let log = Log::of(&objects).await;
    let bytes = made(&store(&objects), &event(), &[]).await.bytes;
    let trusted = policy(1, "");
    let against = |known: &Checkpoint| {
        let trust = Trust { policy: Some(&trusted), known: Some(known), stamped: None };
        check_bundle(&bytes, &trust).map(drop).map_err(|faults| faults[0].to_string())
    };
    let known = log.checkpoint();
    assert_eq!(against(&known), Ok(()));
    assert_eq!(against(&Checkpoint { size: 1, ..known.clone() }), Ok(()));
    let larger = against(&Checkpoint { size: known.size + 1, ..known.clone() }).unwrap_err();
    assert!(larger.contains("rolled back"), "{larger}");
    let forked = against(&Checkpoint { root: Digest::ZERO, ..known.clone() }).unwrap_err();
    assert!(forked.contains("two roots for one size"), "{forked}");
    let origin = KeyName::new("example.org/other").unwrap();
    assert!(against(&Checkpoint { origin, ..known }).unwrap_err().contains("another log"));
}

#[tokio::test]
async fn false_claims_over_right_rows_are_refused() {
    let (objects, _) = sealed().await;
    let _log = Log::of(&objects).await;
    let store = store(&objects);
    let whole = unzipped(&made(&store, &session(), &["all"]).await.bytes);
    let claiming = |change: &dyn Fn(&mut Claim)| {
        let mut members = whole.clone();
        let mut claim = Claim::parse(text(&members, "bundle")).unwrap();
        change(&mut claim);
        members.insert("bundle".to_owned(), claim.to_string().into_bytes());
        refused(&members)
    };
    let none = claiming(&|claim| claim.what = Claimed::Absent(BEGIN..BEGIN + 9));
    assert!(none.contains("a message of the session has a time in the range"), "{none}");
    let one = claiming(&|claim| claim.what = Claimed::Event(Digest::ZERO));
    assert!(one.contains("an event is shown by one link, a record"), "{one}");
    let other = claiming(&|claim| claim.key = schemas::KafkaKey::parse(b"acme/s-2").unwrap());
    assert!(other.contains("the range proof does not lead to the root"), "{other}");
    let partition = claiming(&|claim| claim.partition = schemas::Partition(1));
    assert!(partition.contains("it is of another partition than the claim"), "{partition}");
    let counts = claiming(&|claim| claim.withheld += 1);
    assert!(counts.contains("other numbers of disclosed and withheld bodies"), "{counts}");
    // The first link of an absence has to be earlier, or the first there is.
    let late = unzipped(&made(&store, &absent(6, 900), &[]).await.bytes);
    let mut members = late;
    edit(&mut members, "bundle", |claim| {
        claim.replace(&format!("from {}", BEGIN + 6), &format!("from {}", BEGIN - 6))
    });
    let why = refused(&members);
    assert!(why.contains("neither of earlier messages alone nor the first there is"), "{why}");
}

#[tokio::test]
async fn bodies_have_to_be_those_that_are_named() {
    let (objects, _) = sealed().await;
    let _log = Log::of(&objects).await;
    let whole = unzipped(&made(&store(&objects), &session(), &["all"]).await.bytes);
    let name = whole.keys().find(|name| name.starts_with("bodies/")).unwrap().clone();
    let mut longer = whole.clone();
    longer.get_mut(&name).unwrap().push(0);
    let why = refused(&longer);
    assert!(why.contains("its digest is another") && why.contains("not of the size"), "{why}");
    let mut unnamed = whole.clone();
    unnamed.insert(format!("bodies/{}", Digest::ZERO), vec![0; 20]);
    assert!(refused(&unnamed).contains("no event that is shown names it"));
    let mut people = whole;
    edit(&mut people, "bundle.html", |page| page.replace("please", "thanks"));
    assert!(
        refused(&people).contains("bundle.html: it is not what its maker makes of this bundle")
    );
}
