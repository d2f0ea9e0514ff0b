//! OTLP requests as runtimes send them, and as nobody should, read as happenings.

#![cfg(test)]

mod cut;
mod dialects;
mod hostile;
mod kit;
mod properties;
mod samples;
