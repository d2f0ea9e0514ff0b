//! The columns of a segment (`docs/format.md`, section 5.1), as data: whoever writes and whoever reads build on this table.

use crate::event::Envelope;

/// Parquet type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// `FIXED_LEN_BYTE_ARRAY` of so many bytes.
    Fixed(i32),
    /// `BYTE_ARRAY`.
    Bytes,
    /// `BYTE_ARRAY`, `STRING`.
    Text,
    /// `INT32`.
    Int,
    /// `INT64`.
    Long,
    /// `INT64`, `TIMESTAMP(MILLIS, UTC)`.
    Millis,
    /// `INT64`, `TIMESTAMP(MICROS, UTC)`.
    Micros,
    /// `LIST` of a struct with the `bodies.*` columns.
    Bodies,
}

/// A top-level column, or a member of the `bodies` struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Parquet field id.
    pub id: i32,
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnType,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether it carries statistics and a column index.
    pub stat: bool,
}

const fn column(
    id: i32,
    name: &'static str,
    kind: ColumnType,
    nullable: bool,
    stat: bool,
) -> Column {
    Column { id, name, kind, nullable, stat }
}

const fn view(id: i32, name: &'static str, kind: ColumnType) -> Column {
    column(id, name, kind, true, true)
}

use ColumnType::{Bodies, Bytes, Fixed, Int, Long, Micros, Millis, Text};

impl Column {
    /// Field id of the list element of `bodies`.
    pub const BODIES_ELEMENT: i32 = 14;

    /// Members of the `bodies` struct.
    pub const BODY: [Self; 4] = [
        column(15, "digest", Fixed(32), true, false),
        column(16, "salt", Fixed(16), true, false),
        column(17, "data", Bytes, true, false),
        column(18, "enc", Bytes, true, false),
    ];
}

/// Index in [`COLUMNS`] of the first view; views go on to the end, in the order of [`Envelope::views`].
pub const FIRST_VIEW: usize = 16;

/// Top-level columns, in order.
pub const COLUMNS: [Column; FIRST_VIEW + 31] = [
    column(1, "session_key", Fixed(32), false, true),
    column(2, "offset", Long, false, true),
    column(3, "timestamp", Millis, true, true),
    column(4, "timestamp_type", Int, false, true),
    column(5, "key", Bytes, true, false),
    column(6, "headers", Bytes, true, false),
    column(7, "headers_salt", Fixed(16), true, false),
    column(8, "schema", Fixed(32), true, false),
    column(9, "frame", Bytes, true, false),
    column(10, "envelope", Bytes, true, false),
    column(11, "signature", Bytes, true, false),
    column(12, "admission", Bytes, true, false),
    column(13, "bodies", Bodies, false, false),
    column(19, "raw_reason", Text, true, true),
    column(20, "raw_salt", Fixed(16), true, false),
    column(21, "raw", Bytes, true, false),
    view(32, "event_id", Fixed(16)),
    view(33, "tenant", Text),
    view(34, "session_id", Text),
    view(35, "kind", Text),
    view(36, "occurred_at", Micros),
    view(37, "capture_source", Text),
    view(38, "phase", Text),
    view(39, "duration_us", Long),
    view(40, "status", Text),
    view(41, "error_type", Text),
    view(42, "session_seq", Long),
    view(43, "trace_id", Fixed(16)),
    view(44, "agent_id", Text),
    view(45, "agent_name", Text),
    view(46, "agent_version", Text),
    view(47, "principal_id", Text),
    view(48, "operation", Text),
    view(49, "provider", Text),
    view(50, "request_model", Text),
    view(51, "response_model", Text),
    view(52, "usage_input_tokens", Long),
    view(53, "usage_output_tokens", Long),
    view(54, "usage_cache_read_input_tokens", Long),
    view(55, "usage_cache_write_input_tokens", Long),
    view(56, "usage_reasoning_output_tokens", Long),
    view(57, "cost_nanos", Long),
    view(58, "tool_name", Text),
    view(59, "tool_call_id", Text),
    view(60, "tool_effect", Text),
    view(61, "policy_decision", Text),
    view(62, "capture_fidelity", Text),
];

/// The value of a view in one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View<'a> {
    /// Null.
    Null,
    /// Of a text column.
    Text(&'a str),
    /// Of an integer or time column.
    Long(i64),
    /// Of a 16-byte column.
    Fixed(&'a [u8; 16]),
}

impl Envelope<'_> {
    /// The views of this envelope, in the order of [`COLUMNS`] from [`FIRST_VIEW`] on.
    #[must_use]
    pub fn views(&self) -> [View<'_>; COLUMNS.len() - FIRST_VIEW] {
        [
            View::Fixed(&self.event_id.0),
            View::Text(&self.tenant),
            View::Text(&self.session_id),
            View::Text(&self.kind),
            View::Long(self.occurred_at.0),
            View::Text(&self.capture_source),
            View::Text(&self.phase),
            long(self.duration_us),
            View::Text(&self.status),
            opt(self.error_type.as_deref()),
            long(self.session_seq),
            self.trace_id.as_ref().map_or(View::Null, |id| View::Fixed(&id.0)),
            opt(self.agent_id.as_deref()),
            opt(self.agent_name.as_deref()),
            opt(self.agent_version.as_deref()),
            opt(self.principal_id.as_deref()),
            opt(self.operation.as_deref()),
            opt(self.provider.as_deref()),
            opt(self.request_model.as_deref()),
            opt(self.response_model.as_deref()),
            long(self.usage_input_tokens),
            long(self.usage_output_tokens),
            long(self.usage_cache_read_input_tokens),
            long(self.usage_cache_write_input_tokens),
            long(self.usage_reasoning_output_tokens),
            long(self.cost_nanos),
            opt(self.tool_name.as_deref()),
            opt(self.tool_call_id.as_deref()),
            opt(self.tool_effect.as_deref()),
            opt(self.policy_decision.as_deref()),
            View::Text(&self.capture_fidelity),
        ]
    }
}

fn opt(text: Option<&str>) -> View<'_> {
    text.map_or(View::Null, View::Text)
}

fn long(number: Option<u64>) -> View<'static> {
    number.map_or(View::Null, |number| View::Long(number.cast_signed()))
}
