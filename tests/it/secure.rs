//! Gateway and sealer on listeners that want TLS, or a password.

use crate::binary::{Service, chancery, expect};
use crate::services::{create_topic, sealed, variable};

const SESSION: &str = r#"{"session_id":"s","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}"#;
/// The start, two messages, the end.
const EVENTS: u64 = 4;

/// An event goes through gateway and sealer, both of which have these properties and talk to this listener.
async fn goes_through(brokers: &str, properties: &[(&str, &str)]) {
    let topic = format!("events-{}", uuid::Uuid::now_v7().simple());
    create_topic(&variable("CHANCERY_TEST_KAFKA"), &topic).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (keys, settings, store) = (path("keys.toml"), path("settings.toml"), path("store"));
    let lines = properties.iter().map(|(name, value)| format!("'{name}' = '{value}'\n"));
    let text = format!(
        "[sealer]\nsegment_age_max_ms = 300\n[kafka.properties]\n{}",
        lines.collect::<String>()
    );
    std::fs::write(&settings, text).unwrap();
    let key = expect(0, &["keys", "create", "--keys", &keys, "--tenant", "acme"]);
    let kafka = ["--kafka", brokers, "--topic", &topic, "--config", &settings];
    let ingest = ["ingest", "--keys", &keys, "--listen", "127.0.0.1:0"];
    let ingest = Service::listening(&[&ingest[..], &kafka].concat());
    let sealer = ["sealer", "--store", &store, "--unsafe-no-lock"];
    let sealer = Service::start(&[&sealer[..], &kafka].concat());
    let file = path("sessions.jsonl");
    std::fs::write(&file, SESSION).unwrap();
    let import = ["import", "openai-chat", &file, "--to", &ingest.url()];
    let imported = chancery(&import).env("CHANCERY_KEY", key.trim()).output().unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    sealed(&store, EVENTS).await;
    assert_eq!((sealer.end("-TERM"), ingest.end("-TERM")), (Some(0), Some(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_through_tls() {
    let ca = variable("CHANCERY_TEST_CA");
    let properties = [("security.protocol", "SSL"), ("ssl.ca.location", ca.as_str())];
    goes_through(&variable("CHANCERY_TEST_KAFKA_TLS"), &properties).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_through_with_a_password() {
    let user = variable("CHANCERY_TEST_SASL_USER");
    let password = variable("CHANCERY_TEST_SASL_PASSWORD");
    let properties = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "SCRAM-SHA-256"),
        ("sasl.username", user.as_str()),
        ("sasl.password", password.as_str()),
    ];
    goes_through(&variable("CHANCERY_TEST_KAFKA_SASL"), &properties).await;
}

/// Without the authority, the broker is a stranger.
#[test]
fn a_broker_that_nobody_vouches_for_is_not_talked_to() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml").to_str().unwrap().to_owned();
    let brokers = variable("CHANCERY_TEST_KAFKA_TLS");
    let args = ["ingest", "--kafka", &brokers, "--topic", "events", "--keys", &keys];
    expect(5, &[&args[..], &["--set", "kafka.properties.security.protocol=SSL"]].concat());
}
