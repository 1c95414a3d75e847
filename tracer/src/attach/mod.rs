//! Loading the probes and attaching them: all that talks to the kernel's BPF.

pub mod kernel_btf;
pub mod link;
pub mod load;
mod sys;
