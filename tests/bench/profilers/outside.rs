//! Profilers that look at a process from outside.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use tests::{
    lab::{LIMIT, Lab},
    python::Python,
    recording::Recording,
    running::Running,
};

use super::{
    COMPUTING,
    application::{Application, ByPhase, Work},
};

/// They don't all say when they are ready.
const UNTIL_READY: Duration = Duration::from_secs(2);

pub struct Outside {
    pub name: &'static str,
    way: Way,
}

enum Way {
    /// The tracer, with so many samples a second.
    Tracer(&'static str),
    /// A program, its arguments before the pid and what those before the file are, whose stacks are lines of frames with a count.
    Stacks { program: &'static str, arguments: &'static [&'static str], frame: fn(&str) -> String },
    /// It knows no function of Python.
    Bpftrace(&'static str),
}

pub const OUTSIDE: &[Outside] = &[
    Outside { name: "py-spy 100 Hz", way: py_spy(&["record", "--format", "raw", "--rate", "100"]) },
    Outside { name: "py-spy 1000 Hz", way: py_spy(&["record", "--format", "raw", "--rate", "1000"]) },
    Outside { name: "austin 10 ms", way: austin(&["--interval", "10ms"]) },
    Outside { name: "austin 1 ms", way: austin(&["--interval", "1ms"]) },
    Outside { name: "bpftrace 99 Hz", way: Way::Bpftrace("99") },
    Outside { name: "bpftrace 999 Hz", way: Way::Bpftrace("999") },
    Outside { name: "tracer 199 Hz", way: Way::Tracer("199") },
    Outside { name: "tracer 999 Hz", way: Way::Tracer("999") },
];

const fn py_spy(arguments: &'static [&'static str]) -> Way {
    // `calls (profiled.py:21)`
    Way::Stacks { program: "py-spy", arguments, frame: |phase| format!("{phase} (") }
}

const fn austin(arguments: &'static [&'static str]) -> Way {
    // `/path/profiled.py:calls:21`
    Way::Stacks { program: "austin", arguments, frame: |phase| format!("profiled.py:{phase}:") }
}

impl Outside {
    /// Looks at a process while that does its work.
    pub fn work(&self, lab: &Lab, python: &Python, application: &mut Application) -> Work {
        let pid = application.pid().to_string();
        let file = lab.dir().join("profile");
        match self.way {
            Way::Tracer(rate) => {
                let options = ["--pid", &pid, "--samples-per-second", rate];
                let mut recording = Recording::start(lab, "profile", options);
                recording.wait_ready();
                thread::sleep(UNTIL_READY);
                let Work { cpu_ns, .. } = application.work();
                let requests = recording.interrupt().requests;
                let functions = requests.iter().flat_map(|request| &request.functions);
                let mut told_ns = ByPhase::new();
                for function in functions.filter(|function| COMPUTING.contains(&function.function.as_str())) {
                    *told_ns.entry(function.function.clone()).or_default() += function.total_ns;
                }
                Work { cpu_ns, told_ns }
            }
            Way::Stacks { program, arguments, frame } => {
                let mut command = Command::new(python.program(program));
                command.args(arguments).args(["--pid", &pid, "--output"]).arg(&file);
                let cpu_ns = beside(&mut command, lab, application);
                Work { cpu_ns, told_ns: told(&file, frame) }
            }
            Way::Bpftrace(rate) => {
                let mut command = Command::new("bpftrace");
                let program = format!("profile:hz:{rate} /pid == {pid}/ {{ @[ustack] = count(); }}");
                command.args(["-e", &program]);
                Work { cpu_ns: beside(&mut command, lab, application), told_ns: ByPhase::new() }
            }
        }
    }
}

fn beside(command: &mut Command, lab: &Lab, application: &mut Application) -> ByPhase<u64> {
    let profiler = Running::start(command, lab.dir(), "profiler");
    thread::sleep(UNTIL_READY);
    let cpu_ns = application.work().cpu_ns;
    profiler.interrupt();
    profiler.finish(LIMIT);
    cpu_ns
}

/// What lines of stacks tell, in samples or microseconds: shares are all that is asked for.
fn told(file: &Path, frame: fn(&str) -> String) -> ByPhase<u64> {
    let stacks = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut told = ByPhase::new();
    for line in stacks.lines() {
        let Some((frames, count)) = line.rsplit_once(' ') else { continue };
        let Ok(count) = count.parse::<u64>() else { continue };
        if let Some(phase) = COMPUTING.iter().find(|phase| frames.contains(&frame(phase))) {
            *told.entry((*phase).to_owned()).or_default() += count;
        }
    }
    told
}
