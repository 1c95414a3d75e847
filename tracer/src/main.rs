//! The command: parses, dispatches, and says what went wrong.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser as _;
use tracer::{
    check,
    cli::{Cli, Command},
    hint, output, record, replay, serve,
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
            let vendors = Arc::new(VendorTable::load(options.vendors.as_deref())?);
            let (report, damage) = replay::report(&options.file, vendors)?;
            if let Some(damage) = damage {
                eprintln!("tracer: {damage}");
            }
            output::report(&report, options.format, &options.filter(), options.output.as_deref())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Serve(options) => serve::run(&options),
        Command::Check(options) => check::run(&options),
    }
}
