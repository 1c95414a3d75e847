//! Whether the daemon takes more and more: memory, files, and entries of its tables, while servers and scripts come and go.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

use tests::{
    lab::{LIMIT, Lab},
    python::Python,
};

use crate::load::{drive, marker, serve};

/// How long each server lives.
const SERVER_SECONDS: u32 = 30;

/// How long after a script the next one starts.
const SCRIPT_EVERY: Duration = Duration::from_millis(300);

/// What each of them does before it ends.
const SCRIPT: &str = "import asyncio, json; asyncio.run(asyncio.sleep(0.05)); json.dumps([{}] * 1000)";

/// How much more of a figure there may be in the last third than in the one before: as much as one server's end differs from
/// another's.
const MORE: f64 = 1.05;
const FEW: f64 = 16.0;

/// How these lines of the daemon's page for Prometheus begin.
const FIGURES: [&str; 5] = [
    "process_resident_memory_bytes",
    "process_open_fds",
    "tracer_table_entries",
    "tracer_map_entries",
    "tracer_lost",
];

/// By name.
type Figures = BTreeMap<String, f64>;

/// Panics where something grows.
pub fn soak(lab: &Lab, minutes: u32, rate: u32, workers: u32) {
    let (is_over, scripts) = (AtomicBool::new(false), AtomicU32::new(0));
    let end = Instant::now() + Duration::from_secs(60 * u64::from(minutes));
    let mut taken: Vec<Figures> = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                run_script(lab);
                scripts.fetch_add(1, Relaxed);
                std::thread::sleep(SCRIPT_EVERY);
            }
        });
        while Instant::now() < end {
            let server = serve(lab, workers);
            drive(lab, rate * SERVER_SECONDS, rate, &format!("soak{}-", taken.len()));
            server.interrupt();
            server.finish(LIMIT);
            let figures = figures(lab);
            println!("{figures:?}");
            taken.push(figures);
        }
        is_over.store(true, Relaxed);
    });
    println!("{} servers and {} scripts came and went", taken.len(), scripts.load(Relaxed));
    let grown = grown(&taken);
    assert!(grown.is_empty(), "more and more: {}", grown.join(", "));
    println!("nothing grew");
}

fn run_script(lab: &Lab) {
    let mut script = lab.command(Python::system().program("python"));
    let status = script.args(["-c", SCRIPT, &marker()]).status().expect("start a script");
    assert!(status.success(), "a script ended with {status}");
}

fn figures(lab: &Lab) -> Figures {
    let page =
        lab.run(lab.command("curl").args(["--silent", "http://localhost:7070/metrics"]), "curl").stdout;
    let is_figure = |line: &&str| FIGURES.iter().any(|name| line.starts_with(name));
    let figures: Figures = page
        .lines()
        .filter(is_figure)
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
        .collect();
    assert!(figures.len() > FIGURES.len(), "the daemon tells too little of itself: {page}");
    figures
}

/// What there is more of at the end, by its means.
fn grown(taken: &[Figures]) -> Vec<String> {
    let third = taken.len() / 3;
    let (before, last) =
        (&taken[taken.len() - 2 * third..taken.len() - third], &taken[taken.len() - third..]);
    let mean = |of: &[Figures], name: &str| {
        of.iter().filter_map(|figures| figures.get(name)).sum::<f64>() / of.len() as f64
    };
    let names = last.last().expect("more than two servers").keys();
    names
        .map(|name| (name, mean(before, name), mean(last, name)))
        .filter(|(_, before, last)| *last > before * MORE + FEW)
        .map(|(name, before, last)| format!("{name} from {before:.0} to {last:.0}"))
        .collect()
}
