//! SHELL: asks one time-stamp authority over HTTP (RFC 3161, section 3.4), and gives back only what was checked.

use reqwest::StatusCode;
use ring::rand::{SecureRandom as _, SystemRandom};
use schemas::Digest;

use crate::config::AuthorityConfig;
use crate::error::Error;
use crate::http::{Door, read_file};
use crate::timestamp::{Nonce, RESPONSE_BYTES_MAX, Roots, Stamped, WhyNot, check, request};

const QUERY: &str = "application/timestamp-query";
const REPLY: &str = "application/timestamp-reply";

/// A time-stamp authority.
#[derive(Debug)]
pub struct Authority {
    door: Door,
    roots: Option<Roots>,
}

/// What an authority gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The response, DER: what to keep, since [`check`] and `openssl ts -verify` take it.
    pub response: Vec<u8>,
    /// What it shows.
    pub stamped: Stamped,
}

impl Authority {
    /// A client of the authority at `config.url`. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Certificates`].
    pub fn new(config: &AuthorityConfig) -> Result<Self, Error> {
        let door = Door::new(&config.url, config.ca.as_deref(), config.timeout_ms, "a time-stamp")?;
        let roots = config.roots.as_deref().map(|path| {
            let wrong = |error: crate::timestamp::NotRoots| Error::Config {
                field: "roots",
                why: format!("names a file that is {error}"),
            };
            Roots::from_pem(&read_file(path)?).map_err(wrong)
        });
        Ok(Self { door, roots: roots.transpose()? })
    }

    /// The authority's host.
    #[must_use]
    pub fn host(&self) -> String {
        self.door.host()
    }

    /// Asks for a time-stamp of the data with this digest: once, since another try costs the same as the next round.
    ///
    /// # Errors
    /// [`Error::Silent`], [`Error::Answer`]; [`Error::Stamp`] where the answer is for other data, for another request, or by
    /// another authority than the roots vouch for.
    pub async fn stamp(&self, data: &Digest) -> Result<Answer, Error> {
        let stamp = |source| Error::Stamp { host: self.host(), source };
        let mut nonce = Nonce([0; 8]);
        let random = SystemRandom::new().fill(&mut nonce.0);
        random.map_err(|_| Error::Config {
            field: "url",
            why: "cannot be asked: the system gives no random bytes".to_owned(),
        })?;
        let reply = self.door.post(QUERY, request(data, nonce), RESPONSE_BYTES_MAX).await?;
        if reply.status != StatusCode::OK || reply.media_type != REPLY {
            let words = String::from_utf8_lossy(&reply.body).into_owned();
            let words = if reply.status == StatusCode::OK { "it is no time-stamp" } else { &words };
            return Err(self.door.answer(reply.status, words));
        }
        let stamped = check(&reply.body, data, self.roots.as_ref()).map_err(stamp)?;
        if stamped.nonce != Some(nonce) {
            return Err(stamp(WhyNot::OtherRequest));
        }
        Ok(Answer { response: reply.body, stamped })
    }
}
