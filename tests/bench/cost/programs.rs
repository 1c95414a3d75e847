//! How often the kernel ran each probe, and for how long (`bpf_stats_enabled`).

use std::{
    collections::{BTreeMap, HashSet},
    fmt, fs,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use aya::{
    programs::loaded_programs,
    sys::{Stats, enable_stats},
};

/// Counts while it lives.
pub struct Programs {
    _counting: OwnedFd,
    /// Of others, loaded before.
    foreign: HashSet<u32>,
}

/// Runs of a probe.
#[derive(Clone, Debug, Default)]
pub struct Program {
    name: String,
    pub runs: u64,
    pub run_ns: u64,
}

impl Programs {
    pub fn start() -> Programs {
        let counting = enable_stats(Stats::RunTime).expect("count runs of BPF programs: it needs root");
        let foreign = loaded_programs().flatten().map(|program| program.id()).collect();
        Programs { _counting: counting, foreign }
    }

    /// What ran up to now, by number of the program.
    pub fn read(&self) -> BTreeMap<u32, Program> {
        let own = loaded_programs().flatten().filter(|program| !self.foreign.contains(&program.id()));
        own.filter_map(|program| {
            let fd = program.fd().ok()?;
            let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
            let info = fs::read_to_string(path).ok()?;
            let value = |name: &str| {
                let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
            };
            let name = program.name_as_str().unwrap_or("?").to_owned();
            Some((program.id(), Program { name, runs: value("run_cnt"), run_ns: value("run_time_ns") }))
        })
        .collect()
    }

    /// What ran since then, the most expensive first.
    pub fn since(&self, before: &BTreeMap<u32, Program>) -> Vec<Program> {
        let mut programs: Vec<Program> = self
            .read()
            .into_iter()
            .map(|(id, now)| {
                let before = before.get(&id).cloned().unwrap_or_default();
                Program { runs: now.runs - before.runs, run_ns: now.run_ns - before.run_ns, ..now }
            })
            .filter(|program| program.runs > 0)
            .collect();
        programs.sort_by_key(|program| std::cmp::Reverse(program.run_ns));
        programs
    }
}

impl fmt::Display for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Program { name, runs, run_ns } = self;
        write!(formatter, "{name:<16}{runs:>9} hits{:>6} ns each", run_ns / runs.max(&1))
    }
}
