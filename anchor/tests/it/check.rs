//! What is accepted, what is refused and why; and that OpenSSL agrees.

use std::time::Duration;

use anchor::timestamp::{
    CERTIFICATES_MAX, Nonce, RESPONSE_BYTES_MAX, Roots, Stamped, Trust, WhyNot, check, request,
};
use schemas::{Digest, Seconds};
use webpki::Error as Chain;

use crate::openssl::{AUTHORITY, OpenSsl, P256, P384, ROOT, RSA, data};

const NONCE: Nonce = Nonce([0, 0x80, 3, 4, 5, 6, 7, 0xff]);
const CADES: &str = "-cades -econtent_type 1.2.840.113549.1.9.16.1.4";

/// An authority `tsa` with this key, and its answer.
fn answered(key: &[&str], section: &str) -> (OpenSsl, Vec<u8>) {
    let openssl = OpenSsl::new();
    openssl.certify("tsa", key, "root", "tsa", 30);
    let response = openssl.reply(&request(&data(), NONCE), section, "tsa", &[]);
    (openssl, response)
}

fn checked(openssl: &OpenSsl, response: &[u8]) -> Result<Stamped, WhyNot> {
    check(response, &data(), Some(&openssl.roots("root")))
}

/// An authority with this key, and the `TSTInfo` that it signed.
fn informed(key: &[&str]) -> (OpenSsl, Vec<u8>) {
    let (openssl, granted) = answered(key, "authority");
    let info = openssl.info(&granted);
    (openssl, info)
}

/// The time that OpenSSL reads in a response.
fn time(openssl: &OpenSsl, response: &[u8]) -> Seconds {
    openssl.write("timed.tsr", response);
    let text = openssl.run("ts -reply -in timed.tsr -text", &[]);
    let text = String::from_utf8(text).unwrap();
    let time = text.lines().find_map(|line| line.strip_prefix("Time stamp: ")).unwrap();
    let date = std::process::Command::new("date").args(["-u", "+%s", "-d", time]).output().unwrap();
    Seconds(String::from_utf8(date.stdout).unwrap().trim().parse().unwrap())
}

#[test]
fn what_a_real_authority_answers_is_accepted_here_and_by_openssl() {
    for key in [RSA, P256, P384] {
        let (openssl, response) = answered(key, "authority");
        let stamped = checked(&openssl, &response).unwrap();
        let expected = Stamped {
            time: time(&openssl, &response),
            accuracy: Some(Duration::from_micros(1_500_100)),
            authority: AUTHORITY.to_owned(),
            serial: "0a2c".to_owned(),
            nonce: Some(NONCE),
            trust: Trust::Chained { root: ROOT.to_owned() },
        };
        assert_eq!(stamped, expected);
        openssl.verify(&response, "root").unwrap();
        let unchecked = check(&response, &data(), None).unwrap();
        assert_eq!(unchecked, Stamped { trust: Trust::Unchecked, ..expected });
    }
}

#[test]
fn an_authority_of_the_old_kind_is_accepted_and_its_fraction_of_a_second_rounded_up() {
    // SHA-1 names the certificate, SHA-512 is signed, and the time has six digits after the point.
    let (openssl, response) = answered(RSA, "old");
    let stamped = checked(&openssl, &response).unwrap();
    openssl.write("old.tsr", &response);
    let text = String::from_utf8(openssl.run("ts -reply -in old.tsr -text", &[])).unwrap();
    let line = text.lines().find(|line| line.starts_with("Time stamp: ")).unwrap();
    let rounded = i64::from(line.contains('.'));
    assert_eq!(stamped.time.0, time(&openssl, &response).0 + rounded);
    assert_eq!(stamped.accuracy, None);
    openssl.verify(&response, "root").unwrap();
}

#[test]
fn a_time_stamp_of_other_data_is_refused() {
    let (openssl, response) = answered(P256, "authority");
    let other = Digest::of(b"another checkpoint\n");
    let refused = check(&response, &other, Some(&openssl.roots("root"))).unwrap_err();
    assert_eq!(refused, WhyNot::OtherData);
    assert_eq!(check(&response, &other, None).unwrap_err(), WhyNot::OtherData);
}

#[test]
fn a_root_of_the_same_name_with_another_key_vouches_for_nothing() {
    let (openssl, response) = answered(P256, "authority");
    openssl.root("other");
    let refused = check(&response, &data(), Some(&openssl.roots("other"))).unwrap_err();
    let source = Chain::InvalidSignatureForPublicKey;
    assert_eq!(refused, WhyNot::Untrusted { source });
    openssl.verify(&response, "other").unwrap_err();

    let both = [openssl.read("other.pem"), openssl.read("root.pem")].concat();
    let both = Roots::from_pem(&both).unwrap();
    check(&response, &data(), Some(&both)).unwrap();
}

