//! The applications whose cost is measured.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use serde::Deserialize;
use tests::{
    affinity,
    lab::{Lab, PORT},
    python::Python,
    running::Running,
};

pub struct Subject {
    pub name: &'static str,
    /// What tracing may cost, in percent of its CPU time.
    pub target: Option<f64>,
    work: Work,
}

enum Work {
    /// A part of `tests/apps/cost.py`.
    Script(&'static str),
    /// An application under uvicorn, and the load on it.
    Server(&'static str, &'static [&'static str]),
}

/// What is measured, in the order of the design's targets.
pub const SUBJECTS: &[Subject] = &[
    Subject { name: "loop", target: Some(10.0), work: Work::Script("loop") },
    Subject {
        name: "fastapi",
        target: None,
        work: Work::Server(
            "plain:app",
            &["--requests", "3000", "--concurrency", "16", "--prefix", "plain", "/plain/{id}"],
        ),
    },
    Subject {
        name: "llm",
        target: Some(3.0),
        work: Work::Server(
            "chat:app",
            &["--requests", "50", "--concurrency", "50", "/chat/{id}?model=ttft=300-600,gap=20-40,n=50"],
        ),
    },
    Subject { name: "threads", target: None, work: Work::Script("threads") },
];

pub enum Started {
    Script { child: Child, stdin: ChildStdin, stdout: BufReader<ChildStdout> },
    Server { running: Running, load: &'static [&'static str] },
}

#[derive(Deserialize)]
struct Took {
    cpu_ns: u64,
}

impl Subject {
    /// Where what is beside it runs. A server has a CPU of its own, as on a host where CPUs are free: what its clients
    /// leave in the caches is not what is measured.
    pub fn others(&self) -> affinity::Of {
        match self.work {
            Work::Script(_) => affinity::Of::All,
            Work::Server(..) => affinity::Of::AllButFirst,
        }
    }

    pub fn start(&self, lab: &Lab, python: &Python) -> Started {
        let mut command = lab.command(python.program("python"));
        match self.work {
            Work::Script(part) => {
                command.args(["cost.py", part]).stdin(Stdio::piped()).stdout(Stdio::piped());
                let mut child = command.spawn().expect("start the script");
                let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
                let stdout = BufReader::new(stdout.expect("it is piped"));
                Started::Script { child, stdin: stdin.expect("it is piped"), stdout }
            }
            Work::Server(application, load) => {
                command.env_remove("TRUTH_FILE");
                command.args(["-m", "uvicorn", application, "--port", PORT, "--no-access-log"]);
                let running = lab.start_command(&mut command, "server");
                affinity::set(running.pid(), affinity::Of::First);
                Started::Server { running, load }
            }
        }
    }
}

impl Started {
    pub fn pid(&self) -> u32 {
        match self {
            Started::Script { child, .. } => child.id(),
            Started::Server { running, .. } => running.pid(),
        }
    }

    /// Does its work once; gives the CPU time that it took, in ns.
    pub fn work(&mut self, lab: &Lab) -> u64 {
        match self {
            Started::Script { stdin, stdout, .. } => {
                writeln!(stdin, "go").expect("the script reads");
                let mut line = String::new();
                stdout.read_line(&mut line).expect("the script writes");
                serde_json::from_str::<Took>(&line).unwrap_or_else(|error| panic!("{error}: {line}")).cpu_ns
            }
            Started::Server { running, load } => {
                let before_ns = cpu_ns(running.pid());
                lab.drive(load);
                cpu_ns(running.pid()) - before_ns
            }
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Started::Script { child, .. } = self {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// CPU time of all threads of a process that live (Documentation/scheduler/sched-stats.rst).
fn cpu_ns(pid: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let on_cpu = threads.flatten().filter_map(|thread| {
        let stat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    on_cpu.sum()
}
