//! The command: parses, dispatches, and says what went wrong.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use clap::Parser as _;
use tracer::{
    check,
    cli::{Cli, Command, DiffOptions},
    diff, hint, output, pages, record, replay, serve, top,
    vendor::VendorTable,
};

fn main() -> ExitCode {
    run(Cli::parse()).unwrap_or_else(|error| {
        // Where standard error is closed too there is nobody left to tell.
        let _ = io::stderr().write_all(hint::render(&error).as_bytes());
        ExitCode::from(2)
    })
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Record(options) => record::run(&options),
        Command::Report(options) => {
            let (report, note) = match &options.file {
                Some(file) => {
                    let vendors = Arc::new(VendorTable::load(options.vendors.as_deref())?);
                    replay::report(file, vendors)?
                }
                None => serve::history::report::of(options.history.as_deref(), options.since)?,
            };
            if let Some(note) = note {
                eprintln!("tracer: {note}");
            }
            output::report(&report, options.format, &options.filter(), options.output.as_deref())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Serve(options) => serve::run(&options),
        Command::Top(options) => top::run(&options),
        Command::Diff(options) => compare(&options),
        Command::Check(options) => check::run(&options),
        Command::Pages(options) => pages::write(&options.folder).map(|()| ExitCode::SUCCESS),
    }
}

fn compare(options: &DiffOptions) -> anyhow::Result<ExitCode> {
    let vendors = Arc::new(VendorTable::load(options.vendors.as_deref())?);
    let report = |file: &Path| {
        let (report, damage) = replay::report(file, vendors.clone())?;
        if let Some(damage) = damage {
            eprintln!("tracer: {damage}");
        }
        anyhow::Ok(report)
    };
    let (base, new) = (report(&options.base)?, report(&options.new)?);
    let (base_file, new_file) = (options.base.to_string_lossy(), options.new.to_string_lossy());
    let diff = diff::compare(
        diff::Subject { file: &base_file, report: &base },
        diff::Subject { file: &new_file, report: &new },
    );
    output::diff(&diff, options.format)?;
    let Some(percent) = options.fail_over else { return Ok(ExitCode::SUCCESS) };
    let exceeded = diff::threshold::exceeded(&diff, percent);
    for exceeded in &exceeded {
        eprintln!("tracer: {exceeded}, more than {percent} %");
    }
    for route in diff::threshold::unguarded(&diff) {
        eprintln!("tracer: {route} has too few requests to tell whether it became slower");
    }
    Ok(if exceeded.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
