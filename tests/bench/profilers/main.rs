//! What profilers cost and how exact they are, in one run: those that are put into the program, those that look at it from
//! outside, and the tracer.

mod application;
mod outside;

use clap::Parser;
use tests::{affinity, lab::Lab, python::Python};

use application::{Application, ByPhase};
use outside::OUTSIDE;

/// What profilers cost, as ratios of the CPU time of the same work with and without them, and how far the shares that they
/// tell of functions are from the truth.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench profilers")]
struct Arguments {
    /// Rounds, in each of which every profiler has its turn
    #[arg(long, default_value_t = 9)]
    rounds: usize,
}

/// Those that are put into the program (`tests/apps/profiled.py`).
const IN_PROCESS: [&str; 4] = ["cProfile", "pyinstrument", "yappi-wall", "yappi-cpu"];

/// Phases whose time is CPU time, so that it is the same by the clock of any profiler.
const COMPUTING: [&str; 4] = ["calls", "loops", "encodes", "awaits"];

/// What is known of a profiler.
struct Row {
    name: &'static str,
    /// By round.
    took_ns: Vec<ByPhase<u64>>,
    told_ns: ByPhase<u64>,
}

fn main() {
    let Arguments { rounds } = Arguments::parse();
    let python = Python::profilers();
    let lab = Lab::start();
    // What looks from outside, and this, have other CPUs than what is looked at.
    affinity::set(0, affinity::Of::AllButFirst);
    let mut plain = Application::start(&lab, &python, "none");
    let mut inside: Vec<Application> =
        IN_PROCESS.iter().map(|name| Application::start(&lab, &python, name)).collect();
    let names = ["none", "none again"].into_iter().chain(IN_PROCESS);
    let names = names.chain(OUTSIDE.iter().map(|outside| outside.name));
    let row = |name| Row { name, took_ns: Vec::new(), told_ns: ByPhase::new() };
    let mut rows: Vec<Row> = names.map(row).collect();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for turn in 0..rows.len() {
            let index = (turn + round) % rows.len();
            let work = match index {
                0 | 1 => plain.work(),
                _ if index < 2 + IN_PROCESS.len() => inside[index - 2].work(),
                _ => OUTSIDE[index - 2 - IN_PROCESS.len()].work(&lab, &python, &mut plain),
            };
            let row = &mut rows[index];
            application::add(&mut row.told_ns, &work.told_ns);
            row.took_ns.push(work.cpu_ns);
        }
    }
    print(&python, rounds, &rows);
}

/// Of each phase what it took where it took least: work that is always the same is only ever slowed down, by what else the
/// machine does.
fn least(rounds: &[ByPhase<u64>]) -> ByPhase<u64> {
    let mut least = ByPhase::new();
    for (phase, ns) in rounds.iter().flatten() {
        let lowest_ns = least.entry(phase.clone()).or_insert(*ns);
        *lowest_ns = (*lowest_ns).min(*ns);
    }
    least
}

fn sum(rounds: &[ByPhase<u64>]) -> ByPhase<u64> {
    rounds.iter().fold(ByPhase::new(), |mut sum, round| {
        application::add(&mut sum, round);
        sum
    })
}

fn shares(ns: &ByPhase<u64>) -> ByPhase<f64> {
    let of = |phase: &str| ns.get(phase).copied().unwrap_or_default() as f64;
    let all = COMPUTING.iter().map(|phase| of(phase)).sum::<f64>();
    COMPUTING.iter().map(|phase| ((*phase).to_owned(), 100.0 * of(phase) / all)).collect()
}

fn print(python: &Python, rounds: usize, rows: &[Row]) {
    println!("{}, {rounds} rounds: the least CPU time of a phase by that without a profiler", python.name);
    let columns = COMPUTING.into_iter().chain(["streams", "all"]);
    let head: String = columns.map(|phase| format!("{phase:>9}")).collect();
    println!("{:<16}{head}   of the truth      of its own run", "");
    let alone = least(&rows[0].took_ns);
    let truth = shares(&alone);
    for row in rows {
        let took = least(&row.took_ns);
        let phases = COMPUTING.into_iter().chain(["streams"]);
        let mut ratios: Vec<f64> = phases.map(|phase| took[phase] as f64 / alone[phase] as f64).collect();
        ratios.push(took.values().sum::<u64>() as f64 / alone.values().sum::<u64>() as f64);
        let ratios: String = ratios.iter().map(|ratio| format!("{ratio:>9.3}")).collect();
        let [of_truth, of_own] =
            [&truth, &shares(&sum(&row.took_ns))].map(|truth| farthest(&row.told_ns, truth));
        println!("{:<16}{ratios}   {of_truth:<17} {of_own}", row.name);
    }
    let truth: Vec<String> = truth.iter().map(|(phase, share)| format!("{phase} {share:.1} %")).collect();
    println!(
        "Shares of those that compute, without a profiler: {}. Last columns: of what a profiler tells the share that is",
        truth.join(", ")
    );
    println!("farthest from these, and from those that the program measured in the same run; in points.");
}

/// The phase whose share is told worst.
fn farthest(told_ns: &ByPhase<u64>, truth: &ByPhase<f64>) -> String {
    if told_ns.is_empty() {
        return "-".to_owned();
    }
    let told = shares(told_ns);
    let errors = truth.iter().map(|(phase, share)| (told[phase] - share, phase));
    let (points, phase) =
        errors.max_by(|(a, _), (b, _)| a.abs().total_cmp(&b.abs())).expect("there are phases");
    format!("{points:+.1} {phase}")
}
