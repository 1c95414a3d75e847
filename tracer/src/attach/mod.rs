//! Loading the probes and attaching them: all that talks to the kernel's BPF.

mod counts;
pub mod fill;
pub mod functions;
pub mod kernel_btf;
mod kfunc;
pub mod link;
pub mod load;
mod program;
pub mod support;
mod sys;
mod tracepoint;
mod uprobe;
pub mod verify;
