//! CORE: how many messages a protobuf export decodes to, and how deep they are nested, before anything is allocated for it.
//!
//! Two bytes of an empty message become a hundred in memory. It only counts: what is malformed is left to the decoder.

/// A kind of message: the fields of it that hold messages, and what kind those are.
#[derive(Debug)]
pub(crate) struct Kind(&'static [(u64, &'static Self)]);

/// `ExportTraceServiceRequest`
pub(crate) static TRACES: Kind = Kind(&[(1, &RESOURCE_SPANS)]);
/// `ExportLogsServiceRequest`
pub(crate) static LOGS: Kind = Kind(&[(1, &RESOURCE_LOGS)]);

static RESOURCE_SPANS: Kind = Kind(&[(1, &RESOURCE), (2, &SCOPE_SPANS)]);
static SCOPE_SPANS: Kind = Kind(&[(1, &SCOPE), (2, &SPAN)]);
static SPAN: Kind = Kind(&[(9, &KEY_VALUE), (11, &EVENT), (13, &LINK), (15, &NONE)]);
static EVENT: Kind = Kind(&[(3, &KEY_VALUE)]);
static LINK: Kind = Kind(&[(4, &KEY_VALUE)]);
static RESOURCE_LOGS: Kind = Kind(&[(1, &RESOURCE), (2, &SCOPE_LOGS)]);
static SCOPE_LOGS: Kind = Kind(&[(1, &SCOPE), (2, &LOG)]);
static LOG: Kind = Kind(&[(5, &ANY_VALUE), (6, &KEY_VALUE)]);
static RESOURCE: Kind = Kind(&[(1, &KEY_VALUE), (3, &ENTITY)]);
static ENTITY: Kind = Kind(&[(3, &NONE), (4, &NONE)]);
static SCOPE: Kind = Kind(&[(3, &KEY_VALUE)]);
static KEY_VALUE: Kind = Kind(&[(2, &ANY_VALUE)]);
static ANY_VALUE: Kind = Kind(&[(5, &ARRAY), (6, &KEY_VALUES)]);
static ARRAY: Kind = Kind(&[(1, &ANY_VALUE)]);
static KEY_VALUES: Kind = Kind(&[(1, &KEY_VALUE)]);
static NONE: Kind = Kind(&[]);

/// What an export holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) messages: usize,
    pub(crate) depth: usize,
}

/// Weighs a message; stops at `messages_max` and `depth_max`, one beyond.
pub(crate) fn weigh(bytes: &[u8], kind: &Kind, messages_max: usize, depth_max: usize) -> Weight {
    let mut weight = Weight { messages: 1, depth: 1 };
    let mut open = vec![(bytes, kind, 1)];
    while let Some((bytes, kind, depth)) = open.pop() {
        let Some((field, rest)) = next(bytes) else { continue };
        if !rest.is_empty() {
            open.push((rest, kind, depth));
        }
        let Some((number, inner)) = field else { continue };
        let Some((_, child)) = kind.0.iter().find(|(of, _)| *of == number) else { continue };
        open.push((inner, child, depth + 1));
        weight.messages += 1;
        weight.depth = weight.depth.max(depth + 1);
        if weight.messages > messages_max || weight.depth > depth_max {
            break;
        }
    }
    weight
}

/// A field's number and bytes where it is length-delimited, and what follows the field; `None` at the end or where it is
/// broken.
#[expect(clippy::type_complexity, reason = "a field and the rest")]
fn next(bytes: &[u8]) -> Option<(Option<(u64, &[u8])>, &[u8])> {
    let (tag, rest) = varint(bytes)?;
    match tag & 7 {
        0 => Some((None, varint(rest)?.1)),
        1 => Some((None, rest.get(8..)?)),
        2 => {
            let (length, rest) = varint(rest)?;
            let (inner, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            Some((Some((tag >> 3, inner)), rest))
        }
        5 => Some((None, rest.get(4..)?)),
        _ => None,
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(u32::try_from(index).ok()? * 7)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{
        AnyValue, ArrayValue, KeyValue, any_value::Value,
    };
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;

    use super::*;

    fn request(spans: Vec<Span>) -> Vec<u8> {
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    }

    #[test]
    fn every_message_counts_however_small() {
        let spans = |count| request(vec![Span::default(); count]);
        let weight = |bytes: &[u8]| weigh(bytes, &TRACES, 1000, 64);
        assert_eq!(weight(&spans(3)), Weight { messages: 6, depth: 4 });
        assert_eq!(weight(&spans(100_000)).messages, 1001);
        assert_eq!(weight(b""), Weight { messages: 1, depth: 1 });
    }

    #[test]
    fn a_value_within_a_value_is_deep() {
        let mut value = AnyValue::default();
        for _ in 0..200 {
            let array = ArrayValue { values: vec![value] };
            value = AnyValue { value: Some(Value::ArrayValue(array)) };
        }
        let attribute = KeyValue { key: "a".into(), value: Some(value), ..KeyValue::default() };
        let span = Span { attributes: vec![attribute], ..Span::default() };
        assert_eq!(weigh(&request(vec![span]), &TRACES, 1_000_000, 100).depth, 101);
    }

    proptest::proptest! {
        #[test]
        fn it_ends_on_whatever_it_is_given(bytes: Vec<u8>) {
            let weight = weigh(&bytes, &TRACES, 100, 10);
            proptest::prop_assert!(weight.messages <= 101 && weight.depth <= 11);
        }
    }
}
