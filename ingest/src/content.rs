//! CORE: one item of `contents`, or a value given inline, as the body it is to become.
//!
//! JSON stays the bytes that came. It does not salt: that takes what the gateway remembers of the session.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use schemas::{Digest, Salt};
use serde_json::value::RawValue;

use crate::config::Config;
use crate::draft::metadata_text;
use crate::json;
use crate::refusal::Refusal;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// No item has more fields than role, kind, media type and three forms of data.
const FIELDS: (&str, usize) = ("content_fields", 6);

/// A body to be, and how `contents` is to speak of it.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) role: Cow<'a, str>,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) media_type: Cow<'a, str>,
    pub(crate) data: Cow<'a, [u8]>,
    /// SHA-256 of `data`: finds the body in memory, and is nowhere else.
    pub(crate) lookup: Digest,
    /// What `data` is salted with, if this is the first time that the session has it.
    pub(crate) salt: Salt,
    /// The body digest under `salt`, where it was needed so far.
    pub(crate) fresh: Option<Digest>,
}

impl<'a> Part<'a> {
    pub(crate) fn new(
        role: Cow<'a, str>,
        kind: Cow<'a, str>,
        media_type: Cow<'a, str>,
        data: Cow<'a, [u8]>,
        salt: Salt,
    ) -> Self {
        let lookup = Digest::of(&data);
        Self { role, kind, media_type, data, lookup, salt, fresh: None }
    }

    /// Reads an item of `contents`.
    pub(crate) fn item(
        raw: &'a RawValue,
        path: &str,
        config: &Config,
        salt: Salt,
    ) -> Result<Self, Refusal> {
        let mut form = Form::default();
        let (mut role, mut kind) = (Cow::Borrowed(""), None);
        for (key, value) in json::object(raw, path, FIELDS)? {
            let path = format!("{path}.{key}");
            match &*key {
                "role" => role = metadata_text(value, &path, config)?,
                "kind" => kind = Some(metadata_text(value, &path, config)?),
                _ => form.set(&key, value, &path, config)?,
            }
        }
        let text = form.text;
        let (data, media_type) = form.finish(path)?;
        let kind = kind.unwrap_or(Cow::Borrowed(if text { "text" } else { "raw" }));
        Ok(Self::new(role, kind, media_type, data, salt))
    }

    /// Reads the object that stands where a digest is expected.
    pub(crate) fn inline(
        raw: &'a RawValue,
        path: &str,
        kind: &'static str,
        config: &Config,
        salt: Salt,
    ) -> Result<Self, Refusal> {
        let mut form = Form::default();
        for (key, value) in json::object(raw, path, FIELDS)? {
            form.set(&key, value, &format!("{path}.{key}"), config)?;
        }
        let (data, media_type) = form.finish(path)?;
        Ok(Self::new(Cow::Borrowed(""), Cow::Borrowed(kind), media_type, data, salt))
    }
}

/// The fields that say what the data are.
#[derive(Default)]
struct Form<'a> {
    media_type: Option<Cow<'a, str>>,
    /// The data, and the media type they have unless another is given.
    data: Option<(Cow<'a, [u8]>, &'static str)>,
    /// Whether they were given as `text`.
    text: bool,
}

impl<'a> Form<'a> {
    fn set(
        &mut self,
        key: &str,
        value: &'a RawValue,
        path: &str,
        config: &Config,
    ) -> Result<(), Refusal> {
        let data = match key {
            "media_type" => {
                self.media_type = Some(metadata_text(value, path, config)?);
                return Ok(());
            }
            "text" => (bytes(json::string(value, path)?), "text/plain"),
            "json" => (Cow::Borrowed(value.get().as_bytes()), "application/json"),
            "data_base64" => {
                let text = json::string(value, path)?;
                let data = BASE64.decode(text.as_bytes());
                let data = data.map_err(|_| Refusal::field(path, "must be base64"))?;
                (Cow::Owned(data), "application/octet-stream")
            }
            "digest" | "size" => {
                return Err(Refusal::field(path, "is computed by the gateway"));
            }
            _ => return Err(Refusal::field(path, "is not a field")),
        };
        if self.data.replace(data).is_some() {
            return Err(Refusal::field(path, "stands beside another of text, json, data_base64"));
        }
        self.text = key == "text";
        Ok(())
    }

    fn finish(self, path: &str) -> Result<(Cow<'a, [u8]>, Cow<'a, str>), Refusal> {
        let none = || Refusal::field(path, "must have one of text, json, data_base64");
        let (data, media_type) = self.data.ok_or_else(none)?;
        Ok((data, self.media_type.unwrap_or(Cow::Borrowed(media_type))))
    }
}

fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(json: &str) -> Result<(String, String, Vec<u8>), Refusal> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let part = Part::item(raw, "contents[0]", &Config::default(), Salt::default())?;
        Ok((part.kind.into_owned(), part.media_type.into_owned(), part.data.into_owned()))
    }

    #[test]
    fn each_form_of_data_has_its_media_type_and_keeps_its_bytes() {
        let own = |kind: &str, media: &str, data: &[u8]| (kind.into(), media.into(), data.into());
        assert_eq!(
            item(r#"{"text":"a\n\u00e4"}"#).unwrap(),
            own("text", "text/plain", "a\nä".as_bytes())
        );
        let json = r#"{"json": { "b" : 1.0e0, "b":[ ] } , "kind":"message"}"#;
        assert_eq!(
            item(json).unwrap(),
            own("message", "application/json", br#"{ "b" : 1.0e0, "b":[ ] }"#)
        );
        assert_eq!(item(r#"{"json":null}"#).unwrap(), own("raw", "application/json", b"null"));
        let binary = own("raw", "application/octet-stream", &[0xff]);
        assert_eq!(item(r#"{"data_base64":"/w=="}"#).unwrap(), binary);
        assert_eq!(item(r#"{"data_base64":"/w"}"#).unwrap(), binary);
        assert_eq!(item(r#"{"text":"","media_type":"a/b"}"#).unwrap(), own("text", "a/b", b""));
    }

    #[test]
    fn what_is_no_content_is_refused_by_name() {
        for (json, field) in [
            (r"5", "contents[0]"),
            (r"{}", "contents[0]"),
            (r#"{"text":5}"#, "contents[0].text"),
            (r#"{"text":"\ud800"}"#, "contents[0].text"),
            (r#"{"text":"a","json":1}"#, "contents[0].json"),
            (r#"{"data_base64":"-_"}"#, "contents[0].data_base64"),
            (r#"{"data_base64":"/x"}"#, "contents[0].data_base64"),
            (r#"{"text":"a","role":null}"#, "contents[0].role"),
            (r#"{"text":"a","digest":"00"}"#, "contents[0].digest"),
            (r#"{"text":"a","name":"x"}"#, "contents[0].name"),
            (r#"{"text":"a","text":"b"}"#, "contents[0]"),
        ] {
            assert_eq!(item(json).unwrap_err().field.unwrap(), field, "{json}");
        }
    }
}
