//! Evidence bundles of a small store with a log: what each claim proves, with any choice of bodies, and by whose word.

use std::str::FromStr as _;

use replay::{
    Disclose, Error, Fault, ProveOptions, Proven, Question, Sought, Stamped, Statement, Store,
    Trust, check_bundle, prove,
};
use schemas::tlog::Policy;
use schemas::{Digest, EventId, Monitor, Offset, Rows, Seconds, Tenant};

use crate::kit::chat::{Sender, owned};
use crate::kit::log::{AT, Log, policy, signer, witness};
use crate::kit::writer::Writer;
use crate::kit::zip::{Members, unzipped};
use crate::kit::{Objects, empty, put, store};

pub(crate) const EVENT: EventId = EventId([7; 16]);
pub(crate) const SECRET: &str = "the account number is 4711";
const HOSTILE: &str =
    "</pre><script>alert(1)</script>\u{202e}<img src=x onerror='alert(2)'>&amp;\"";
/// The time of the first message of the test writer.
pub(crate) const BEGIN: i64 = 1_790_000_000_000;

/// Three segments: session s-1 is in the first two, with a tool result that is named again, a body in an object of its own
/// and a message that is no event.
pub(crate) async fn sealed() -> (Objects, Digest) {
    let objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut sent = Vec::new();
    for session in ["s-1", "s-2", "s-3"] {
        let mut chat = Sender::new(&mut writer, session);
        chat.event("user.message", &[("user", "text", "please"), ("user", "text", HOSTILE)]);
        sent.append(&mut chat.sent);
    }
    writer.seal(&sent).await;
    let mut chat = Sender::new(&mut writer, "s-1");
    let digest = chat.event_with("tool.call", &[("tool", "tool_result", SECRET)], |envelope| {
        envelope.event_id = EVENT;
        envelope.tool_name = Some("accounts".into());
    });
    let bytes = envelope(&chat.sent[0]);
    let named = owned(&schemas::Envelope::from_bytes(&bytes).unwrap().contents[0]);
    let mut again = chat.writer.envelope("s-1", "llm.call");
    let again_named = schemas::Content { role: "user".into(), ..named };
    let (content, body) = chat.writer.body("", "document", b"a large document");
    again.contents = vec![again_named, owned(&content)];
    let claim = schemas::Body { data: None, ..body };
    let key = schemas::KafkaKey::parse(b"acme/s-1").unwrap();
    let object = schemas::body_key(&key.session_key(), &claim.digest);
    put(&objects, &object, b"a large document".to_vec()).await;
    chat.send(&again, &[claim]);
    let mut sent = chat.sent;
    sent.push((b"acme/s-1".to_vec(), Some(b"garbage".to_vec())));
    writer.seal(&sent).await;
    let mut chat = Sender::new(&mut writer, "s-4");
    chat.event("session.end", &[]);
    let sent = chat.sent;
    writer.seal(&sent).await;
    (objects, digest)
}

/// The envelope in a message that has one event.
fn envelope((key, value): &crate::kit::writer::Sent) -> Vec<u8> {
    let message = schemas::Message {
        offset: Offset(0),
        timestamp: schemas::Timestamp::default(),
        key: Some(key),
        value: value.as_deref(),
    };
    let place = schemas::Place { partition: schemas::Partition(0), partitions: 1 };
    schemas::read(&message, place).unwrap().envelope_bytes.to_vec()
}

pub(crate) fn options(disclose: &[&str]) -> ProveOptions {
    ProveOptions {
        tenant: Some(Tenant::new("acme").unwrap()),
        topic: None,
        partition: None,
        disclose: disclose.iter().map(|one| Disclose::from_str(one).unwrap()).collect(),
        monitor: Some(Monitor { size: 4, at: Seconds(AT) }),
        now: Seconds(AT + 60),
    }
}

pub(crate) fn session() -> Question {
    Question::Session { id: "s-1".to_owned(), times: None }
}

pub(crate) fn event() -> Question {
    Question::Event { sought: Sought::Id(EVENT), session: None }
}

pub(crate) fn absent(from: i64, to: i64) -> Question {
    Question::Absent { id: "s-1".to_owned(), times: BEGIN + from..BEGIN + to }
}

pub(crate) async fn made(store: &Store, question: &Question, disclose: &[&str]) -> Proven {
    prove(store, question, &options(disclose)).await.unwrap()
}

pub(crate) fn checked(bytes: &[u8], policy: &Policy) -> Result<Statement, Vec<Fault>> {
    check_bundle(bytes, &Trust { policy: Some(policy), ..Trust::default() })
}

pub(crate) fn text<'m>(members: &'m Members, name: &str) -> &'m str {
    std::str::from_utf8(&members[name]).unwrap()
}

