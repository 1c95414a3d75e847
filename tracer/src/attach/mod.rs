//! Loading the probes and attaching them: all that talks to the kernel's BPF.

pub mod kernel_btf;
pub mod link;
pub mod load;
mod program;
pub mod support;
mod sys;
mod uprobe;
pub mod verify;
