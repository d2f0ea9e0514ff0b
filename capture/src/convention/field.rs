//! From attributes to fields of the envelope: tables of which key may fill which field. The first that does fills it; what does
//! not fit stays an attribute.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use schemas::{Envelope, Micros};

use super::Reading;
use crate::happening::is_name;

pub(super) type Field<T> = for<'e> fn(&'e mut Envelope<'static>) -> &'e mut Option<T>;

/// Which keys may fill a field, the best first.
pub(super) type Row<T> = (Field<T>, &'static [&'static str]);

/// A row of a field that is a name.
pub(super) type Name = Row<Cow<'static, str>>;

impl Reading<'_> {
    pub(super) fn names(&mut self, table: &[Name]) {
        self.fill(table, |reading, key| reading.attributes.take_name(key).map(Into::into));
    }

    pub(super) fn counts(&mut self, table: &[Row<u64>]) {
        self.fill(table, |reading, key| reading.attributes.take_count(key));
    }

    pub(super) fn numbers(&mut self, table: &[Row<f64>]) {
        self.fill(table, |reading, key| reading.attributes.take_number(key));
    }

    pub(super) fn integers(&mut self, table: &[Row<i64>]) {
        self.fill(table, |reading, key| reading.attributes.take_integer(key));
    }

    fn fill<T>(&mut self, table: &[Row<T>], take: impl Fn(&mut Self, &str) -> Option<T>) {
        for (field, keys) in table {
            let mut keys = keys.iter();
            while field(&mut self.envelope).is_none()
                && let Some(key) = keys.next()
            {
                let value = take(self, key);
                *field(&mut self.envelope) = value;
            }
        }
    }

    /// Fills the cost from US dollars, which stay an attribute: the field has no finer digits than 1e-9.
    pub(super) fn cost(&mut self, keys: &[&str]) {
        if self.envelope.cost_nanos.is_none() && self.has_own_usage() {
            self.set_cost(keys);
        }
    }

    /// As [`Self::cost`], whoever's the usage is.
    pub(super) fn set_cost(&mut self, keys: &[&str]) {
        let dollars = keys.iter().find_map(|key| self.attributes.number(key));
        self.envelope.cost_nanos = dollars.and_then(|dollars| rounded(dollars * 1e9));
    }

    /// Fills the duration of what a record tells when it is over, from milliseconds, a number or a text of one, which stay an
    /// attribute. It began that much before.
    pub(super) fn duration(&mut self, key: &str) {
        let text = self.attributes.text(key).and_then(|text| text.parse().ok());
        let millis: Option<f64> = self.attributes.number(key).or(text);
        self.envelope.duration_us = millis.and_then(|millis| rounded(millis * 1000.0));
        let micros = self.envelope.duration_us.and_then(|micros| i64::try_from(micros).ok());
        let began = micros.map(|micros| self.envelope.occurred_at.0.saturating_sub(micros));
        if let Some(began) = began.filter(|began| *began > 0) {
            self.envelope.occurred_at = Micros(began);
        }
    }

    /// Fills the time to the first chunk from seconds, which stay an attribute.
    pub(super) fn first_chunk(&mut self, key: &str, per_second: f64) {
        if self.envelope.time_to_first_chunk_us.is_none() {
            let time = self.attributes.number(key);
            let micros = time.and_then(|time| rounded(time / per_second * 1e6));
            self.envelope.time_to_first_chunk_us = micros;
        }
    }

    /// Fills the finish reasons from a list of names, or from one.
    pub(super) fn finish_reasons(&mut self, keys: &[&str]) {
        for key in keys {
            if !self.envelope.finish_reasons.is_empty() {
                return;
            }
            let value = self.attributes.take_if(key, are_names);
            self.envelope.finish_reasons = match value {
                Some(Value::StringValue(reason)) => vec![reason.into()],
                Some(Value::ArrayValue(list)) => {
                    let texts = list.values.into_iter().filter_map(|item| match item.value? {
                        Value::StringValue(text) => Some(Cow::Owned(text)),
                        _ => None,
                    });
                    texts.collect()
                }
                _ => Vec::new(),
            };
        }
    }
}

/// What all dialects say alike.
pub(super) fn read_common(reading: &mut Reading<'_>) {
    const NAMES: [Name; 1] = [(|it| &mut it.error_type, &["error.type"])];
    reading.names(&NAMES);
    reading.session(&["session.id"]);
    reading.principal(&["user.id", "enduser.id"]);
}

/// Names in a list: one for each of the answers that a call asked for.
const NAMES_MAX: usize = 64;

fn are_names(value: &Value) -> bool {
    match value {
        Value::StringValue(text) => is_name(text),
        Value::ArrayValue(list) => {
            let name = |value: &Option<Value>| matches!(value, Some(Value::StringValue(text)) if is_name(text));
            list.values.len() <= NAMES_MAX && list.values.iter().all(|item| name(&item.value))
        }
        _ => false,
    }
}

/// A number that is not negative, to the nearest integer.
fn rounded(number: f64) -> Option<u64> {
    format!("{:.0}", number.abs()).parse().ok().filter(|_| number >= 0.0)
}
