//! Finding Python in processes and ELF files: what is probed, and where.

pub mod binary;
#[cfg(test)]
mod builds;
mod elf;
mod flow;
mod methods;
pub mod operand;
mod points;
mod usdt;
mod version;
mod x86;
