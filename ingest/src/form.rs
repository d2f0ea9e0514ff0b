//! SHELL: a request's body to drafts, by what it was announced as, and what their signatures are worth.
//!
//! What it asks of the outside is which schema an id stands for, random bytes, and the sources file.

use schemas::Signature;

use crate::avro_door::{self, Series};
use crate::draft::{self, Draft, Intake};
use crate::frames::Frames;
use crate::random::Random;
use crate::refusal::Refusal;
use crate::sources::{Claimed, Sources, Worth};

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Avro(Series),
}

impl Form {
    /// All events of a body. Takes time, and may wait for the registry: not for an async thread.
    pub(crate) fn drafts<'b>(
        self,
        body: &'b [u8],
        intake: &Intake<'_>,
        frames: &Frames,
        random: &mut Random,
    ) -> Result<Vec<Draft<'b>>, Refusal> {
        match self {
            Self::Json => draft::drafts(body, intake, &mut || random.draw()),
            Self::Avro(series) => avro_door::drafts(body, series, intake, &|id| frames.named(id)),
        }
    }
}

/// What each event's signature is worth; refuses the request where one is wrong, or missing.
pub(crate) fn judge(
    drafts: &[Draft<'_>],
    sources: Option<&Sources>,
) -> Result<Vec<Worth>, Refusal> {
    let worth = |(index, draft): (usize, &Draft<'_>)| {
        let given = draft.given.as_ref();
        // Read before, when the event was taken apart.
        let signature = given.and_then(|given| given.signature).and_then(Signature::from_bytes);
        let Some(sources) = sources else {
            return Ok(if signature.is_some() { Worth::UnknownKey } else { Worth::Unsigned });
        };
        let claimed = Claimed {
            tenant: &draft.envelope.tenant,
            producer_id: draft.envelope.producer_id.as_deref(),
            event_digest: given.map(|given| &given.event_digest),
            signature: signature.as_ref(),
        };
        sources.judge(&claimed).map_err(|refusal| refusal.at(index))
    };
    drafts.iter().enumerate().map(worth).collect()
}