#[tokio::test]
async fn each_claim_verifies_with_any_choice_of_bodies() {
    let (objects, digest) = sealed().await;
    let _log = Log::of(&objects).await;
    let store = store(&objects);
    let hex = digest_of_secret(&store).await.to_string();
    let questions = [
        event(),
        Question::Event { sought: Sought::Digest(digest), session: Some("s-1".to_owned()) },
        session(),
        absent(2, 3),
        absent(6, 900_000),
    ];
    for question in &questions {
        for disclose in [
            vec![],
            vec!["all"],
            vec!["none"],
            vec!["tool"],
            vec!["role:user", "kind:document"],
            vec![hex.as_str()],
        ] {
            let proven = made(&store, question, &disclose).await;
            let statement = checked(&proven.bytes, &policy(1, "")).unwrap();
            assert!(statement.vouched, "{question:?} {disclose:?}");
            let members = unzipped(&proven.bytes);
            let bodies = members.keys().filter(|name| name.starts_with("bodies/")).count();
            assert_eq!(u64::try_from(bodies), Ok(statement.disclosed));
            let secret = members.contains_key(&format!("bodies/{hex}"));
            let shown = shown_offsets(&members);
            let wanted = match disclose.first() {
                None | Some(&"none") => false,
                // As the user's words it is named by the model call alone.
                Some(&"role:user") => shown.contains(&4),
                Some(_) => shown.contains(&3),
            };
            assert_eq!(secret, wanted, "{question:?} {disclose:?}");
        }
    }
}

/// Offsets of the session's rows.
fn shown_offsets(members: &Members) -> Vec<u64> {
    let rows = members.iter().filter(|(name, _)| name.ends_with("/rows"));
    let rows = rows.map(|(_, bytes)| Rows::parse(std::str::from_utf8(bytes).unwrap()).unwrap());
    rows.flat_map(|rows| rows.own().map(|row| row.offset.0).collect::<Vec<_>>()).collect()
}

async fn digest_of_secret(store: &Store) -> Digest {
    let read = replay::read(store, None, "s-1").await.unwrap();
    let digest = read
        .events()
        .flat_map(|(_, event)| &event.contents)
        .find_map(|content| (content.kind == "tool_result").then_some(content.digest));
    digest.unwrap()
}

#[tokio::test]
async fn a_statement_says_what_is_shown_by_whom_and_since_when() {
    let (objects, digest) = sealed().await;
    let log = Log::of(&objects).await;
    log.cosign(5, 1_790_000_300).await;
    let trusted = policy(1, &format!("witness w {}\nquorum w\n", witness(5)));
    let proven = made(&store(&objects), &event(), &[]).await;
    let found = checked(&proven.bytes, &trusted).unwrap();
    assert_eq!(found.event, Some(digest.to_string()));
    assert_eq!(found.since.as_deref(), Some("2026-09-21T14:18:20Z"));
    assert!(found.by.iter().any(|line| line.contains("Witness w signed at 2026-09-21T14:18:20Z")));
    assert!(found.not_proven.iter().any(|line| line.contains("over 4 entries of the log")));
    let whole = made(&store(&objects), &session(), &[]).await;
    let found = checked(&whole.bytes, &trusted).unwrap();
    assert_eq!((found.events, found.raw, found.records), (3, 1, 3));
    assert_eq!((found.disclosed, found.withheld), (0, 4));
    let words = found.proven.join(" ");
    assert!(words.contains("3 records of partition 0 of topic events"), "{words}");
    assert!(words.contains("as of checkpoint 5 of log example.org/log"), "{words}");
    assert!(found.not_proven.iter().any(|line| line.contains("heartbeat")));
    let alone = check_bundle(&whole.bytes, &Trust::default()).unwrap();
    assert!(!alone.vouched && alone.since.is_none());
    assert!(alone.by.iter().any(|line| line.contains("Nobody outside vouches")));
}

#[tokio::test]
async fn an_absence_says_how_far_it_reaches() {
    let (objects, _) = sealed().await;
    let mut log = Log::of(&objects).await;
    let store = store(&objects);
    let reach = async |from, to| {
        let proven = made(&store, &absent(from, to), &[]).await;
        checked(&proven.bytes, &policy(1, "")).unwrap().proven.join(" ")
    };
    assert!(reach(1, 3).await.contains("The last record is of later messages"));
    assert!(reach(6, 900).await.contains("by the log's own heartbeat"));
    let beyond = (AT + 10) * 1000 - BEGIN;
    assert!(reach(6, beyond).await.contains("reach to 2026-09-21T14:13:20.006000Z only"));
    log.beat_behind().await;
    assert!(reach(6, 900).await.contains("reach to 2026-09-21T14:13:20.006000Z only"));
    let refused = prove(&store, &absent(0, 1), &options(&[])).await;
    assert!(matches!(refused, Err(Error::Unprovable { .. })), "{refused:?}");
}

