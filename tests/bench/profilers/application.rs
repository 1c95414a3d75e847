//! The program that profilers are measured on.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use serde::Deserialize;
use tests::{affinity, lab::Lab, python::Python};

pub type ByPhase<T> = BTreeMap<String, T>;

/// A process of `tests/apps/profiled.py`.
pub struct Application {
    child: Child,
    /// Until its end.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// What it took, and what a profiler told of it.
#[derive(Deserialize)]
pub struct Work {
    pub cpu_ns: ByPhase<u64>,
    /// Of those that compute.
    pub told_ns: ByPhase<u64>,
}

impl Application {
    /// With a profiler in it.
    pub fn start(lab: &Lab, python: &Python, profiler: &str) -> Application {
        let mut command = lab.command(python.program("python"));
        command.args(["profiled.py", profiler]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("start the application");
        affinity::set(child.id(), affinity::Of::First);
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stdout = BufReader::new(stdout.expect("it is piped"));
        Application { child, stdin, stdout }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Each phase once.
    pub fn work(&mut self) -> Work {
        let stdin = self.stdin.as_mut().expect("it is piped");
        writeln!(stdin, "go").expect("the application reads");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the application writes");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // It ends where nothing more is asked of it, with the process that streams come from.
        self.stdin = None;
        let _ = self.child.wait();
    }
}

/// Adds what the other has, by phase.
pub fn add(sums: &mut ByPhase<u64>, other: &ByPhase<u64>) {
    for (phase, ns) in other {
        *sums.entry(phase.clone()).or_default() += ns;
    }
}
