//! What the test binaries share.

pub mod binary;
pub mod golden;
pub mod sample;
