//! Where the time of every request of a Python LLM application went.
//!
//! The modules stand in the order in which data passes through them. Everything after [`ingest`] and
//! [`wire`] is pure: no I/O, no clock, no aya; live and replayed events run the same code.

pub mod event;
pub mod python;
pub mod vendor;
pub mod wire;

pub mod report;

pub mod finding;

pub mod check;
pub mod cli;
pub mod hint;
pub mod output;
pub mod record;
pub mod replay;
