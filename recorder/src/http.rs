//! SHELL: the gateway's door for Avro: `POST /v1/events`, messages one after the other, each behind its length.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;

use crate::door::Answer;
use crate::encode::Message;
use crate::error::Error;

const MEDIA_TYPE: &str = "application/vnd.chancery.avro-frames";
/// Bytes of an answer that are read. It names each event: some 150 bytes for one.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Characters of a gateway's message that are kept.
const WHY_CHARS_MAX: usize = 300;

/// A client of one gateway.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
}

impl Http {
    pub(crate) fn new(url: &str, key: Option<&str>, timeout: Duration) -> Result<Self, Error> {
        let wrong = |field, why: &str| Error::Config { field, why: why.to_owned() };
        let base = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let mut base = base.ok_or_else(|| wrong("url", "is not an http or https URL"))?;
        let path = format!("{}/v1/events", base.path().trim_end_matches('/'));
        base.set_path(&path);
        let authorization = key.map(|key| {
            let header = HeaderValue::from_str(&format!("Bearer {key}"));
            header.map_err(|_| wrong("key", "has characters that a header cannot have"))
        });
        let mut authorization = authorization.transpose()?;
        if let Some(header) = &mut authorization {
            header.set_sensitive(true);
        }
        // Following a redirect would hand the key and the events to somebody who was not named.
        let client = Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none());
        let client = client
            .build()
            .map_err(|source| Error::Client { target: url.to_owned(), source: Box::new(source) })?;
        Ok(Self { client, url: base, authorization })
    }

    /// Sends the messages in one request.
    pub(crate) async fn send(&self, messages: &[Message]) -> Answer {
        let count = messages.len();
        let body = match frames(messages) {
            Ok(body) => body,
            Err(index) => {
                return Answer::refused(count, Some(index), "it is over 4 GiB".to_owned());
            }
        };
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, MEDIA_TYPE);
        let request = match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization.clone()),
            None => request,
        };
        let response = match request.body(body).send().await {
            Ok(response) => response,
            Err(error) => return Answer::wait(count, None, chain(&error)),
        };
        let (status, after) = (response.status(), retry_after(&response));
        match text(response).await {
            Ok(text) => understood(count, status, after, &text),
            Err(why) => Answer::wait(count, None, why),
        }
    }
}

/// `u32 length ‖ message`, again and again; or the index of a message that is too long for that.
fn frames(messages: &[Message]) -> Result<Vec<u8>, usize> {
    let bytes = messages.iter().map(|message| message.value.len() + 4).sum();
    let mut out = Vec::with_capacity(bytes);
    for (index, message) in messages.iter().enumerate() {
        let length = u32::try_from(message.value.len()).map_err(|_| index)?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&message.value);
    }
    Ok(out)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn text(mut response: Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err("the gateway's answer does not end".to_owned());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What an answer means. Only what says that the events were accepted is an acknowledgement, since anything that stands
/// between may answer 200; and only what blames an event is a refusal, since a key or a route can be put right.
fn understood(count: usize, status: StatusCode, after: Option<Duration>, text: &[u8]) -> Answer {
    let json: Value = serde_json::from_slice(text).unwrap_or_default();
    if status.is_success() {
        let accepted = json.get("accepted").and_then(Value::as_u64);
        return if accepted == u64::try_from(count).ok() {
            Answer::taken(count)
        } else {
            Answer::wait(count, after, format!("{status}, but not from a gateway"))
        };
    }
    let error = json.get("error");
    let said = error.and_then(|error| error.get("message")).and_then(Value::as_str);
    let said: String = said.unwrap_or_default().chars().take(WHY_CHARS_MAX).collect();
    let why = format!("{status}: {said}");
    let event = error.and_then(|error| error.get("event")).and_then(Value::as_u64);
    let event = event.and_then(|event| usize::try_from(event).ok()).filter(|event| *event < count);
    match status.as_u16() {
        400 | 409 | 413 | 422 if error.is_some() => Answer::refused(count, event, why),
        _ => Answer::wait(count, after, why),
    }
}

/// The error and its sources: the outermost says only that sending failed.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::{Next, Verdict};

    fn answer(status: u16, text: &str) -> Answer {
        understood(3, StatusCode::from_u16(status).unwrap(), None, text.as_bytes())
    }

    #[test]
    fn only_a_gateway_that_counts_all_events_acknowledges_them() {
        assert_eq!(answer(200, r#"{"accepted":3}"#), Answer::taken(3));
        for text in [r#"{"accepted":2}"#, "<html>log in</html>", ""] {
            assert_eq!(answer(200, text).next, Next::Wait(None), "{text}");
        }
    }

    #[test]
    fn only_an_answer_that_blames_an_event_refuses_one() {
        let blamed = answer(400, r#"{"error":{"code":"invalid_field","message":"m","event":1}}"#);
        assert_eq!(blamed.verdicts, [Verdict::Again, Verdict::Refused, Verdict::Again]);
        assert_eq!(answer(413, r#"{"error":{"code":"too_large"}}"#).next, Next::Half);
        for status in [400, 401, 403, 404, 408, 415, 429, 500, 503] {
            let text = if status == 400 { "" } else { r#"{"error":{"event":1}}"# };
            assert_eq!(answer(status, text).verdicts, [Verdict::Again; 3], "{status}");
        }
    }
}
