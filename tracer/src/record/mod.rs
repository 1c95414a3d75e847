//! Recording: starts what is to be traced, follows it, and makes the capture and the report.

mod attachments;
pub mod choice;
mod command;
pub mod follow;
pub mod functions;
pub mod hand_out;
mod newcomers;
mod pace;
pub mod pipeline;
mod points;

use std::{
    fs::File,
    io::BufWriter,
    process::ExitCode,
    sync::{Arc, mpsc},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc::UnboundedReceiver,
    time::Instant,
};

use crate::{
    attach::load::Probes,
    cli::{Read, RecordOptions},
    hint::Hint as _,
    output,
    python::discover,
    record::{
        command::Command,
        follow::Follower,
        functions::Functions,
        pipeline::{Input, Pipeline, Recorded},
    },
    report::filter::Filter,
    vendor::VendorTable,
};

/// How often losses are looked for, and processes that were not ready yet are looked at again.
const TICK: Duration = Duration::from_millis(100);

/// How long a command that got Ctrl-C as well may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// Traces what the options say, then prints the report.
///
/// # Errors
/// When tracing is not possible, a process is not there, or the capture can't be written.
pub fn run(options: &RecordOptions) -> anyhow::Result<ExitCode> {
    let vendors = Arc::new(VendorTable::load(options.vendors.as_deref())?);
    for &pid in &options.pids {
        if !discover::is_there(pid) {
            bail!("there is no process {pid}");
        }
    }
    if options.functions.is_some() {
        functions::refuse(options)?;
    }
    let file = options
        .output
        .as_deref()
        .map(|path| {
            File::create(path).with_context(|| format!("can't write the capture to {}", path.display()))
        })
        .transpose()?;
    let (probes, reader) = Probes::load(
        options.ring_bytes,
        options.read.level(),
        options.samples_per_second,
        options.functions.is_some(),
    )
    .hint("sudo tracer record ...; `tracer check` says what is missing, and `tracer report` needs no root")?;
    let origin = pipeline::origin();
    let capture = file.map(|file| BufWriter::with_capacity(1 << 20, file));
    let pipeline = Pipeline::start(reader, origin, capture, vendors, options.read == Read::Bodies, None)?;
    let mut follower = Follower::new(probes, pipeline.input(), options.read != Read::Lengths);
    if let Some(functions) = Functions::new(options) {
        follower.count(functions);
    }

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let recorded = runtime.block_on(follow(options, follower, pipeline))?;
    finish(options, recorded)
}

/// Follows what is traced until it ends, the time is up, or somebody asks for the end.
async fn follow(
    options: &RecordOptions,
    mut follower: Follower,
    mut pipeline: Pipeline,
) -> anyhow::Result<Recorded> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut seen = pipeline.seen();
    let mut command = start(options, &mut follower)?;
    let deadline = options.duration.map(|duration| Instant::now() + duration);
    let mut grace: Option<Instant> = None;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let end = [deadline, grace].into_iter().flatten().min();
        tokio::select! {
            biased;
            _ = interrupt.recv() => match grace {
                // The terminal sent it to the command as well, which may have something to finish.
                None if command.is_some() => grace = Some(Instant::now() + GRACE),
                _ => break,
            },
            _ = terminate.recv() => break,
            () = at(end) => break,
            status = exited(&mut command) => {
                eprintln!("tracer: the command ended with {}", status?);
                break;
            }
            _ = tick.tick() => {
                follower.look_again();
                follower.report_losses();
                if !pipeline.is_running() || follower.all_ended() {
                    break;
                }
            }
            started = next(&mut seen) => follower.started(started),
        }
    }
    if let Some(command) = &mut command {
        command.end();
    }
    follower.report_losses();
    let counts = follower.end_counting();
    drop(follower);
    let mut recorded = pipeline.finish()?;
    if let Some(report) = &mut recorded.report {
        report.function_counts = counts;
    }
    Ok(recorded)
}

fn start(options: &RecordOptions, follower: &mut Follower) -> anyhow::Result<Option<Command>> {
    if let Some((program, arguments)) = options.command.split_first() {
        follower.count_from_the_start(program);
        let command = Command::start(program, arguments, |tgid| follower.trace_command(tgid))?;
        return Ok(Some(command));
    }
    if options.pids.is_empty() {
        follower.trace_host(choice::All)?;
    }
    for &tgid in &options.pids {
        follower.trace_process(tgid)?;
    }
    eprintln!("tracer: recording; Ctrl-C ends it and prints the report");
    Ok(None)
}

async fn at(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

async fn exited(command: &mut Option<Command>) -> anyhow::Result<std::process::ExitStatus> {
    match command {
        Some(command) => command.wait().await,
        None => std::future::pending().await,
    }
}

pub(crate) async fn next(seen: &mut UnboundedReceiver<pipeline::Started>) -> pipeline::Started {
    match seen.recv().await {
        Some(started) => started,
        None => std::future::pending().await,
    }
}

fn finish(options: &RecordOptions, recorded: Recorded) -> anyhow::Result<ExitCode> {
    let report = recorded.report.context("nothing was recorded")?;
    output::report(&report, options.format.into(), &Filter::default(), None)?;
    if let (Some(path), Some(error)) = (&options.output, recorded.capture_error) {
        return Err(error)
            .with_context(|| format!("the capture {} is not whole; the report above is", path.display()))
            .hint("free some space and record again, or write the capture elsewhere with -o");
    }
    functions::fail_where_none_told(&report)?;
    Ok(ExitCode::SUCCESS)
}

type InputSender = mpsc::Sender<Input>;
