//! SHELL: what a request brings: a body that holds events, or happenings that a door has read.

use std::sync::Arc;

use bytes::Bytes;
use capture::Happening;

use crate::config::Config;
use crate::draft::{Draft, Intake};
use crate::form::Form;
use crate::frames::Frames;
use crate::happening;
use crate::inflate::{self, Encoding};
use crate::random::Random;
use crate::refusal::Refusal;
use crate::traces::Traces;

/// A request's content, before its meaning.
#[derive(Debug)]
pub(crate) enum Load {
    Body {
        bytes: Bytes,
        form: Form,
        encoding: Encoding,
    },
    /// Shared, so that a door whose request is refused for one of them may send the others.
    Happenings(Arc<Vec<Happening>>),
}

impl Load {
    /// Inflates what is compressed. `reserve` is asked for what it grows by. Takes time: not for an async thread.
    pub(crate) fn inflate(
        &mut self,
        config: &Config,
        reserve: impl FnMut(usize) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if let Self::Body { bytes, encoding, .. } = self
            && *encoding != Encoding::Identity
        {
            *bytes = inflate::inflate(bytes, *encoding, config, reserve)?.into();
            *encoding = Encoding::Identity;
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
            Self::Happenings(happenings) => {
                let sessions = traces.sessions(intake.tenant, happenings);
                happening::drafts(happenings, sessions, intake, &mut || random.draw())
            }
        }
    }
}
