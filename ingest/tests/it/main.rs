//! The gateway as its clients meet it: over real connections, with a real spool or librdkafka's broker behind it.

#![cfg(test)]

mod avro;
mod away;
mod claims;
mod events;
mod hostile;
mod kafka;
mod limits;
mod llm;
mod otlp;
mod page;
mod served;
