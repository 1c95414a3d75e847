//! The report in the forms of other tools: where the wall time of requests went, by stacks that end in the bucket
//! of what is no CPU.

pub mod callgrind;
pub mod firefox;
pub mod folded;
pub mod perfetto;
pub mod pprof;
pub mod profile;
pub mod sequence;
pub mod speedscope;
pub mod stack;
pub mod svg;
