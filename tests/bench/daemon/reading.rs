//! What the daemon says of itself, and the CPU time of its threads.

use std::{collections::BTreeMap, fs, time::Duration};

use serde::Deserialize;
use tests::{lab::Lab, serving::Serving};

pub struct Reading {
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
    pub fn take(lab: &Lab, serving: &Serving) -> Reading {
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

    pub fn print(&self, before: &Reading, asked: u32, took: Duration) {
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
