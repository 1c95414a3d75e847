//! The report: what every output format is made from. Schema 1.

pub mod bucket;
pub mod counts;
pub mod filter;
pub mod group;
pub mod json;
pub mod packed;
pub mod route;
pub(crate) mod sampled;
pub mod stacks;
pub mod stats;
pub mod text;
pub mod types;
pub(crate) mod waits;
pub(crate) mod delays;
pub mod functions;
pub mod build;
