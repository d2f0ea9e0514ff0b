//! SHELL: asks one witness to cosign a checkpoint (C2SP tlog-witness), and gives back only a cosignature that is its key's over
//! that checkpoint.
//!
//! It does not know which size the witness saw last: whoever calls remembers, or sends what it believes and is told.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::StatusCode;
use schemas::tlog::{self, BadNote, NoteSignature, SignedCheckpoint, VerifierKey};
use schemas::{Digest, Seconds};

use crate::error::Error;
use crate::http::{Door, Reply};

/// Longest answer that is read, in bytes: a witness may cosign with a few keys.
const ANSWER_BYTES_MAX: usize = 64 << 10;
const SIZE: &str = "text/x.tlog.size";

/// A witness that can be asked.
#[derive(Debug)]
pub struct Witness {
    door: Door,
    key: VerifierKey,
}

/// A cosignature that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// What to keep: the line to put below the checkpoint.
    pub line: NoteSignature,
    /// When the witness signed, in seconds since 1970, by its clock.
    pub time: Seconds,
}

impl Witness {
    /// A client of a policy's witness, at `<url>/add-checkpoint`. `ca` are certificates in PEM that its HTTPS is checked
    /// against, besides the public ones; an answer may take `timeout_ms`. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Error::Config`], also where the policy gives no URL; [`Error::Certificates`].
    pub fn new(witness: &tlog::Witness, ca: Option<&Path>, timeout_ms: u64) -> Result<Self, Error> {
        let missing = || Error::Config {
            field: "url",
            why: format!("is missing: the policy gives none for witness {}", witness.name),
        };
        let url = witness.url.as_deref().ok_or_else(missing)?.trim_end_matches('/');
        let door = Door::new(&format!("{url}/add-checkpoint"), ca, timeout_ms, "a cosignature")?;
        Ok(Self { door, key: witness.key.clone() })
    }

    /// The witness's host.
    #[must_use]
    pub fn host(&self) -> String {
        self.door.host()
    }

    /// Asks for a cosignature of `checkpoint`, which `proof` shows to continue the tree of size `old`, the last that the
    /// witness saw; 0 and no proof where it saw none. To ask again for the same checkpoint is harmless.
    ///
    /// # Errors
    /// [`Error::Size`]: ask again from there. [`Error::Inconsistent`]: the witness will not have this log continue so.
    /// [`Error::UnknownLog`], [`Error::Cosignature`], [`Error::Silent`], [`Error::Answer`].
    pub async fn cosign(
        &self,
        old: u64,
        proof: &[Digest],
        checkpoint: &SignedCheckpoint,
    ) -> Result<Cosignature, Error> {
        let hashes: String =
            proof.iter().map(|hash| BASE64_STANDARD.encode(hash.0) + "\n").collect();
        let request = format!("old {old}\n{hashes}\n{}", checkpoint.note);
        let reply = self.door.post("text/plain", request.into_bytes(), ANSWER_BYTES_MAX).await?;
        let host = self.host();
        match (reply.status, size(&reply)) {
            (StatusCode::OK, _) => {
                let own = own_line(&reply.body, &self.key, &checkpoint.note.text);
                own.map_err(|source| Error::Cosignature { host, source })
            }
            (StatusCode::CONFLICT, Some(size)) => Err(Error::Size { host, size }),
            (StatusCode::UNPROCESSABLE_ENTITY, _) => Err(Error::Inconsistent { host }),
            (StatusCode::FORBIDDEN | StatusCode::NOT_FOUND, _) => {
                Err(Error::UnknownLog { host, status: reply.status.as_u16() })
            }
            _ => Err(self.door.answer(reply.status, &String::from_utf8_lossy(&reply.body))),
        }
    }
}

/// The size that a conflict names.
fn size(reply: &Reply) -> Option<u64> {
    let text = std::str::from_utf8(&reply.body).ok()?.strip_suffix('\n')?;
    let digits = reply.media_type == SIZE && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// The cosignature by `key` over `text`; lines of other keys, of the witness's or not, are passed over.
fn own_line(body: &[u8], key: &VerifierKey, text: &str) -> Result<Cosignature, BadNote> {
    let body = std::str::from_utf8(body).map_err(|_| BadNote("it is not UTF-8"))?;
    let mut refused = BadNote("it has no line of the witness's key");
    for line in body.lines() {
        let line: NoteSignature = line.parse()?;
        if (line.name(), line.id()) != (key.name(), key.id()) {
            continue;
        }
        match line.check(key, text).map(i64::try_from) {
            Ok(Ok(time)) => return Ok(Cosignature { line, time: Seconds(time) }),
            Ok(Err(_)) => refused = BadNote("its time is past all telling"),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}
