//! CORE: what became of an attempt to send, whichever the target is.

use std::time::Duration;

/// What became of the messages of one attempt.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    /// One for each message, in order.
    pub(crate) verdicts: Vec<Verdict>,
    /// How to go on with those that are to be sent again.
    pub(crate) next: Next,
    /// Why not all of them are durable.
    pub(crate) why: Option<String>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is durable.
    Acknowledged,
    /// It will never be taken.
    Refused,
    /// It may be there or not: send it again.
    Again,
}

/// How to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// At once.
    Now,
    /// With half of the messages: one of them is to blame, and nobody says which.
    Half,
    /// After this long, or after a while.
    Wait(Option<Duration>),
}

impl Answer {
    /// All are durable.
    pub(crate) fn taken(count: usize) -> Self {
        Self { verdicts: vec![Verdict::Acknowledged; count], next: Next::Now, why: None }
    }

    /// All are to be sent again.
    pub(crate) fn wait(count: usize, after: Option<Duration>, why: String) -> Self {
        Self { verdicts: vec![Verdict::Again; count], next: Next::Wait(after), why: Some(why) }
    }

    /// The message with this index, or one of them, will never be taken; none was.
    pub(crate) fn refused(count: usize, index: Option<usize>, why: String) -> Self {
        let mut verdicts = vec![Verdict::Again; count];
        let index = index.or((count == 1).then_some(0));
        let next = match index.and_then(|index| verdicts.get_mut(index)) {
            Some(verdict) => {
                *verdict = Verdict::Refused;
                Next::Now
            }
            None => Next::Half,
        };
        Self { verdicts, next, why: Some(why) }
    }
}
