//! The dialects of attributes: one file for each, which takes what it knows out of a reading.
//!
//! They are read one after the other, `otel_genai` first: a field that is filled stays, and so does content. So what two
//! dialects say is told once, in the words of the more exact one; the other's stay attributes.

mod answered;
mod claude_code;
mod cut;
mod field;
mod flat;
mod google_adk;
mod langsmith;
mod message;
mod mlflow;
mod openinference;
mod openllmetry;
pub(crate) mod otel_genai;
mod pydantic_ai;
mod reading;
mod retrieval;
mod vercel;

pub(crate) use reading::{Reading, Signal, marks};

/// A dialect: its name in `capture_convention`, how it is known, what kind it says an event is, how it is read.
struct Dialect {
    name: &'static str,
    is_spoken: fn(&Reading<'_>) -> bool,
    kind: fn(&Reading<'_>) -> Option<&'static str>,
    read: fn(&mut Reading<'_>),
}

macro_rules! dialects {
    ($($name:ident),*) => {
        [$(Dialect {
            name: stringify!($name),
            is_spoken: $name::is_spoken,
            kind: $name::kind,
            read: $name::read,
        }),*]
    };
}

/// The first that is spoken names the happening and says its kind before `otel_genai` does, which most borrow words from: a
/// framework knows better what its span is.
const DIALECTS: [Dialect; 9] = dialects![
    openinference,
    claude_code,
    langsmith,
    vercel,
    openllmetry,
    google_adk,
    pydantic_ai,
    mlflow,
    otel_genai
];

/// Reads what the attributes mean.
pub(crate) fn read(reading: &mut Reading<'_>) {
    reading.look_for_marks();
    let mut spoken: Vec<&Dialect> =
        DIALECTS.iter().filter(|dialect| (dialect.is_spoken)(reading)).collect();
    reading.envelope.capture_convention = spoken.first().map(|dialect| dialect.name.into());
    if let Some(kind) = spoken.iter().find_map(|dialect| (dialect.kind)(reading)) {
        reading.envelope.kind = kind.into();
    }
    spoken.sort_by_key(|dialect| dialect.name != otel_genai::NAME);
    for dialect in spoken {
        (dialect.read)(reading);
    }
    field::read_common(reading);
}
