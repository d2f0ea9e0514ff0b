//! Whole stores, read from outside: golden ones that an independent script wrote, and ones that the test writer here wrote.

#[cfg(test)]
mod bundle;
#[cfg(test)]
mod bundle_bytes;
#[cfg(test)]
mod bundle_forged;
#[cfg(test)]
mod bundle_golden;
#[cfg(test)]
mod exchanges;
#[cfg(test)]
mod export;
#[cfg(test)]
mod history;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod log;
#[cfg(test)]
mod log_bytes;
#[cfg(test)]
mod log_trust;
#[cfg(test)]
mod records;
#[cfg(test)]
mod tamper;
#[cfg(test)]
mod trace;
#[cfg(test)]
mod verify;
#[cfg(test)]
mod watched;
