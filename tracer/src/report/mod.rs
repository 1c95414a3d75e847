//! The report: what every output format is made from. Schema 1.

pub mod bucket;
pub mod types;
