//! SHELL: a client of the Confluent schema registry API, for the little that this pipeline asks of one: register the published
//! schema for a topic, and tell which published schema an id stands for.
//!
//! An id means one schema for ever, so what was learnt is never asked again, and an outage matters only to what is new. A
//! registry that does not answer, or answers what no registry would, says nothing about any message: that is an error to
//! try again after. It does not delete, list or compare; compatibility is the registry's to judge.

mod client;
mod config;
mod error;

pub use client::Registry;
pub use config::Config;
pub use error::{Error, Kind};
