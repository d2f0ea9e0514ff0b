//! How fast the default rules look through a file: `redaction FILE`, as one content of JSON or text, over and over for a second.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it measures, and prints what it measured"
)]

use std::error::Error;
use std::time::{Duration, Instant};

use capture::redact::Rules;
use capture::{Content, Happening};

/// How long is measured.
const TIME: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: redaction FILE")?;
    let data = std::fs::read(&path)?;
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&data).is_ok();
    let media_type = if is_json { "application/json" } else { "text/plain" };
    let size = u32::try_from(data.len())?;
    let content = Content::new("user", "message", media_type, data);
    let (rules, start) = (Rules::defaults(), Instant::now());
    let (mut bytes, mut found) = (0.0, 0);
    while start.elapsed() < TIME {
        let mut happening = Happening::new("llm.call", "http");
        happening.push(content.clone());
        found += rules.apply_to(&mut happening)?;
        bytes += f64::from(size);
    }
    let speed = bytes / start.elapsed().as_secs_f64() / 1e6;
    println!("{path}: {media_type}, {size} bytes, {found} findings, {speed:.0} MB/s");
    Ok(())
}
