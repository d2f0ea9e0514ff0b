//! Events of a span: exceptions and messages are contents of it, evaluations are events of their own, others stay attributes.

use opentelemetry_proto::tonic::trace::v1::span::Event;

use super::attributes::Attributes;
use super::frame::{Rest, micros};
use crate::convention::{Reading, marks, otel_genai};
use crate::happening::{Content, is_name};

/// Says what a judge made of a span.
pub(super) const EVALUATION: &str = "gen_ai.evaluation.result";

/// An event that is an evaluation.
#[derive(Debug)]
pub(super) struct Evaluation {
    time: u64,
    attributes: Attributes,
    dropped: u32,
}

/// Reads the events of a span. Returns what is left of each, as JSON, and the evaluations. What there is no room for is left.
pub(super) fn read(
    events: Vec<Event>,
    reading: &mut Reading<'_>,
) -> (Vec<Vec<u8>>, Vec<Evaluation>) {
    let (mut rests, mut evaluations) = (Vec::new(), Vec::new());
    for event in events {
        let Event { time_unix_nano, name, attributes, dropped_attributes_count } = event;
        let mut attributes = Attributes::new(attributes);
        reading.mark(marks(&attributes));
        let mut rest = Rest::new();
        rest.text("name", &name);
        rest.count("time_unix_nano", time_unix_nano);
        rest.count("dropped_attributes_count", dropped_attributes_count);
        match name.as_str() {
            EVALUATION if evaluations.len() < reading.limits.list_items_max => {
                let (time, dropped) = (time_unix_nano, dropped_attributes_count);
                let attributes = std::mem::take(&mut attributes);
                evaluations.push(Evaluation { time, attributes, dropped });
            }
            "exception" if reading.room() > 0 => read_exception(&mut attributes, reading),
            name => otel_genai::read_event(name, &mut attributes, reading),
        }
        attributes.write_rest(&[], &mut rest.0);
        rests.push(rest.close());
    }
    (rests, evaluations)
}

fn read_exception(attributes: &mut Attributes, reading: &mut Reading<'_>) {
    let name = attributes.text("exception.type").filter(|name| is_name(name));
    let name = name.map(|name| name.to_owned().into());
    let error_type = &mut reading.envelope.error_type;
    *error_type = error_type.take().or(name);
    if let Some(data) = attributes.take_all() {
        reading.errors.push(Content::json("", "error", data));
    }
}

impl Evaluation {
    /// Reads it; returns what is left.
    pub(super) fn read(self, reading: &mut Reading<'_>) -> Rest {
        reading.envelope.occurred_at = micros(self.time);
        reading.dropped = u64::from(self.dropped);
        reading.attributes = self.attributes;
        reading.look_for_marks();
        otel_genai::read_evaluation(reading);
        let mut rest = Rest::new();
        rest.text("name", EVALUATION);
        rest.count("time_unix_nano", self.time);
        rest.attributes(reading);
        rest
    }
}
