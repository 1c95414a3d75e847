//! What `tracer serve` itself takes while requests come at a given pace: CPU by thread, memory, and what it lost.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use clap::Parser;
use serde::Deserialize;
use tests::{
    lab::{Lab, PORT},
    python::Python,
    running::Running,
    serving::Serving,
};

/// What the daemon takes at so many requests a second, each of which passes 20 chunks of a vendor on.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench daemon")]
struct Arguments {
    /// Requests a second; each rate has a turn
    #[arg(long, default_values_t = [10, 100, 1000])]
    rate: Vec<u32>,
    /// Seconds at each rate
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Processes that serve; at high rates one is too slow
    #[arg(long, default_value_t = 2)]
    workers: u32,
}

/// Half a second each, and a little more on a busy machine.
const ROUTE: &str = "/relay/{id}?model=ttft=100,gap=20,n=20";
const REQUEST_SECONDS: f64 = 0.6;

/// What the daemon keeps must have been told by then.
const SETTLE: Duration = Duration::from_secs(3);

fn main() {
    let Arguments { rate: rates, seconds, workers } = Arguments::parse();
    let lab = Lab::start();
    let server = serve(&lab, workers);
    let configuration = format!(
        "select.command_lines = ['*{}*']\nhistory.path = '{}'\n",
        marker(),
        lab.dir().join("history.db").display()
    );
    let serving = Serving::start(&lab, "serve", &configuration);
    drive(&lab, 20, 20, "warm");
    std::thread::sleep(SETTLE);
    for rate in rates {
        let (before, start) = (Reading::take(&lab, &serving), Instant::now());
        drive(&lab, rate * seconds, rate, &format!("at{rate}-"));
        let took = start.elapsed();
        std::thread::sleep(SETTLE);
        Reading::take(&lab, &serving).print(&before, rate * seconds, took);
    }
    serving.end(libc::SIGTERM).0.expect_code(0);
    drop(server);
}

/// What the command line of the server has, and no other's.
fn marker() -> String {
    format!("lab:{}", std::process::id())
}

fn serve(lab: &Lab, workers: u32) -> Running {
    let mut server = lab.command(Python::system().program("python"));
    server.env_remove("TRUTH_FILE").args(["-m", "uvicorn", "relay:app", "--port", PORT, "--no-access-log"]);
    server.args(["--workers", &workers.to_string(), "--header", &marker()]);
    lab.start_command(&mut server, "server")
}

fn drive(lab: &Lab, requests: u32, rate: u32, prefix: &str) {
    let concurrency = (f64::from(rate) * REQUEST_SECONDS).ceil() + 10.0;
    let options = [
        ("--requests", requests.to_string()),
        ("--rate", rate.to_string()),
        ("--concurrency", concurrency.to_string()),
        ("--prefix", prefix.to_owned()),
    ];
    let options: Vec<&str> = options.iter().flat_map(|(name, value)| [*name, value]).chain([ROUTE]).collect();
    lab.drive(&options);
}

/// What the daemon says of itself, and the CPU time of its threads.
struct Reading {
    health: Health,
    threads_ns: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Health {
    requests: u64,
    events: u64,
    ring_lag_ns: u64,
    cpu_ns: u64,
    resident_bytes: u64,
    open_files: u64,
    lost: BTreeMap<String, u64>,
}

impl Reading {
    fn take(lab: &Lab, serving: &Serving) -> Reading {
        let mut curl = lab.command("curl");
        let page = lab.run(curl.args(["--silent", "http://localhost:7070/api/v1/health"]), "curl").stdout;
        let health = serde_json::from_str(&page).unwrap_or_else(|error| panic!("{error}: {page}"));
        // setpriv and env became the daemon.
        let tasks = fs::read_dir(format!("/proc/{}/task", serving.process().pid())).expect("it lives");
        let threads_ns = tasks.flatten().filter_map(|task| {
            let name = fs::read_to_string(task.path().join("comm")).ok()?;
            // The first number of schedstat is the time on CPU, in ns (Documentation/scheduler/sched-stats.rst).
            let on_cpu_ns = fs::read_to_string(task.path().join("schedstat")).ok()?;
            Some((name.trim().to_owned(), on_cpu_ns.split(' ').next()?.parse().ok()?))
        });
        Reading { health, threads_ns: threads_ns.collect() }
    }

    fn print(&self, before: &Reading, asked: u32, took: Duration) {
        let seconds = took.as_secs_f64();
        let percent = |ns: u64| 100.0 * ns as f64 / took.as_nanos() as f64;
        let requests = self.health.requests - before.health.requests;
        let events = self.health.events - before.health.events;
        let cpu_ns = self.health.cpu_ns - before.health.cpu_ns;
        println!(
            "{:.0} requests/s ({requests} of {asked} seen), {:.0} events each: {:.2} % of a core, {:.2} us an event; {:.1} MB, {} \
             files, ring lag {} us, lost {:?}",
            f64::from(asked) / seconds,
            events as f64 / requests.max(1) as f64,
            percent(cpu_ns),
            cpu_ns as f64 / 1e3 / events.max(1) as f64,
            self.health.resident_bytes as f64 / 1e6,
            self.health.open_files,
            self.health.ring_lag_ns / 1000,
            self.health.lost,
        );
        for (name, ns) in &self.threads_ns {
            let ns = ns - before.threads_ns.get(name).copied().unwrap_or(0);
            println!("    {name:<16}{:>7.2} %", percent(ns));
        }
    }
}