#[test]
fn a_certificate_that_had_expired_at_the_stamped_time_is_refused() {
    let openssl = OpenSsl::new();
    openssl.certify("tsa", P256, "root", "tsa", -1);
    let response = openssl.reply(&request(&data(), NONCE), "authority", "tsa", &[]);
    let refused = checked(&openssl, &response).unwrap_err();
    assert!(
        matches!(
            refused,
            WhyNot::Untrusted { source: Chain::CertExpired { .. } | Chain::InvalidCertValidity }
        ),
        "{refused:?}"
    );
    openssl.verify(&response, "root").unwrap_err();
}

#[test]
fn an_authority_between_must_be_one_and_must_be_in_the_response() {
    let openssl = OpenSsl::new();
    openssl.certify("between", P256, "root", "root", 30);
    openssl.certify("tsa", RSA, "between", "tsa", 30);
    let query = request(&data(), NONCE);
    let response = openssl.reply(&query, "authority", "tsa", &["-chain", "between.pem"]);
    let trust = checked(&openssl, &response).unwrap().trust;
    assert_eq!(trust, Trust::Chained { root: ROOT.to_owned() });
    openssl.verify(&response, "root").unwrap();

    let without = openssl.reply(&query, "authority", "tsa", &[]);
    let source = Chain::UnknownIssuer;
    assert_eq!(checked(&openssl, &without).unwrap_err(), WhyNot::Untrusted { source });

    // The same key, certified for something else than certifying.
    openssl.sign("between", "between", "root", "no_usage", 30);
    let response = openssl.reply(&query, "authority", "tsa", &["-chain", "between.pem"]);
    let source = Chain::EndEntityUsedAsCa;
    assert_eq!(checked(&openssl, &response).unwrap_err(), WhyNot::Untrusted { source });
    openssl.verify(&response, "root").unwrap_err();
}

/// `openssl ts` will not sign with such certificates; `openssl cms` signs anything.
#[test]
fn a_certificate_that_is_not_for_time_stamps_alone_is_refused() {
    let (openssl, info) = informed(P256);
    for section in ["no_usage", "uncritical", "two_usages", "other_usage"] {
        openssl.sign("other", "tsa", "root", section, 30);
        let arguments = format!("-signer other.pem -inkey tsa.key {CADES}");
        let response = openssl.signed(&info, &arguments);
        assert_eq!(checked(&openssl, &response).unwrap_err(), WhyNot::Purpose, "{section}");
        openssl.verify(&response, "root").unwrap_err();
    }
    // What is refused above is the certificate and nothing else.
    let response = openssl.signed(&info, &format!("-signer tsa.pem -inkey tsa.key {CADES}"));
    checked(&openssl, &response).unwrap();
    openssl.verify(&response, "root").unwrap();
}

#[test]
fn algorithms_are_known_or_named() {
    let (openssl, info) = informed(RSA);
    let sign = |more: &str| {
        let arguments = format!("-signer tsa.pem -inkey tsa.key {CADES} {more}");
        let response = openssl.signed(&info, &arguments);
        checked(&openssl, &response).map(drop)
    };
    let pss = "-keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:digest";
    for more in ["-md sha384", "-md sha512", pss, &format!("-md sha512 {pss}")] {
        assert_eq!(sign(more), Ok(()), "{more}");
    }
    let refused = sign("-md sha224").unwrap_err();
    assert_eq!(refused.to_string(), "the digest algorithm 2.16.840.1.101.3.4.2.4 is not supported");
    assert_eq!(sign(&format!("{pss} -keyopt rsa_pss_saltlen:20")), Err(WhyNot::Signature));

    let (openssl, info) = informed(P384);
    let arguments = format!("-signer tsa.pem -inkey tsa.key {CADES} -md sha512");
    let refused = checked(&openssl, &openssl.signed(&info, &arguments)).unwrap_err();
    assert_eq!(refused.to_string(), "the signature algorithm 1.2.840.10045.4.3.4 is not supported");
}

#[test]
fn a_signature_must_be_bound_to_its_certificate() {
    let (openssl, info) = informed(P256);
    // Another certificate for the same key: the signature is good under both.
    openssl.sign("twin", "tsa", "root", "tsa", 30);
    let signer = "-signer tsa.pem -inkey tsa.key";
    let content = "-econtent_type 1.2.840.113549.1.9.16.1.4";
    let signed = |more: &str| {
        checked(&openssl, &openssl.signed(&info, &format!("{signer} {content} {more}")))
    };
    let attribute = "signing certificate";
    assert_eq!(signed("").unwrap_err(), WhyNot::Attribute { attribute });
    assert_eq!(signed("-cades -nocerts").unwrap_err(), WhyNot::NoCertificate);
    let twin_alone = signed("-cades -nocerts -certfile twin.pem");
    assert_eq!(twin_alone.unwrap_err(), WhyNot::NoCertificate);
    signed("-cades -certfile twin.pem").unwrap();
}

