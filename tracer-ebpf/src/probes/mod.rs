//! The programs, one file for each subject.
//!
//! The costs that stand at the probes are means over all runs, traced processes and others, while a FastAPI service
//! answered 400 streamed requests, 50 at a time: `run_time_ns / run_cnt` of `bpftool prog show` with
//! `kernel.bpf_stats_enabled=1`, which adds some 50 ns itself. The trap into a uprobe comes on top: about 0.5 us on the
//! instructions that are chosen for it.

mod function;
mod process;
mod python;
mod sample;
mod schedule;
mod socket;
mod syscall;
mod table;
mod tls;

pub use table::op;
