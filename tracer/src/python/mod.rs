//! Finding Python in processes and ELF files: what is probed, and where.

pub mod binary;
#[cfg(test)]
mod builds;
mod clock;
mod cmdline;
pub mod code;
pub mod discover;
mod elf;
mod flow;
pub mod functions;
pub mod future;
pub mod greenlet;
pub mod http2;
pub mod identity;
pub mod layout;
pub mod library;
pub mod lines;
mod methods;
mod native;
mod openssl;
pub mod operand;
mod points;
pub mod process;
pub mod procfs;
pub mod program;
pub mod queue;
mod relocation;
mod result;
#[cfg(test)]
mod running;
pub mod sleep;
mod task;
mod usdt;
mod version;
mod x86;
