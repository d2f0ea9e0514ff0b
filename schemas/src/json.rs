//! The JSON form of an envelope: flat fields of the same names, ids and digests as hex, times as RFC 3339.
//!
//! Only fields' values are here. What a client may say, and what ingest does with the rest, is ingest's.

use std::borrow::Cow;

use serde_json::Value;

use crate::digest::{Digest, Salt};
use crate::id::{EventId, Micros, SpanId, TraceId};
use crate::message::{LIST_ITEMS_MAX, STRING_BYTES_MAX};

/// A JSON value that a field cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct JsonError {
    /// Path of the field, such as `state_changes[2].path`.
    pub field: String,
    /// The rule that was broken.
    pub why: String,
}

impl JsonError {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self { field: String::new(), why: why.into() }
    }

    /// The same error, seen from the value that holds this one at `step`.
    pub(crate) fn within(self, step: &str) -> Self {
        let dot = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        Self { field: format!("{step}{dot}{}", self.field), why: self.why }
    }
}

/// A type with a JSON form. Absent, null and the default are one.
pub(crate) trait Json: Sized {
    fn to_json(&self) -> Option<Value>;
    fn from_json(value: Value) -> Result<Self, JsonError>;
}

macro_rules! json_record {
    ($name:ident $(<$life:lifetime>)? { $($(#[$doc:meta])* $field:ident: $type:ty,)* }) => {
        impl $(<$life>)? $name $(<$life>)? {
            /// The JSON form; fields that say nothing are left out.
            #[must_use]
            pub fn to_json_object(&self) -> serde_json::Map<String, serde_json::Value> {
                let mut object = serde_json::Map::new();
                $(if let Some(value) = Json::to_json(&self.$field) {
                    object.insert(stringify!($field).trim_start_matches("r#").to_owned(), value);
                })*
                object
            }

            /// Sets one field from its JSON form; `false` where there is no such field. Null leaves it as it is.
            ///
            /// # Errors
            /// A value of another type, out of range or over a limit.
            pub fn set_json(&mut self, field: &str, value: serde_json::Value) -> Result<bool, JsonError> {
                $(if field == stringify!($field).trim_start_matches("r#") {
                    if !value.is_null() {
                        self.$field = Json::from_json(value).map_err(|error| error.within(field))?;
                    }
                    return Ok(true);
                })*
                Ok(false)
            }
        }

        impl $(<$life>)? Json for $name $(<$life>)? {
            fn to_json(&self) -> Option<serde_json::Value> {
                Some(serde_json::Value::Object(self.to_json_object()))
            }

            fn from_json(value: serde_json::Value) -> Result<Self, JsonError> {
                let serde_json::Value::Object(object) = value else {
                    return Err(JsonError::new("must be an object"));
                };
                let mut record = Self::default();
                for (field, value) in object {
                    if !record.set_json(&field, value)? {
                        return Err(JsonError::new("is not a field").within(&field));
                    }
                }
                Ok(record)
            }
        }
    };
}
pub(crate) use json_record;

impl Json for Cow<'_, str> {
    fn to_json(&self) -> Option<Value> {
        (!self.is_empty()).then(|| Value::String(self.to_string()))
    }

    fn from_json(value: Value) -> Result<Self, JsonError> {
        match value {
            Value::String(text) if text.len() > STRING_BYTES_MAX => {
                Err(JsonError::new(format!("is longer than {STRING_BYTES_MAX} bytes")))
            }
            Value::String(text) => Ok(Cow::Owned(text)),
            _ => Err(JsonError::new("must be a string")),
        }
    }
}

/// 64-bit numbers may also come as strings, since many JSON readers cut them to 53 bits.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}

impl Json for i64 {
    fn to_json(&self) -> Option<Value> {
        Some((*self).into())
    }

    fn from_json(value: Value) -> Result<Self, JsonError> {
        integer(&value).ok_or_else(|| JsonError::new("must be a 64-bit integer"))
    }
}

impl Json for u64 {
    fn to_json(&self) -> Option<Value> {
        Some((*self).into())
    }

    fn from_json(value: Value) -> Result<Self, JsonError> {
        let number = integer(&value).and_then(|number| Self::try_from(number).ok());
        number.ok_or_else(|| JsonError::new("must be an integer from 0 to 9223372036854775807"))
    }
}

impl Json for f64 {
    fn to_json(&self) -> Option<Value> {
        Some((*self).into())
    }

    fn from_json(value: Value) -> Result<Self, JsonError> {
        value.as_f64().ok_or_else(|| JsonError::new("must be a number"))
    }
}

impl Json for Micros {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.to_string()))
    }

    fn from_json(value: Value) -> Result<Self, JsonError> {
        let time = value.as_str().and_then(Self::parse);
        time.ok_or_else(|| JsonError::new("must be an RFC 3339 time"))
    }
}

macro_rules! json_id {
    ($($name:ident),*) => {$(
        impl Json for $name {
            fn to_json(&self) -> Option<Value> {
                Some(Value::String(self.to_string()))
            }

            fn from_json(value: Value) -> Result<Self, JsonError> {
                let text = value.as_str().ok_or_else(|| JsonError::new("must be a string"))?;
                text.parse().map_err(|error: crate::id::Invalid| JsonError::new(error.why.replace("it must", "must")))
            }
        }
    )*};
}
json_id!(Digest, EventId, TraceId, SpanId);

impl Json for Salt {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(crate::text::hex(&self.0)))
    }

    fn from_json(value: Value) -> Result<Self, JsonError> {
        let salt = value.as_str().and_then(crate::text::unhex).map(Self);
        salt.ok_or_else(|| JsonError::new("must be 32 lower-case hex digits"))
    }
}

impl<T: Json> Json for Option<T> {
    fn to_json(&self) -> Option<Value> {
        self.as_ref().and_then(T::to_json)
    }

    fn from_json(value: Value) -> Result<Self, JsonError> {
        T::from_json(value).map(Some)
    }
}

impl<T: Json> Json for Vec<T> {
    fn to_json(&self) -> Option<Value> {
        (!self.is_empty()).then(|| self.iter().filter_map(T::to_json).collect())
    }

    fn from_json(value: Value) -> Result<Self, JsonError> {
        let Value::Array(items) = value else {
            return Err(JsonError::new("must be an array"));
        };
        if items.len() > LIST_ITEMS_MAX {
            return Err(JsonError::new(format!("has over {LIST_ITEMS_MAX} items")));
        }
        let item = |(index, value)| {
            T::from_json(value).map_err(|error| error.within(&format!("[{index}]")))
        };
        items.into_iter().enumerate().map(item).collect()
    }
}
