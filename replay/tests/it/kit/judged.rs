//! Chains with a log, and how they are judged.

use replay::{LogOptions, Report, VerifyOptions, verify};
use schemas::Seconds;
use schemas::tlog::Policy;

use super::log::AT;
use super::writer::{Sent, Writer};
use super::{Objects, empty, golden, store};

/// A chain of so many segments with a message each.
pub(crate) async fn chain(segments: usize) -> (Objects, Writer) {
    let objects = empty();
    let mut writer = Writer::new(&objects).await;
    for _ in 0..segments {
        seal(&mut writer).await;
    }
    (objects, writer)
}

pub(crate) async fn seal(writer: &mut Writer) -> String {
    let envelope = writer.envelope("s-1", "user.message");
    let sent: Sent = Writer::message(&envelope, &[]).0;
    writer.seal(&[sent]).await
}

pub(crate) async fn judged(objects: &Objects, log: LogOptions<'_>) -> Report {
    let options = VerifyOptions { log, now: Some(Seconds(AT + 60)), ..VerifyOptions::default() };
    verify(&store(objects), options).await.unwrap()
}

pub(crate) async fn report(objects: &Objects) -> Report {
    judged(objects, LogOptions::default()).await
}

pub(crate) async fn trusting(objects: &Objects, trust: &Policy) -> Report {
    judged(objects, LogOptions { trust: Some(trust), ..LogOptions::default() }).await
}

/// The only finding: its kind, object and reason.
pub(crate) fn only(report: &Report) -> (&'static str, &str, &str) {
    let [found] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    (found.kind.as_str(), &found.object, &found.reason)
}

/// Whom to trust, as a file beside the golden stores says.
pub(crate) fn golden_trust(name: &str) -> Policy {
    let text = std::fs::read_to_string(golden(name)).unwrap();
    Policy::parse(&text).unwrap()
}
