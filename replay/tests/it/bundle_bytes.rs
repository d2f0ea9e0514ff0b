//! A small bundle with each of its bytes changed, and with a text withheld that every hash in it is held against.

use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use replay::{Disclose, Question, Sought, prove};
use schemas::{Digest, Hasher};

use crate::bundle::{EVENT, SECRET, checked, options, sealed, session};
use crate::kit::log::{Log, policy, witness};
use crate::kit::store;
use crate::kit::zip::{Members, unzipped, zipped};

const FLIPS: [u8; 2] = [1, 0x80];

async fn bundle(question: &Question, disclose: &[&str]) -> Vec<u8> {
    let (objects, _) = sealed().await;
    let log = Log::of(&objects).await;
    log.cosign(5, 1_790_000_300).await;
    prove(&store(&objects), question, &options(disclose)).await.unwrap().bytes
}

fn trusted() -> schemas::tlog::Policy {
    policy(1, &format!("witness w {}\n", witness(5)))
}

/// Calls for every number below `end`, on two threads.
fn each(end: usize, call: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for half in 0..2 {
            let call = &call;
            scope.spawn(move || (half..end).step_by(2).for_each(call));
        }
    });
}

#[tokio::test]
async fn no_byte_of_the_file_can_be_another() {
    let bytes = bundle(&session(), &["tool"]).await;
    let policy = trusted();
    assert!(checked(&bytes, &policy).is_ok());
    each(bytes.len(), |at| {
        for flip in FLIPS {
            let mut other = bytes.clone();
            other[at] ^= flip;
            let faults = checked(&other, &policy).unwrap_err();
            assert_eq!(faults[0].to_string(), "its comment is not the hash of what is before it");
        }
    });
}

/// Changes every byte of these members of a bundle, as far as `end` says, and makes the hash right again.
fn change(members: &Members, names: &[&str], end: impl Fn(&str) -> usize) {
    let policy = trusted();
    assert!(checked(&zipped(members), &policy).is_ok());
    for &name in names {
        each(end(name), |at| {
            for flip in FLIPS {
                let mut other: Members = members.clone();
                other.get_mut(name).unwrap()[at] ^= flip;
                let faults = checked(&zipped(&other), &policy);
                assert!(faults.is_err_and(|faults| !faults.is_empty()), "{name} {at} ^ {flip}");
            }
        });
    }
}

#[tokio::test]
async fn no_byte_of_a_member_can_be_another_though_the_hash_is_right() {
    let event = Question::Event { sought: Sought::Id(EVENT), session: None };
    let members = unzipped(&bundle(&event, &["tool"]).await);
    let names: Vec<&str> = members.keys().map(String::as_str).collect();
    assert!(
        names.iter().any(|name| name.starts_with("bodies/")) && names.contains(&"cosignatures")
    );
    // Who made it is the maker's own word, and what he wrote for people is held against it only where it is ours.
    let said = std::str::from_utf8(&members["bundle"]).unwrap().find("writer ").unwrap();
    let end = |name: &str| if name == "bundle" { said } else { members[name].len() };
    change(&members, &names, end);
}

/// What the bundle of an event has not: neighbours, an opening, a heartbeat.
#[tokio::test]
async fn no_byte_of_what_a_whole_session_shows_can_be_another() {
    let members = unzipped(&bundle(&session(), &[]).await);
    let names = [
        "links/00000000/entry",
        "links/00000000/proof",
        "links/00000002/rows",
        "links/00000003/rows",
        "heartbeat/entry",
        "heartbeat/proof",
    ];
    change(&members, &names, |name| members[name].len());
}

#[tokio::test]
async fn a_bundle_that_is_cut_or_grown_is_refused() {
    let bytes = bundle(&session(), &[]).await;
    let policy = trusted();
    for cut in (0..bytes.len()).step_by(7) {
        assert!(checked(&bytes[..cut], &policy).is_err(), "{cut}");
    }
    assert!(checked(&[bytes.as_slice(), b"x"].concat(), &policy).is_err());
    let members = unzipped(&bytes);
    for name in members.keys().filter(|name| !name.ends_with("/rows")) {
        let mut fewer = members.clone();
        fewer.remove(name);
        assert!(checked(&zipped(&fewer), &policy).is_err(), "{name}");
    }
    for name in
        ["links/00000009/entry", "links/00000000/rows", "bundle/", "../x", "timestamps/A.tsr"]
    {
        let mut more = members.clone();
        more.insert(name.to_owned(), b"x".to_vec());
        assert!(checked(&zipped(&more), &policy).is_err(), "{name}");
    }
}

/// All that is 32 bytes long in the members: bytes at any place, hexadecimal and base64.
fn hashes(members: &Members) -> Vec<[u8; 32]> {
    let mut found: Vec<[u8; 32]> = Vec::new();
    for content in members.values() {
        found.extend(content.windows(32).map(|window| <[u8; 32]>::try_from(window).unwrap()));
        let text = String::from_utf8_lossy(content);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=".contains(c));
        for word in words {
            if let Ok(digest) = word.parse::<Digest>() {
                found.push(digest.0);
            }
            if let Ok(bytes) = BASE64_STANDARD.decode(word) {
                found.extend(bytes.windows(32).map(|window| <[u8; 32]>::try_from(window).unwrap()));
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// What somebody who guesses the text could compute of it without a salt.
fn guesses(text: &str) -> Vec<[u8; 32]> {
    let text = text.as_bytes();
    let mut guesses = vec![Digest::of(text), Hasher::plain().u8(0).bytes(text).finish()];
    let domains = [
        "body", "item", "event", "raw", "headers", "row", "carriage", "context", "claims", "gaps",
        "session",
    ];
    for domain in domains {
        let hasher = || Hasher::new(domain);
        guesses.push(hasher().bytes(text).finish());
        guesses.push(hasher().lp(text).finish());
        guesses.push(hasher().opt(Some(text)).finish());
        guesses.push(hasher().bytes(&[0; 16]).bytes(text).finish());
        guesses.push(hasher().bytes(&[0; 16]).opt(Some(text)).finish());
    }
    guesses.into_iter().map(|digest| digest.0).collect()
}

#[tokio::test]
async fn no_hash_in_a_bundle_confirms_a_guess_of_what_it_withholds() {
    let members = unzipped(&bundle(&session(), &["role:user"]).await);
    // The tool's result is named as the user's words, too: it is the same body, and disclosed.
    assert!(
        members
            .iter()
            .any(|(name, body)| name.starts_with("bodies/") && body.ends_with(SECRET.as_bytes()))
    );
    let members = unzipped(&bundle(&session(), &["kind:document", "kind:text"]).await);
    let shown = members
        .values()
        .any(|content| content.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
    assert!(!shown);
    let hashes = hashes(&members);
    assert!(hashes.len() > 1_000);
    for guess in guesses(SECRET) {
        assert!(hashes.binary_search(&guess).is_err());
    }
    // The look is not blind: what stands in the bundle as a hash is found.
    let disclosed = members.keys().find_map(|name| name.strip_prefix("bodies/")).unwrap();
    let disclosed: Digest = disclosed.parse().unwrap();
    assert!(hashes.binary_search(&disclosed.0).is_ok());
    assert_eq!("tool".parse(), Ok(Disclose::Word("tool".to_owned())));
}
