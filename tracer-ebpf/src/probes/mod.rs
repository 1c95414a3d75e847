//! The programs, one file for each subject.

mod process;
mod python;
mod schedule;
mod socket;
mod syscall;
mod table;

pub use table::op;
