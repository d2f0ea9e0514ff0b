//! CORE: which session an exchange belongs to.
//!
//! In this order: what a header names, what the body names, what its trace is known for, the exchange that it continues.
//! What none of these tells begins a session. All that is remembered is remembered by tenant.

use std::num::NonZeroUsize;

use capture::llm::{Clues, Name};
use lru::LruCache;
use schemas::{Digest, Hasher, SessionId, Tenant};

/// Ids and conversations remembered. What is forgotten costs a session of its own.
const KNOWN_MAX: NonZeroUsize = NonZeroUsize::new(200_000).unwrap();

/// What earlier exchanges tell of later ones.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// `None` for what two sessions had: it tells nothing.
    known: LruCache<Digest, Option<SessionId>>,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self { known: LruCache::new(KNOWN_MAX) }
    }

    /// The session of an exchange with these clues; `traced` is what its trace is known for. `made` makes a new one.
    pub(crate) fn of(
        &mut self,
        tenant: &Tenant,
        clues: &Clues,
        traced: impl FnOnce() -> Option<SessionId>,
        made: impl FnOnce() -> Option<SessionId>,
    ) -> Option<SessionId> {
        let found = self.named(tenant, &clues.names).or_else(traced);
        let found = found.or_else(|| {
            let mut prefixes = clues.prefixes.iter();
            prefixes.find_map(|prefix| self.known(&digest(tenant, "prefix", &prefix.0)))
        });
        let session = found.or_else(made)?;
        for name in &clues.names {
            if let Name::Conversation(id) = name {
                self.name(tenant, "conversation", id, &session);
            }
        }
        Some(session)
    }

    /// Remembers what an exchange of the session said, for those that follow.
    pub(crate) fn answered(
        &mut self,
        tenant: &Tenant,
        session: &SessionId,
        names: &[Name],
        continuation: Option<&Digest>,
    ) {
        for name in names {
            match name {
                Name::Session(_) => {}
                Name::Conversation(id) => self.name(tenant, "conversation", id, session),
                Name::Response(id) => self.name(tenant, "response", id, session),
            }
        }
        if let Some(continuation) = continuation {
            let digest = digest(tenant, "prefix", &continuation.0);
            let known = self.known.get_or_insert_mut(digest, || Some(session.clone()));
            if known.as_ref() != Some(session) {
                *known = None;
            }
        }
    }

    fn named(&mut self, tenant: &Tenant, names: &[Name]) -> Option<SessionId> {
        names.iter().find_map(|name| match name {
            Name::Session(id) => is_session(id).then(|| SessionId::new(id).ok()).flatten(),
            Name::Conversation(id) => self.known(&digest(tenant, "conversation", id.as_bytes())),
            Name::Response(id) => self.known(&digest(tenant, "response", id.as_bytes())),
        })
    }

    fn known(&mut self, digest: &Digest) -> Option<SessionId> {
        self.known.get(digest).cloned().flatten()
    }

    fn name(&mut self, tenant: &Tenant, kind: &str, id: &str, session: &SessionId) {
        self.known.put(digest(tenant, kind, id.as_bytes()), Some(session.clone()));
    }
}

/// Whether a client's own name of a session may stand in the envelope.
pub(crate) fn is_session(id: &str) -> bool {
    capture::is_name(id)
}

fn digest(tenant: &Tenant, kind: &str, id: &[u8]) -> Digest {
    let hasher = Hasher::new("llm-session").lp(tenant.as_str().as_bytes());
    hasher.lp(kind.as_bytes()).lp(id).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench(Sessions, u8);

    impl Bench {
        fn of(&mut self, tenant: &str, clues: &Clues, traced: Option<&str>) -> String {
            self.1 += 1;
            let made = format!("made-{}", self.1);
            let tenant = Tenant::new(tenant).unwrap();
            let traced = || traced.map(|id| SessionId::new(id).unwrap());
            let session = self.0.of(&tenant, clues, traced, || SessionId::new(&made).ok());
            session.unwrap().to_string()
        }

        fn answered(&mut self, session: &str, names: &[Name], continuation: Option<u8>) {
            let (tenant, session) = (Tenant::new("a").unwrap(), SessionId::new(session).unwrap());
            let continuation = continuation.map(|byte| Digest([byte; 32]));
            self.0.answered(&tenant, &session, names, continuation.as_ref());
        }
    }

    fn clues(names: &[Name], prefixes: &[u8]) -> Clues {
        let prefixes = prefixes.iter().map(|byte| Digest([*byte; 32])).collect();
        Clues { names: names.to_vec(), prefixes }
    }

    #[test]
    fn names_go_before_traces_and_traces_before_histories() {
        let mut bench = Bench(Sessions::new(), 0);
        bench.answered("past", &[Name::Response("r".into())], Some(1));
        let (session, response) = (Name::Session("own".into()), Name::Response("r".into()));
        assert_eq!(bench.of("a", &clues(&[session, response.clone()], &[1]), Some("t")), "own");
        assert_eq!(bench.of("a", &clues(std::slice::from_ref(&response), &[]), Some("t")), "past");
        assert_eq!(bench.of("a", &clues(&[], &[1]), Some("t")), "t");
        assert_eq!(bench.of("a", &clues(&[], &[2, 1]), None), "past");
        assert_eq!(bench.of("a", &clues(&[], &[2]), None), "made-5");
        assert_eq!(bench.of("b", &clues(&[response], &[1]), None), "made-6", "another tenant's");
        let long = Name::Session("x".repeat(2000));
        assert_eq!(bench.of("a", &clues(&[long], &[]), None), "made-7");
    }

    #[test]
    fn a_conversation_keeps_its_session_and_what_two_sessions_said_tells_nothing() {
        let mut bench = Bench(Sessions::new(), 0);
        let conversation = || clues(&[Name::Conversation("c".into())], &[]);
        assert_eq!(bench.of("a", &conversation(), None), "made-1");
        assert_eq!(bench.of("a", &conversation(), None), "made-1");
        bench.answered("one", &[], Some(1));
        bench.answered("one", &[], Some(1));
        bench.answered("one", &[], Some(2));
        bench.answered("two", &[], Some(2));
        assert_eq!(bench.of("a", &clues(&[], &[2, 1]), None), "one");
        assert_eq!(bench.of("a", &clues(&[], &[2]), None), "made-4");
    }
}
