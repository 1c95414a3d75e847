//! What the test binaries share.

pub mod binary;
pub mod compare;
pub mod golden;
pub mod lab;
pub mod matrix;
pub mod python;
pub mod recording;
pub mod running;
pub mod sample;
pub mod truth;
