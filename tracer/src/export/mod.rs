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

use std::collections::BTreeMap;

use crate::report::types::{Process, Report, Request};

/// The requests of a process, which is `None` where nothing else is known of it.
type OfProcess<'a> = (Option<&'a Process>, Vec<&'a Request>);

fn by_process<'a>(report: &'a Report, requests: Vec<&'a Request>) -> BTreeMap<u32, OfProcess<'a>> {
    let mut processes = BTreeMap::<u32, OfProcess>::new();
    for request in requests {
        processes.entry(request.pid).or_default().1.push(request);
    }
    for process in &report.processes {
        if let Some((known, _)) = processes.get_mut(&process.pid) {
            *known = Some(process);
        }
    }
    processes
}
