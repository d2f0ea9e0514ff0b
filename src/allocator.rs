//! SHELL: the allocator, and how long it keeps memory that a service will soon need again.
#![expect(unsafe_code, reason = "the allocator's settings have no safe wrapper")]

use std::ffi::{c_int, c_long};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`, which the bindings do not name.
const PURGE_DELAY: c_int = 15;
/// Instead of a second: a gateway that gives back what the next request takes pays for a page fault every 4 KB of it.
const KEPT_MS: c_long = 10_000;

/// Keeps freed memory for a while. To be called before there are threads.
pub(crate) fn keep() {
    // SAFETY: it sets a number, and nobody else sets or reads options at this time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, KEPT_MS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: it reads a number. No other option has this default.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }, 1000);
    }
}
