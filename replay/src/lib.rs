//! Sealed segments in; verified traces, sessions and exports out.
