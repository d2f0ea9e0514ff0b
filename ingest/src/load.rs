//! SHELL: what a request brings: a body that holds events, or happenings that a door has read.

use std::sync::Arc;

use bytes::Bytes;
use capture::Happening;

use crate::config::Config;
use crate::draft::{Draft, Intake};
use crate::form::Form;
use crate::frames::Frames;
use crate::gunzip::gunzip;
use crate::happening;
use crate::random::Random;
use crate::refusal::Refusal;
use crate::traces::Traces;

/// A request's content, before its meaning.
#[derive(Debug)]
pub(crate) enum Load {
    Body {
        bytes: Bytes,
        form: Form,
        is_gzip: bool,
    },
    #[expect(dead_code, reason = "made by the doors to come")]
    Happenings(Vec<Happening>),
    /// Which may be handed in again, should one of them be refused.
    Shared(Arc<[Happening]>),
}

impl Load {
    /// Inflates what is compressed. `reserve` is asked for what it grows by. Takes time: not for an async thread.
    pub(crate) fn inflate(
        &mut self,
        config: &Config,
        reserve: impl FnMut(usize) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if let Self::Body { bytes, is_gzip, .. } = self
            && *is_gzip
        {
            *bytes = gunzip(bytes, config, reserve)?.into();
            *is_gzip = false;
        }
        Ok(())
    }

    /// All events of it. Takes time, and may wait for the registry: not for an async thread.
    pub(crate) fn drafts(
        &self,
        intake: &Intake<'_>,
        frames: &Frames,
        traces: &Traces,
        random: &mut Random,
    ) -> Result<Vec<Draft<'_>>, Refusal> {
        match self {
            Self::Body { bytes, form, .. } => form.drafts(bytes, intake, frames, random),
            Self::Happenings(happenings) => of(happenings, intake, traces, random),
            Self::Shared(happenings) => of(happenings, intake, traces, random),
        }
    }
}

fn of<'a>(
    happenings: &'a [Happening],
    intake: &Intake<'_>,
    traces: &Traces,
    random: &mut Random,
) -> Result<Vec<Draft<'a>>, Refusal> {
    let sessions = traces.sessions(intake.tenant, happenings);
    happening::drafts(happenings, sessions, intake, &mut || random.draw())
}
