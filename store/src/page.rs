//! CORE: a page of a listing.

/// Keys that one request found, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most 1,000.
    pub keys: Vec<String>,
    /// Whether there are more after them.
    pub full: bool,
}

impl Page {
    /// What a page holds at most.
    pub const KEYS_MAX: usize = 1000;

    /// Of keys in any order.
    pub(crate) fn of(mut keys: Vec<String>, full: bool) -> Self {
        keys.sort_unstable();
        Self { keys, full }
    }

    /// The first of all the keys there are, in any order.
    pub(crate) fn first(keys: Vec<String>) -> Self {
        let mut page = Self::of(keys, false);
        page.full = page.keys.len() > Self::KEYS_MAX;
        page.keys.truncate(Self::KEYS_MAX);
        page
    }
}
