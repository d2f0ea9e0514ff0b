//! Figures as they are printed: sizes, rates, medians. Pure.

use std::time::Duration;

/// Millions of bytes.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    number(bytes / 1_000) / 1e3
}

/// Exact below 2^32, and far more exact than any measurement above.
pub(crate) fn number(count: u64) -> f64 {
    let (high, low) = (count >> 32, count & 0xffff_ffff);
    let part = |part| f64::from(u32::try_from(part).unwrap_or(u32::MAX));
    part(high) * 4_294_967_296.0 + part(low)
}

pub(crate) fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Megabytes a second.
pub(crate) fn rate(bytes: u64, time: Duration) -> f64 {
    megabytes(bytes) / time.as_secs_f64().max(1e-9)
}

pub(crate) fn percent(part: f64, whole: f64) -> String {
    format!("{:.0} %", 100.0 * part / whole)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
