//! CORE: which session the spans and calls of a trace belong to that name none themselves.
//!
//! A trace keeps the session that it had first, as long as it is remembered: so a batch that is sent again goes where it
//! went. What is forgotten costs a session of its own, which a reader joins by the trace.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use capture::Happening;
use lru::LruCache;
use schemas::{SessionId, Tenant, TraceId};

/// Traces remembered. A run has one, and is over in hours.
const TRACES_MAX: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// The sessions of traces.
#[derive(Debug)]
pub(crate) struct Traces(Mutex<LruCache<(Tenant, TraceId), SessionId>>);

impl Traces {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(LruCache::new(TRACES_MAX)))
    }

    /// For each happening that names no session, that of its trace: the one that a happening beside it names, or the one
    /// that the trace had before, or else one named after the trace.
    pub(crate) fn sessions(
        &self,
        tenant: &Tenant,
        happenings: &[Happening],
    ) -> Vec<Option<SessionId>> {
        let mut traces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for happening in happenings {
            let envelope = &happening.envelope;
            let named = SessionId::new(&envelope.session_id);
            if let (Some(trace), Ok(session)) = (envelope.trace_id, named) {
                traces.get_or_insert((tenant.clone(), trace), || session);
            }
        }
        let session = |happening: &Happening| {
            let envelope = &happening.envelope;
            let trace = envelope.trace_id.filter(|_| envelope.session_id.is_empty())?;
            let key = (tenant.clone(), trace);
            traces.try_get_or_insert(key, || SessionId::new(&trace.to_string())).ok().cloned()
        };
        happenings.iter().map(session).collect()
    }

    /// Remembers a trace's session, where it has none.
    pub(crate) fn learn(&self, tenant: &Tenant, trace: TraceId, session: &SessionId) {
        let mut traces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        traces.get_or_insert((tenant.clone(), trace), || session.clone());
    }

    /// The session that a trace has, if it is remembered.
    pub(crate) fn session(&self, tenant: &Tenant, trace: TraceId) -> Option<SessionId> {
        let mut traces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        traces.get(&(tenant.clone(), trace)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(trace: u8, session: &'static str) -> Happening {
        let mut happening = Happening::new("llm.call", "otlp");
        happening.envelope.trace_id = Some(TraceId([trace; 16]));
        happening.envelope.session_id = session.into();
        happening
    }

    #[test]
    fn a_trace_keeps_the_session_it_had_first() {
        let (traces, tenant) = (Traces::new(), Tenant::new("acme").unwrap());
        let of = |happenings: &[Happening]| {
            let sessions = traces.sessions(&tenant, happenings).into_iter();
            sessions.map(|s| s.map(|s| s.to_string())).collect::<Vec<_>>()
        };
        // The child comes first, and its parent, beside it, names the session.
        assert_eq!(of(&[happening(1, ""), happening(1, "s")]), [Some("s".into()), None]);
        assert_eq!(of(&[happening(1, "")]), [Some("s".into())]);
        // Named after the trace, and still so when the root comes.
        let hex = "02".repeat(16);
        assert_eq!(of(&[happening(2, "")]), [Some(hex.clone())]);
        assert_eq!(of(&[happening(2, ""), happening(2, "late")]), [Some(hex), None]);
    }
}
