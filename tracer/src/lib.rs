//! Where the time of every request of a Python LLM application went.
//!
//! The modules stand in the order in which data passes through them. Everything after [`wire`] is pure: no I/O,
//! no clock, no aya; live and replayed events run the same code.

pub mod event;
pub mod container;
pub mod python;
pub mod attach;
pub mod ingest;
pub mod vendor;
pub mod wire;
pub mod capture;
pub mod model;
pub mod request;
pub mod finding;
pub mod report;
pub mod export;
pub mod diff;

pub mod replay;
pub mod record;
pub mod serve;
pub mod top;
pub mod check;
pub mod cli;
pub mod pages;
pub mod output;
pub mod hint;
