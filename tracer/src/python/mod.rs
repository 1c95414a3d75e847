//! Finding Python in processes and ELF files: what is probed, and where.

pub mod binary;
