//! CORE: the conversations with one MCP server behind the gateway: which of them an exchange belongs to, and what it tells.
//!
//! Where the protocol has sessions, a conversation is one of them, and its exchanges tell of each other; where it has none,
//! each exchange is by itself. What the server's tools are is remembered for each tenant.

use std::num::NonZeroUsize;

use capture::Happening;
use capture::llm::{Answer, Ended, Headers, Request};
use capture::mcp::{Conversation, Tools, http};
use lru::LruCache;
use schemas::{Micros, Tenant};

use crate::auth::Credential;

/// Tenants whose conversations are remembered. What is forgotten of one costs changes of tools that are not seen.
const TENANTS_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// Conversations of a tenant that are remembered; the one used least recently is over.
const CONVERSATIONS_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// Where the protocol's session is named.
const SESSION: &str = "mcp-session-id";

/// All conversations with one server.
#[derive(Debug)]
pub(crate) struct Talks {
    server: String,
    tenants: LruCache<Tenant, Talk>,
}

/// Those of one tenant.
#[derive(Debug)]
struct Talk {
    credential: Credential,
    tools: Tools,
    conversations: LruCache<String, Conversation>,
}

/// What an exchange tells.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) happenings: Vec<Happening>,
    /// The protocol's session.
    pub(crate) session: Option<String>,
}

impl Talks {
    pub(crate) fn new(server: &str) -> Self {
        Self { server: server.to_owned(), tenants: LruCache::new(TENANTS_MAX) }
    }

    /// Takes an exchange that is over.
    pub(crate) fn hear(
        &mut self,
        credential: &Credential,
        request: &Request,
        answer: &Answer,
        now: Micros,
    ) -> Told {
        let talk = self.tenants.get_or_insert_mut(credential.tenant.clone(), || Talk {
            credential: credential.clone(),
            tools: Tools::default(),
            conversations: LruCache::new(CONVERSATIONS_MAX),
        });
        let session = session(&request.headers).or_else(|| session(&answer.headers));
        let Some(session) = session else {
            let mut alone = Conversation::new(&self.server);
            let mut happenings = http::exchange(request, answer, true, &mut alone, &mut talk.tools);
            happenings.extend(alone.end(now));
            return Told { happenings, session: None };
        };
        let mut happenings = Vec::new();
        if !talk.conversations.contains(&session) {
            let new = Conversation::new(&self.server).on_many_connections();
            if let Some((name, mut old)) = talk.conversations.push(session.clone(), new) {
                happenings.extend(named(old.end(now), &name));
            }
        }
        let mut heard = Vec::new();
        if let Some(conversation) = talk.conversations.get_mut(&session) {
            heard = http::exchange(request, answer, false, conversation, &mut talk.tools);
        }
        if request.method == "DELETE" && is_done(answer) {
            let over = talk.conversations.pop(&session);
            heard.extend(over.map(|mut over| over.end(now)).unwrap_or_default());
        }
        happenings.extend(heard);
        Told { happenings, session: Some(session) }
    }

    /// Ends all conversations; what was not answered, by who may tell of it.
    pub(crate) fn end(&mut self, now: Micros) -> Vec<(Credential, Vec<Happening>)> {
        let mut ended = Vec::new();
        while let Some((_, mut talk)) = self.tenants.pop_lru() {
            let mut happenings = Vec::new();
            while let Some((name, mut conversation)) = talk.conversations.pop_lru() {
                happenings.extend(named(conversation.end(now), &name));
            }
            if !happenings.is_empty() {
                ended.push((talk.credential, happenings));
            }
        }
        ended
    }
}

/// The same, in this session.
fn named(mut happenings: Vec<Happening>, session: &str) -> Vec<Happening> {
    for happening in &mut happenings {
        happening.envelope.session_id = session.to_owned().into();
    }
    happenings
}

fn is_done(answer: &Answer) -> bool {
    answer.ended == Ended::Complete && answer.status.is_some_and(|status| status < 300)
}

/// The protocol's session that headers name, if it may be one of ours.
fn session(headers: &Headers) -> Option<String> {
    let (_, value) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(SESSION))?;
    let text = std::str::from_utf8(value).ok()?;
    (text.len() <= 512 && capture::is_name(text)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    const ONE: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}"#;
    const OTHER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"b"}]}}"#;

    struct Bench(Talks);

    impl Bench {
        fn hear(
            &mut self,
            tenant: &str,
            method: &str,
            session: Option<&str>,
            (asks, says): (&'static str, &'static str),
        ) -> Vec<String> {
            let credential = Credential { id: String::new(), tenant: Tenant::new(tenant).unwrap() };
            let line = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
            let headers = vec![line("content-type", "application/json")];
            let mut request = Request {
                method: method.to_owned(),
                headers: headers.clone(),
                body: asks.into(),
                ..Request::default()
            };
            request.headers.extend(session.map(|session| line("Mcp-Session-Id", session)));
            let answer =
                Answer { status: Some(200), headers, body: says.into(), ..Answer::default() };
            let told = self.0.hear(&credential, &request, &answer, Micros(9));
            assert_eq!(told.session.as_deref(), session);
            kinds(&told.happenings)
        }
    }

    fn kinds(happenings: &[Happening]) -> Vec<String> {
        happenings.iter().map(|happening| happening.envelope.kind.to_string()).collect()
    }

    #[test]
    fn tools_are_remembered_by_tenant() {
        let mut bench = Bench(Talks::new("files"));
        assert_eq!(bench.hear("a", "POST", None, (LIST, ONE)), ["mcp.request"]);
        assert_eq!(bench.hear("b", "POST", None, (LIST, OTHER)), ["mcp.request"]);
        assert_eq!(
            bench.hear("a", "POST", Some("s"), (LIST, OTHER)),
            ["mcp.request", "config.change"]
        );
    }

    #[test]
    fn what_a_session_leaves_unanswered_is_told_at_its_end() {
        let mut bench = Bench(Talks::new("files"));
        for session in ["s", "t"] {
            assert_eq!(bench.hear("a", "POST", Some(session), (LIST, "")), [""; 0]);
        }
        let end = bench.hear("a", "DELETE", Some("s"), ("", ""));
        assert_eq!(end, ["http.exchange", "mcp.request"]);
        let ended = bench.0.end(Micros(9));
        assert_eq!((ended.len(), kinds(&ended[0].1)), (1, vec!["mcp.request".to_owned()]));
        assert_eq!(ended[0].1[0].envelope.session_id, "t");
    }

    #[test]
    fn a_session_that_is_forgotten_is_over() {
        let mut bench = Bench(Talks::new("files"));
        bench.hear("a", "POST", Some("first"), (LIST, ""));
        let mut told = Vec::new();
        for number in 0..CONVERSATIONS_MAX.get() {
            let name = number.to_string();
            told.extend(bench.hear("a", "POST", Some(&name), (LIST, ONE)));
        }
        let count = CONVERSATIONS_MAX.get() + 1;
        assert_eq!(told.len(), count, "one for each list, and one for the first");
    }
}
