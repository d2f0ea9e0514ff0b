//! What belongs to no single crate: tidiness, golden vectors, failures, end to end.
