//! The daemon: traces the host as `record` does, for months, and hands requests on as they finish.

pub mod batch;
pub mod config;
pub mod desk;
pub mod history;
mod kubernetes;
mod daemon;
mod life;
mod memory;
pub mod metrics;
pub mod otlp;
mod past;
mod routes;
mod select;
pub mod web;

pub use daemon::run;
