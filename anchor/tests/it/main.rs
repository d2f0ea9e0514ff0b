//! Time-stamps by a real authority, `openssl ts`, checked here and by OpenSSL, and everything that is wrong with others; and
//! what is made of a witness's answers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod check;
mod mutation;
mod openssl;
mod stamp;
mod witness;
