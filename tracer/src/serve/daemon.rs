//! Starts and ends what the daemon consists of: probes and follower, the thread that reads events, the desk.

use std::{
    process::ExitCode,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    attach::{fill::Filled, load::Probes},
    cli::{Read, ServeOptions},
    hint::Hint as _,
    model::Patience,
    output,
    record::{
        follow::Follower,
        hand_out::{HandOut, Piece},
        next,
        pipeline::{self, Pipeline},
    },
    serve::{
        batch::Batches,
        config::{self, Config, DEFAULTS},
        desk::Desk,
        history::{self, Limits},
        kubernetes::{Directory, Kubernetes},
        life::{self, Manager},
        memory,
        otlp::{self, Otlp},
        past,
        select::Selection,
        web::{Site, States, Web},
    },
    vendor::VendorTable,
};

/// How often losses are looked for, and processes that were not ready yet are looked at again.
const TICK: Duration = Duration::from_millis(100);

/// How often it is looked how full the maps are: a hundred processes are about as many system calls for each map.
const LOOK: Duration = Duration::from_secs(10);

/// Pieces that wait for the desk; beyond, they are lost and counted.
const PIECES: usize = 8;

/// Requests are numbered by the second in which the daemon starts, times this: so numbers rise over restarts, and are exact
/// in JavaScript. A clock that was set back since leaves them rising by what the history has.
const NUMBERS_PER_SECOND: u64 = 1_000_000;

/// Traces the host until SIGTERM or Ctrl-C.
///
/// # Errors
/// When the configuration is not right, or tracing is not possible.
pub fn run(options: &ServeOptions) -> anyhow::Result<ExitCode> {
    if options.print_config {
        output::print(DEFAULTS)?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = Config::load(options.config.as_deref())?;
    if let Some(history) = &options.history {
        return past::run(config, history);
    }
    let directory = Directory::default();
    let selection = Selection::new(&config, directory.clone())?;
    let vendors = Arc::new(VendorTable::load(config.vendors.as_deref())?);
    let (probes, reader) =
        Probes::load(config.ring_bytes, config.read.level(), config.samples_per_second, false)
            .hint("sudo tracer serve; `tracer check` says what is missing")?;
    let origin = pipeline::origin();
    let (hand_in, pieces) = mpsc::sync_channel(PIECES);
    let number_after = (origin.start_unix_ns / 1_000_000_000 * NUMBERS_PER_SECOND)
        .max(config.history.path.as_deref().and_then(history::last_number).unwrap_or_default());
    let hand_out = HandOut::new(origin.clone(), patience(&config), number_after, hand_in);
    let reads_bodies = config.read == Read::Bodies;
    let pipeline = Pipeline::start(reader, origin, None, vendors, reads_bodies, Some(hand_out))?;
    let follower = Follower::new(probes, pipeline.input(), config.read != Read::Lengths);

    let batches = Batches::default();
    let history_state = Arc::new(history::State::default());
    let history = start_history(&config, &batches, &history_state)?;
    let otlp_state = Arc::new(otlp::state::State::default());
    let otlp = Otlp::start(&config.otlp, batches.subscribe(), otlp_state.clone())?;
    let maps = Arc::new(Filled::default());
    let web = config.web.listen.map(|address| {
        let states = States { history: history_state, otlp: otlp_state, maps: maps.clone() };
        Web::start(address, Site::new(&config, states, batches.clone()))
    });
    let web = web.transpose()?;
    let kubernetes = Kubernetes::start(&config.kubernetes, directory, pipeline.input())?;
    let desk = start_desk(&config, pieces, batches)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(follow(follower, pipeline, selection, &maps));
    kubernetes.into_iter().for_each(Kubernetes::end);
    web.into_iter().for_each(Web::end);
    desk.join().map_err(|_| anyhow!("the thread that tells of requests ended by a defect of the tracer"))?;
    if let Some(history) = history {
        history
            .join()
            .map_err(|_| anyhow!("the thread that writes the history ended by a defect of the tracer"))?;
    }
    otlp.map_or(Ok(()), Otlp::end)?;
    ended.map(|()| ExitCode::SUCCESS)
}

fn patience(config: &Config) -> Patience {
    let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let of = &config.requests;
    Patience { quiet_ns: ns(of.quiet), longest_ns: ns(of.longest_background), run_ns: ns(of.run_length) }
}

/// Follows processes until somebody asks for the end, and lets the rest of the events be read.
async fn follow(
    mut follower: Follower,
    mut pipeline: Pipeline,
    selection: Selection,
    maps: &Filled,
) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let manager = Manager::new()?;
    let mut seen = pipeline.seen();
    follower.trace_host(selection)?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut alive = life::interval().map(tokio::time::interval);
    let mut give_back = tokio::time::interval_at(tokio::time::Instant::now() + TICK, memory::INTERVAL);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    eprintln!("tracer: serving");
    manager.ready();
    let ended = loop {
        tokio::select! {
            biased;
            _ = interrupt.recv() => break Ok(()),
            _ = terminate.recv() => break Ok(()),
            () = due(&mut alive) => manager.alive(),
            _ = give_back.tick() => memory::give_back(),
            _ = look.tick() => maps.set(follower.filled()),
            _ = tick.tick() => {
                follower.look_again();
                follower.report_losses();
                if !pipeline.is_running() {
                    break Err(anyhow!("reading events ended by a defect of the tracer"));
                }
            }
            started = next(&mut seen) => follower.started(started),
        }
    };
    manager.stopping();
    follower.report_losses();
    drop(follower);
    pipeline.finish().map(drop).and(ended)
}

/// When it is time; never where there is none.
pub async fn due(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

fn start_history(
    config: &Config,
    batches: &Batches,
    state: &Arc<history::State>,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    let config::History { path, requests, minutes, max_bytes } = config.history.clone();
    let limits = Limits { requests, minutes, max_bytes };
    path.map(|path| history::start(path, limits, batches.subscribe(), state.clone())).transpose()
}

/// The thread that makes batches of pieces, until no more come.
fn start_desk(
    config: &Config,
    pieces: mpsc::Receiver<Piece>,
    batches: Batches,
) -> anyhow::Result<JoinHandle<()>> {
    let mut desk = Desk::new(config.requests.routes);
    let thread = std::thread::Builder::new().name("tracer-desk".to_owned());
    let run = move || {
        for piece in pieces {
            batches.publish(desk.batch(piece));
        }
    };
    thread.spawn(run).context("start the thread that tells of requests")
}
