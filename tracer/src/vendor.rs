//! The vendor table.
