//! Measures what tracing costs the traced process: the same work in the same process, without the tracer and with it by
//! turns, as ratios of CPU time.

mod programs;
mod subject;

use clap::Parser;
use tests::{affinity, lab::Lab, python::Python, recording::Recording};

use programs::{Program, Programs};
use subject::{SUBJECTS, Started, Subject};

/// What tracing costs, as ratios of the CPU time of the same work with and without it.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench cost")]
struct Arguments {
    /// Only this Python, as in 3.12; by default the newest
    #[arg(long)]
    python: Option<String>,
    /// Only these applications
    #[arg(long, value_parser = subject)]
    application: Vec<&'static Subject>,
    /// Pairs of measurements
    #[arg(long, default_value_t = 12)]
    pairs: u32,
}

fn main() {
    let Arguments { python, application, pairs } = Arguments::parse();
    let is_wanted = |found: &Python| python.as_ref().is_none_or(|version| found.is_version(version));
    let python = Python::all().into_iter().filter(is_wanted).max_by_key(Python::minor).expect("it is here");
    let subjects = if application.is_empty() { SUBJECTS.iter().collect() } else { application };
    println!("{}, {pairs} pairs; cost is the median of the pairs, and their range", python.name);
    for subject in subjects {
        let mut ratios = Vec::new();
        affinity::set(0, subject.others());
        let lab = Lab::start();
        let mut running = subject.start(&lab, &python);
        running.work(&lab);
        for pair in 0..pairs {
            // The same work costs more each time, by some 0.1 %: neither side always comes first.
            let (traced, untraced) = if pair % 2 == 0 {
                let untraced = running.work(&lab);
                (traced(&mut running, &lab), untraced)
            } else {
                (traced(&mut running, &lab), running.work(&lab))
            };
            ratios.push(traced as f64 / untraced as f64 - 1.0);
        }
        ratios.sort_by(f64::total_cmp);
        let percent = |ratio: f64| ratio * 100.0;
        println!(
            "{:<28}{:>8.1} % ({:.1} to {:.1}){}",
            subject.name,
            percent(ratios[ratios.len() / 2]),
            percent(ratios[0]),
            percent(ratios[ratios.len() - 1]),
            subject.target.map_or(String::new(), |target| format!(", target below {target} %")),
        );
        let (cpu_ns, programs) = programs_of(&mut running, &lab);
        for program in programs {
            println!("    {program}, {:.1} % of its CPU time", program.run_ns as f64 / cpu_ns as f64 * 100.0);
        }
    }
}

/// The CPU time of the work under the tracer, in ns.
fn traced(running: &mut Started, lab: &Lab) -> u64 {
    let mut recording = Recording::start(lab, "cost", ["--pid", &running.pid().to_string()]);
    recording.wait_ready();
    let cpu_ns = running.work(lab);
    recording.interrupt();
    cpu_ns
}

/// What the probes take while the work is done once more: to count that costs as well.
fn programs_of(running: &mut Started, lab: &Lab) -> (u64, Vec<Program>) {
    let programs = Programs::start();
    let mut recording = Recording::start(lab, "cost", ["--pid", &running.pid().to_string()]);
    recording.wait_ready();
    let before = programs.read();
    let cpu_ns = running.work(lab);
    let hits = programs.since(&before);
    recording.interrupt();
    (cpu_ns, hits)
}

fn subject(name: &str) -> Result<&'static Subject, String> {
    SUBJECTS.iter().find(|subject| subject.name == name).ok_or_else(|| {
        let names: Vec<&str> = SUBJECTS.iter().map(|subject| subject.name).collect();
        format!("there is none of this name: take one of {}", names.join(", "))
    })
}
