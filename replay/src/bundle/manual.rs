//! CORE. `VERIFY.md`: what a bundle claims and how anybody checks it, with our tools or without.

use std::fmt::Write as _;

use schemas::BundleName;

use crate::bundle::Bundle;
use crate::bundle::summary::Summary;

/// The text.
pub(crate) fn manual(bundle: &Bundle) -> String {
    let summary = Summary::of(bundle);
    let mut text = String::from("# An evidence bundle\n\nIt claims:\n\n");
    // Words of others stand in indented blocks, where no markup is read.
    summary.claimed().iter().for_each(|line| paragraph(&mut text, line));
    text.push_str("What it does not show, whoever checks it:\n\n");
    summary.limits().iter().for_each(|line| paragraph(&mut text, line));
    text.push_str(TRUST);
    paragraph(&mut text, &format!("log {}", bundle.claim.origin));
    text.push_str(TOOLS);
    by_hand(bundle, &mut text);
    let claim = &bundle.claim;
    let _infallible = writeln!(
        text,
        "\nMade at {} by {}. Bodies disclosed: {}, withheld: {}.",
        claim.made_at, claim.writer, claim.disclosed, claim.withheld
    );
    text
}

fn paragraph(text: &mut String, line: &str) {
    let _infallible = writeln!(text, "    {line}\n");
}

const TRUST: &str = "\
## Whom to ask for the key

Nothing in this bundle says whom to trust. Get the verifier key of the log from somebody you trust for it, not from whoever
handed you the bundle; and where you can, the keys of its witnesses and the roots of its time-stamp authorities. The log is

";

const TOOLS: &str = "\
## With chancery

    chancery verify BUNDLE --trust FILE

needs no network. FILE holds the verifier key, or a policy (c2sp.org/tlog-policy) with the keys of the log and of witnesses. It
says what is proven, by whom, since when at the latest and what is not; it ends with 0 where all holds, with 3 where anything
does not. `bundle.html` shows the same rows for reading; like this file it proves nothing.

## By hand

Every member is text but bodies and time-stamps. `docs/format.md` of Chancery, section 10, defines each byte.

";

fn by_hand(bundle: &Bundle, text: &mut String) {
    let mut steps = vec![
        "The file is whole: its comment (`unzip -z`) is the SHA-256 of all its bytes before the last 64.".to_owned(),
        "`checkpoint` is a signed note (c2sp.org/signed-note): name, size, root, an empty line, signatures. Go's \
         golang.org/x/mod/sumdb/note opens it with the verifier key."
            .to_owned(),
    ];
    if !bundle.cosignatures.is_empty() {
        steps.push(
            "`cosignatures` are lines of witnesses over it (c2sp.org/tlog-cosignature): each signed `cosignature/v1`, a line \
             `time` and the note's text."
                .to_owned(),
        );
    }
    for name in bundle.timestamps.keys() {
        let member = BundleName::Timestamp(name.clone());
        steps.push(format!(
            "The time-stamp: `openssl ts -verify -in {member} -data checkpoint -CAfile ROOTS.pem`."
        ));
    }
    steps.push(
        "Each `links/N/proof` is a c2sp.org/tlog-proof of `links/N/entry`: its leaf is the SHA-256 of a byte 00 and the entry's \
         bytes, and the path leads to the checkpoint's root (golang.org/x/mod/sumdb/tlog: CheckRecord). Each entry's `prev` is \
         the leaf of the entry before."
            .to_owned(),
    );
    if bundle.heartbeat.is_some() {
        steps.push(
            "`heartbeat/proof` is the same of `heartbeat/entry`, whose line of the partition names the leaf of the last link."
                .to_owned(),
        );
    }
    steps.push(
        "`links/N/rows` shows rows of the segment with that record: their leaves (sections 4.1 and 10.2) and the lines `left` and \
         `right` rebuild the record's `root`. `schemas/verify` of Chancery has a reader in Python that shares no code with \
         chancery."
            .to_owned(),
    );
    if !bundle.bodies.is_empty() {
        steps.push(
            "A file in `bodies` begins with 16 bytes of salt, then comes the content; its name is its digest: \
             `(printf 'chancery.body.v1\\0'; cat bodies/NAME) | sha256sum`."
                .to_owned(),
        );
    }
    if !bundle.schemas.is_empty() {
        steps.push(
            "`sha256sum schemas/*` gives the files' names; they say how envelopes are read (Avro)."
                .to_owned(),
        );
    }
    for (number, step) in (1..).zip(steps) {
        let _infallible = writeln!(text, "{number}. {step}");
    }
}
