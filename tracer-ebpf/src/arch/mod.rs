//! What the probes know of the processor: its registers, and the numbers of its system calls. A file for each processor, all
//! with the same names; x86-64 is the only one so far.

mod x86_64;

pub use x86_64::{HANDLED, READ, Registers};
