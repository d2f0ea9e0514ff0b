//! OTLP requests as runtimes send them, and as nobody should, read as happenings.

mod dialects;
mod hostile;
mod kit;
mod properties;
mod samples;
