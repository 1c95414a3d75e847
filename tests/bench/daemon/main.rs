//! What `tracer serve` itself takes while requests come at a given pace: CPU by thread, memory, and what it lost; and whether it
//! takes more and more.

mod load;
mod reading;
mod soak;

use std::time::{Duration, Instant};

use clap::Parser;
use tests::{lab::Lab, serving::Serving};

use crate::{
    load::{drive, marker, serve},
    reading::Reading,
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
    /// Instead: so many minutes at the first rate while processes come and go, in which it must not take more and more
    #[arg(long, value_name = "MINUTES")]
    soak: Option<u32>,
}

/// What the daemon keeps must have been told by then.
const SETTLE: Duration = Duration::from_secs(3);

fn main() {
    let Arguments { rate: rates, seconds, workers, soak } = Arguments::parse();
    let lab = Lab::start();
    let configuration = format!(
        "select.command_lines = ['*{}*']\nhistory.path = '{}'\n",
        marker(),
        lab.dir().join("history.db").display()
    );
    if let Some(minutes) = soak {
        let serving = Serving::start(&lab, "serve", &configuration);
        soak::soak(&lab, minutes, rates.first().copied().unwrap_or(1), workers);
        serving.end(libc::SIGTERM).0.expect_code(0);
        return;
    }
    let server = serve(&lab, workers);
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
