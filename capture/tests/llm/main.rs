//! Exchanges with model APIs: whatever they say, their bytes can be rebuilt from the contents, and nothing panics.

#![cfg(test)]

mod bytes;
mod credentials;
mod errors;
mod history;
mod kit;
mod properties;
