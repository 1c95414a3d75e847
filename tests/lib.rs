//! What the test binaries share.

pub mod affinity;
pub mod binary;
pub mod compare;
pub mod container;
pub mod counted;
pub mod golden;
pub mod held;
pub mod history;
pub mod lab;
pub mod matrix;
pub mod otlp;
pub mod private;
pub mod python;
pub mod recording;
pub mod running;
pub mod sample;
pub mod serving;
pub mod terminal;
pub mod truth;