#[tokio::test]
async fn what_is_not_enrolled_cannot_be_proven_yet() {
    let (objects, _) = sealed().await;
    let store = store(&objects);
    let early = |result: Result<Proven, Error>| {
        assert!(matches!(result, Err(Error::NotEnrolled { .. })), "{result:?}");
    };
    early(prove(&store, &event(), &options(&[])).await);
    let mut log = Log::new(&objects);
    for link in log.links_in_store().await.into_iter().take(2) {
        log.commit(vec![link]).await;
    }
    early(prove(&store, &event(), &options(&[])).await);
    early(prove(&store, &session(), &options(&[])).await);
    early(prove(&store, &absent(3, 900), &options(&[])).await);
    let nowhere = Question::Event { sought: Sought::Id(EventId([9; 16])), session: None };
    let none = prove(&store, &nowhere, &options(&[])).await;
    assert!(matches!(none, Err(Error::Unprovable { .. })), "{none:?}");
    let first = Question::Session { id: "s-1".to_owned(), times: Some(BEGIN..BEGIN + 3) };
    let proven = made(&store, &first, &["all"]).await;
    assert_eq!(checked(&proven.bytes, &policy(1, "")).unwrap().records, 1);
}

#[tokio::test]
async fn at_a_change_of_keys_either_is_believed_and_no_third() {
    let (objects, _) = sealed().await;
    let mut log = Log::of(&objects).await;
    log.change_key(2).await;
    let bytes = made(&store(&objects), &event(), &[]).await.bytes;
    for seed in [1, 2] {
        assert!(checked(&bytes, &policy(seed, "")).unwrap().vouched);
    }
    log.sign_with(3);
    let beat = log.heartbeat();
    log.commit(vec![beat]).await;
    let bytes = made(&store(&objects), &event(), &[]).await.bytes;
    let both = format!("{}\n", signer(2).verifier());
    let faults = checked(&bytes, &policy(1, &both)).unwrap_err();
    assert!(faults[0].to_string().contains("signed with an unknown key"), "{faults:?}");
}

#[tokio::test]
async fn a_time_stamp_counts_where_its_root_is_trusted() {
    let (objects, _) = sealed().await;
    let log = Log::of(&objects).await;
    let checkpoint = crate::kit::get(&objects, "log/checkpoint").await;
    let key = format!("log/timestamps/{:020}/tsa-1.tsr", log.size());
    put(&objects, &key, b"response".to_vec()).await;
    let bytes = made(&store(&objects), &event(), &[]).await.bytes;
    let trusted = policy(1, "");
    let stamping = |root: Option<&str>| {
        let root = root.map(str::to_owned);
        let check = |response: &[u8], data: &Digest| {
            let right = response == b"response" && *data == Digest::of(&checkpoint);
            let at = Seconds(1_790_000_400);
            let stamped = Stamped { at, authority: "CN=T".to_owned(), root: root.clone() };
            right.then_some(stamped).ok_or("it is of other data".to_owned())
        };
        let trust = Trust { policy: Some(&trusted), stamped: Some(&check), known: None };
        check_bundle(&bytes, &trust).unwrap()
    };
    let rooted = stamping(Some("CN=R"));
    assert_eq!(rooted.since.as_deref(), Some("2026-09-21T14:20:00Z"));
    assert!(rooted.by.iter().any(|line| line.contains("CN=T stamped the checkpoint")));
    assert_eq!(stamping(None).since, None);
    let wrong = |_: &[u8], _: &Digest| Err("it is of other data".to_owned());
    let trust = Trust { policy: Some(&trusted), stamped: Some(&wrong), known: None };
    let faults = check_bundle(&bytes, &trust).unwrap_err();
    assert_eq!(faults[0].to_string(), "timestamps/tsa-1.tsr: it is of other data");
}

#[tokio::test]
async fn what_an_agent_wrote_does_not_become_markup() {
    let (objects, _) = sealed().await;
    let _log = Log::of(&objects).await;
    let members = unzipped(&made(&store(&objects), &session(), &["all"]).await.bytes);
    let page = text(&members, "bundle.html");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}&lt;img src=x"), "{page}");
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{202e}'));
    assert!(page.contains("default-src 'none'"));
    let withheld = unzipped(&made(&store(&objects), &session(), &[]).await.bytes);
    let page = text(&withheld, "bundle.html");
    assert!(page.contains(&format!("withheld, {} bytes", SECRET.len())) && !page.contains("4711"));
}

#[tokio::test]
async fn the_earliest_checkpoint_that_others_vouch_for_is_taken() {
    let (objects, _) = sealed().await;
    let mut log = Log::new(&objects);
    log.enrol().await;
    log.cosign(5, 1_790_000_300).await;
    let beat = log.heartbeat();
    log.commit(vec![beat]).await;
    let store = store(&objects);
    let size = async |question: &Question| {
        let proven = made(&store, question, &[]).await;
        checked(&proven.bytes, &policy(1, "")).unwrap().size
    };
    assert_eq!(size(&event()).await, 4);
    // A session takes the heartbeat in, over which nobody has vouched yet.
    assert_eq!(size(&session()).await, 5);
}
