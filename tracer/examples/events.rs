//! Prints the events of a capture, one a line: `cargo run --example events -- FILE`.

use std::{fs::File, io::BufReader};

use anyhow::Context as _;
use tracer::capture::Capture;

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("usage: events FILE")?;
    let capture = Capture::read(BufReader::new(File::open(&path)?))?;
    for event in &capture.events {
        let at_us = event.ts_ns.saturating_sub(capture.origin.start_ns) / 1_000;
        println!("{at_us:>10} {:>7} {:>7} {:?}", event.tgid, event.tid, event.body);
    }
    eprintln!("{} events, end {:?}, damage {:?}", capture.events.len(), capture.end_ns, capture.damage);
    Ok(())
}
