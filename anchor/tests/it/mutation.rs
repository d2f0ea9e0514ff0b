//! A stored response, changed: nothing that is still accepted says anything else.
//!
//! `tests/data/make.sh` made it: an RSA authority's, certified by one between that a P-256 root certified.

use std::time::Duration;

use anchor::timestamp::{Roots, Stamped, Trust, check};
use proptest::prelude::*;
use schemas::{Digest, Seconds};

const RESPONSE: &[u8] = include_bytes!("../data/response.tsr");
const ROOT: &[u8] = include_bytes!("../data/root.pem");
const DATA: &[u8] = include_bytes!("../data/data");

/// Bytes that say nothing about the time-stamp and are not signed: the last bit of the status, granted or granted with
/// modifications; the version of the signed data and of the signer; the list of digest algorithms ahead of the content.
const FREE: [usize; 18] = [8, 34, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 1290];

fn roots() -> Roots {
    Roots::from_pem(ROOT).unwrap()
}

fn stamped() -> Stamped {
    Stamped {
        time: Seconds(1_795_855_308),
        accuracy: Some(Duration::from_micros(1_500_100)),
        authority: "CN=Time Stamps 1,O=Example\\, Inc.".to_owned(),
        serial: "0a2c".to_owned(),
        nonce: None,
        trust: Trust::Chained { root: "CN=Root".to_owned() },
    }
}

#[test]
fn the_stored_response_says_what_it_said() {
    let data = Digest::of(DATA);
    assert_eq!(check(RESPONSE, &data, Some(&roots())), Ok(stamped()));
    let unchecked = Stamped { trust: Trust::Unchecked, ..stamped() };
    assert_eq!(check(RESPONSE, &data, None), Ok(unchecked));
}

#[test]
fn a_changed_byte_is_found_or_changes_nothing() {
    let (data, roots) = (Digest::of(DATA), roots());
    let mut free = Vec::new();
    for place in 0..RESPONSE.len() {
        let mut response = RESPONSE.to_vec();
        for change in [1, 2, 4, 8, 16, 32, 64, 128, 0xff] {
            response[place] = RESPONSE[place] ^ change;
            if let Ok(changed) = check(&response, &data, Some(&roots)) {
                assert_eq!(changed, stamped(), "byte {place} ^ {change:02x}");
                free.push(place);
            }
        }
    }
    free.dedup();
    assert_eq!(free, FREE);
}

#[test]
fn a_response_that_is_cut_is_refused() {
    for length in 0..RESPONSE.len() {
        check(&RESPONSE[..length], &Digest::of(DATA), None).unwrap_err();
    }
}

proptest! {
    /// Any bytes in the place of any others.
    #[test]
    fn whatever_is_spliced_in_is_found_or_changes_nothing(
        start in 0..RESPONSE.len(),
        length in 0..64_usize,
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut response = RESPONSE.to_vec();
        let end = (start + length).min(response.len());
        response.splice(start..end, bytes);
        if let Ok(changed) = check(&response, &Digest::of(DATA), Some(&roots())) {
            prop_assert_eq!(changed, stamped());
        }
    }

    /// What is no response at all, behind a header that promises one.
    #[test]
    fn noise_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for head in [&[][..], &[0x30, 0x82, 0x01, 0x00], &RESPONSE[..60]] {
            let noise = [head, &bytes].concat();
            prop_assert!(check(&noise, &Digest::of(DATA), Some(&roots())).is_err());
        }
    }
}
