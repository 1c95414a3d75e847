//! The command: parses, dispatches, and says what went wrong.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use tracer::{
    check,
    cli::{Cli, Command},
    hint, output, record, replay,
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
            let report = replay::report(&options.file, options.vendors.as_deref())?;
            output::report(&report, options.format, &options.filter(), options.output.as_deref())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(options) => check::run(&options, Vec::new()),
    }
}
