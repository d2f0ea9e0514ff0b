//! Agent events in, durable topic records out.
