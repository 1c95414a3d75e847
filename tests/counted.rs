//! How often `apps/counted.py` says that it called its functions, and how often they were counted.

use std::collections::BTreeMap;

use serde::Deserialize;
use tracer::report::{
    counts::{FunctionCounts, Told},
    types::Report,
};

/// What one process says.
#[derive(Deserialize)]
pub struct Truth {
    pub pid: u32,
    pub functions: BTreeMap<String, u64>,
}

impl Truth {
    /// A child, which calls what it does once; its parent does everything twice.
    pub fn is_of_child(&self) -> bool {
        self.functions.contains_key("forked")
    }
}

/// What each process says that `apps/counted.py` was.
pub fn truths(stdout: &str) -> Vec<Truth> {
    let lines = stdout.lines().filter_map(|line| line.strip_prefix("counted "));
    lines.map(|line| serde_json::from_str(line).expect("as JSON")).collect()
}

/// Of the report, which stands behind what the command itself prints.
pub fn counts(stdout: &str) -> FunctionCounts {
    let json = stdout.find("{\n").map(|start| &stdout[start..]).expect("a report");
    let report: Report = serde_json::from_str(json).expect("of schema 1");
    report.function_counts.expect("functions were counted")
}

/// Every function of each process, which runs Python 3.`minor`, was called as often as that says, so many times over.
#[track_caller]
pub fn check((name, minor): (&str, u32), counts: &FunctionCounts, truths: &[Truth], times: u64) {
    assert!(!truths.is_empty(), "{name}: the application told nothing");
    for truth in truths {
        for (function, calls) in &truth.functions {
            let found: Vec<_> = counts
                .functions
                .iter()
                .filter(|of| of.pid == truth.pid && of.function == *function)
                .collect();
            let [found] = found.as_slice() else { panic!("{name}: {function} is there once: {found:?}") };
            let more = match (function.as_str(), found.told) {
                // It is entered for each value and for its end, from 3.11 on also when it is called; it returns with each value, and
                // at its end.
                ("yields", Told::Entries) if minor >= 11 => 2,
                ("yields", _) => 1,
                _ => 0,
            };
            eprintln!("{name}: {function} {} {:?}, called {calls} times {times}", found.count, found.told);
            assert_eq!(found.count, (calls + more) * times, "{name}: {function}: {found:?}");
            assert_eq!(found.lines.iter().map(|line| line.count).sum::<u64>(), found.count);
        }
    }
}
