//! Measures how exact reports are: every server, style of concurrency and Python, at several levels of concurrency.

use std::process::ExitCode;

use clap::Parser;
use tests::{
    matrix::{Load, SERVERS, Server},
    python::Python,
};

/// Holds reports against the truth, for every server, style and Python.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench truth")]
struct Arguments {
    /// Only these Pythons, as in 3.12
    #[arg(long)]
    python: Vec<String>,
    /// Only these servers
    #[arg(long, value_parser = server)]
    server: Vec<&'static Server>,
    /// Only these styles of concurrency
    #[arg(long)]
    style: Vec<String>,
    /// Requests at a time
    #[arg(long, default_values_t = [1, 50, 1000])]
    concurrency: Vec<u32>,
    /// Requests of each style; by default as many as the concurrency needs
    #[arg(long)]
    requests: Option<u32>,
}

fn main() -> ExitCode {
    let Arguments { python, server, style, concurrency, requests } = Arguments::parse();
    let servers = if server.is_empty() { SERVERS.iter().collect() } else { server };
    let mut inexact = 0;
    let is_wanted =
        |found: &Python| python.is_empty() || python.iter().any(|version| found.is_version(version));
    for python in Python::all().into_iter().chain(Python::builds()).filter(is_wanted) {
        let is_meant = |server: &&&Server| {
            server.runs_on(&python) && style.iter().all(|style| server.styles(&python).contains(style))
        };
        for server in servers.iter().filter(is_meant) {
            for &concurrency in &concurrency {
                let requests = requests.unwrap_or(match concurrency {
                    0..=4 => 3,
                    5..=99 => 15,
                    _ => concurrency / 8,
                });
                let (mut lab, comparison) =
                    server.measure(&python, Load { concurrency, requests, styles: &style });
                println!("{comparison}");
                comparison
                    .routes
                    .iter()
                    .filter(|route| !route.is_exact())
                    .for_each(|route| println!("{route}"));
                if !comparison.is_exact() {
                    inexact += 1;
                    lab.keep();
                }
            }
        }
    }
    println!("{inexact} rows are not exact");
    if inexact == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn server(name: &str) -> Result<&'static Server, String> {
    Server::named(name).ok_or_else(|| {
        let names: Vec<&str> = SERVERS.iter().map(|server| server.name).collect();
        format!("there is none of this name: take one of {}", names.join(", "))
    })
}
