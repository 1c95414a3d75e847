//! What a streamed call of 10 chunks costs the application more under tracers that are put into it, and under this one: by
//! turns, in one run.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use clap::Parser;
use serde::Deserialize;
use tests::{lab::Lab, python::Python, recording::Recording};

/// What tracers cost in CPU time of the application, for each streamed call of 10 chunks.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench tracers")]
struct Arguments {
    /// Rounds, in each of which every tracer has its turn
    #[arg(long, default_value_t = 10)]
    rounds: u32,
}

/// Those that are put into the application (`tests/apps/sdk_tracers.py`).
const SDKS: [&str; 4] = ["openinference", "traceloop", "logfire", "langfuse"];

fn main() {
    let Arguments { rounds } = Arguments::parse();
    let python = Python::sdks().into_iter().max_by_key(Python::minor).expect("there is one");
    let lab = Lab::start();
    let mut plain = Application::start(&lab, &python, "none");
    let mut sdks: Vec<(&str, Application)> =
        SDKS.iter().map(|name| (*name, Application::start(&lab, &python, name))).collect();
    let mut added: Vec<(&str, Vec<f64>)> =
        SDKS.iter().chain(&["tracer"]).map(|name| (*name, Vec::new())).collect();
    let mut alone_ms = Vec::new();
    for round in 0..rounds {
        // What this one costs is the difference in one process, in the other order each time.
        let (without_ms, with_ms) = if round % 2 == 0 {
            let without_ms = plain.call_ms();
            (without_ms, traced_ms(&lab, &mut plain))
        } else {
            let with_ms = traced_ms(&lab, &mut plain);
            (plain.call_ms(), with_ms)
        };
        alone_ms.push(without_ms);
        for ((_, application), (_, added_ms)) in sdks.iter_mut().zip(&mut added) {
            added_ms.push(application.call_ms() - without_ms);
        }
        added.last_mut().expect("it is the last").1.push(with_ms - without_ms);
    }
    println!("{}, {rounds} rounds; a call alone takes {} ms", python.name, figures(&mut alone_ms));
    for (name, mut added_ms) in added {
        println!("{name:<16} adds {} ms", figures(&mut added_ms));
    }
}

/// The median, and the range.
fn figures(values: &mut [f64]) -> String {
    values.sort_by(f64::total_cmp);
    let (first, last) = (values.first().expect("a round"), values.last().expect("a round"));
    format!("{:.2} ({first:.2} to {last:.2})", values[values.len() / 2])
}

fn traced_ms(lab: &Lab, application: &mut Application) -> f64 {
    let mut recording = Recording::start(lab, "tracers", ["--pid", &application.child.id().to_string()]);
    recording.wait_ready();
    let call_ms = application.call_ms();
    recording.interrupt();
    call_ms
}

struct Application {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Took {
    cpu_ns: u64,
}

impl Application {
    fn start(lab: &Lab, python: &Python, name: &str) -> Application {
        let mut command = lab.command(python.program("python"));
        command.args(["sdk_tracers.py", name]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("start the application");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stdout = BufReader::new(stdout.expect("it is piped"));
        Application { child, stdin: stdin.expect("it is piped"), stdout }
    }

    /// Makes its calls; gives the CPU time that each took.
    fn call_ms(&mut self) -> f64 {
        writeln!(self.stdin, "go").expect("the application reads");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the application writes");
        let took: Took = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        took.cpu_ns as f64 / 1e6
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
