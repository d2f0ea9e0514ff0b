//! The gateway's HTTP door, seen from the side that sends.
#![expect(clippy::disallowed_methods, reason = "a shell: it waits as long as the gateway asks")]

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};

use crate::exit::Exit;

/// Times one request is sent before we give up on a gateway that is busy.
const ATTEMPTS_MAX: usize = 60;
/// Times it is sent before we give up on one that does not answer.
const SILENT_ATTEMPTS_MAX: usize = 10;
/// Longest wait between two of them, whatever the gateway asks for.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Longest wait for an answer; a gateway that takes longer has lost the request.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);
/// How much of a refusal's text is shown.
const REFUSAL_CHARS_MAX: usize = 1000;

/// A running gateway.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    client: Client,
    events: String,
    key: Option<String>,
}

impl Door {
    /// The gateway at `url`, with the key that names the tenant, if it asks for one.
    pub(crate) fn new(url: &str, key: Option<String>) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(ANSWER_TIME_MAX).no_proxy().build()?;
        Ok(Self { client, events: format!("{}/v1/events", url.trim_end_matches('/')), key })
    }

    /// Sends events, a JSON array; returns when the gateway has acknowledged all of them.
    ///
    /// Sends them again where the gateway is busy or the answer was lost: events repeat under their ids, so what
    /// had arrived is shown once.
    pub(crate) async fn post(&self, events: Bytes) -> anyhow::Result<()> {
        let (mut attempts, mut silent) = (0, 0);
        loop {
            attempts += 1;
            let (failed, wait) = match self.send(events.clone()).await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    let wait = retry_after(&answer);
                    (refusal(answer).await, wait)
                }
                Ok(answer) => return Err(refusal(answer).await),
                Err(error) if error.is_builder() => {
                    return Err(Exit::Usage.error(format!("{} is not a URL", self.events)));
                }
                Err(error) => {
                    silent += 1;
                    (error.into(), Duration::from_secs(1))
                }
            };
            if attempts == ATTEMPTS_MAX || silent == SILENT_ATTEMPTS_MAX {
                let what = format!("{} took nothing in {attempts} attempts", self.events);
                return Err(failed.context(what));
            }
            if attempts == 1 {
                let why = format!("{failed:#}");
                tracing::warn!(why, "the gateway does not take events yet; trying again");
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn send(&self, events: Bytes) -> reqwest::Result<Response> {
        let mut request = self.client.post(&self.events).header(CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        request.body(events).send().await
    }
}

/// What the gateway asks for, within bounds; a second where it asks for nothing.
fn retry_after(answer: &Response) -> Duration {
    let text = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = text.and_then(|text| text.parse().ok()).unwrap_or(1);
    Duration::from_secs(seconds).min(WAIT_MAX)
}

/// An answer that is no acknowledgement, with what the gateway says about it.
async fn refusal(answer: Response) -> anyhow::Error {
    let status = answer.status();
    let exit = if status.is_client_error() { Exit::Usage } else { Exit::Infrastructure };
    match answer.text().await.context("its answer could not be read") {
        Ok(text) => exit.error(format!("the gateway answered {status}: {}", message(&text))),
        Err(error) => error.context(format!("the gateway answered {status}")),
    }
}

/// What `{"error": {"message"}}` says, or the text itself.
fn message(text: &str) -> String {
    let error: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let message = error.as_ref().and_then(|error| error.pointer("/error/message")?.as_str());
    message.unwrap_or(text).trim().chars().take(REFUSAL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_gateway_says() {
        assert_eq!(
            message(r#"{"error":{"code":"x","message":"no such tenant"}}"#),
            "no such tenant"
        );
        assert_eq!(message("<html>\n"), "<html>");
        assert_eq!(message(&"x".repeat(5000)).len(), REFUSAL_CHARS_MAX);
    }
}