#[test]
fn one_signer_signs_one_time_stamp() {
    let (openssl, info) = informed(P256);
    openssl.certify("second", P256, "root", "tsa", 30);
    let signer = "-signer tsa.pem -inkey tsa.key";
    for (arguments, place) in [
        (format!("{signer} -signer second.pem -inkey second.key {CADES}"), "the signed data"),
        (format!("{signer} -cades"), "the signed data"),
        (format!("{signer} -econtent_type 1.2.840.113549.1.9.16.1.4 -noattr"), "the signer"),
    ] {
        let refused = checked(&openssl, &openssl.signed(&info, &arguments)).unwrap_err();
        assert_eq!(refused, WhyNot::Malformed { place }, "{arguments}");
    }
}

#[test]
fn a_content_type_that_was_signed_is_not_to_be_changed_afterwards() {
    let (openssl, info) = informed(P256);
    // Signed as a receipt, 1.2.840.113549.1.9.16.1.1, and then called a time-stamp.
    let receipt = CADES.replace("16.1.4", "16.1.1");
    let signer = "-signer tsa.pem -inkey tsa.key";
    let mut response = openssl.signed(&info, &format!("{signer} {receipt}"));
    let oid = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x01];
    let place = response.windows(oid.len()).position(|bytes| bytes == oid).unwrap();
    response[place + oid.len() - 1] = 4;
    let attribute = "content type";
    assert_eq!(checked(&openssl, &response).unwrap_err(), WhyNot::Attribute { attribute });
    // OpenSSL does not compare the two: nothing else is wrong.
    openssl.verify(&response, "root").unwrap();
}

#[test]
fn a_signed_time_stamp_must_be_understood_as_a_whole() {
    let (openssl, info) = informed(P256);
    let signer = format!("-signer tsa.pem -inkey tsa.key {CADES}");
    let signed = |info: &[u8]| checked(&openssl, &openssl.signed(info, &signer)).map(drop);
    // One byte of length, so that there is room to append to the sequence.
    let append = |tail: &[u8]| {
        let mut longer = [&info, tail].concat();
        longer[1] = u8::try_from(longer.len() - 2).unwrap();
        assert!(longer[1] < 128);
        longer
    };
    let extension =
        |critical| append(&[0xa1, 12, 0x30, 10, 6, 3, 0x2a, 3, 4, 1, 1, critical, 4, 0]);
    assert_eq!(signed(&append(&[0xa1, 9, 0x30, 7, 6, 3, 0x2a, 3, 4, 4, 0])), Ok(()));
    let place = "an extension that is not known here and is critical, a part";
    assert_eq!(signed(&extension(0xff)), Err(WhyNot::Malformed { place }));

    let place = "the time-stamp";
    assert_eq!(signed(&append(&[5, 0])), Err(WhyNot::Malformed { place }));
    let mut version = info.clone();
    assert_eq!(version[2..5], [2, 1, 1]);
    version[4] = 2;
    assert_eq!(signed(&version), Err(WhyNot::Malformed { place }));

    // SHA-512, by its name, of 32 bytes.
    let mut imprint = info.clone();
    let sha256 = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
    let place = info.windows(sha256.len()).position(|bytes| bytes == sha256).unwrap();
    imprint[place + sha256.len() - 1] = 3;
    assert_eq!(signed(&imprint), Err(WhyNot::OtherData));
}

#[test]
fn a_response_has_so_many_certificates_and_no_more() {
    let (openssl, info) = informed(P256);
    let mut twins = Vec::new();
    for count in 1..=CERTIFICATES_MAX {
        openssl.sign("twin", "tsa", "root", "tsa", 30);
        twins.extend(openssl.read("twin.pem"));
        openssl.write("twins.pem", &twins);
        if count < CERTIFICATES_MAX - 1 {
            continue;
        }
        let arguments = format!("-signer tsa.pem -inkey tsa.key {CADES} -certfile twins.pem");
        let checked = checked(&openssl, &openssl.signed(&info, &arguments)).map(drop);
        let place = "the list of certificates";
        let expected =
            if count < CERTIFICATES_MAX { Ok(()) } else { Err(WhyNot::Malformed { place }) };
        assert_eq!(checked, expected, "{count} and the signer's");
    }
}

#[test]
fn what_the_authority_refuses_is_no_time_stamp() {
    let (openssl, _) = answered(P256, "authority");
    let rejection = openssl.reply(&request(&data(), NONCE), "choosy", "tsa", &[]);
    assert_eq!(checked(&openssl, &rejection).unwrap_err(), WhyNot::Refused { status: 2 });
}

#[test]
fn what_is_too_long_is_not_read() {
    let (openssl, mut response) = answered(P256, "authority");
    response.resize(RESPONSE_BYTES_MAX, 0);
    let place = "the envelope";
    assert_eq!(checked(&openssl, &response).unwrap_err(), WhyNot::Malformed { place });
    response.push(0);
    assert_eq!(checked(&openssl, &response).unwrap_err(), WhyNot::Long);
}

#[test]
fn roots_are_certificates_in_pem() {
    let openssl = OpenSsl::new();
    assert!(Roots::from_pem(&openssl.read("root.key")).is_err());
    assert!(Roots::from_pem(b"").is_err());
    let cut = openssl.read("root.pem");
    assert!(Roots::from_pem(&cut[..cut.len() / 2]).is_err());
}
