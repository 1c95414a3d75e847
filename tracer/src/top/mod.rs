//! `tracer top`: what the daemon of this host sees, live in a terminal. A client of its API, which draws a state that keys
//! and answers change.

pub mod answer;
mod ask;
mod client;
pub mod data;
pub mod draw;
mod listen;
pub mod live;
pub mod state;
pub mod trouble;

use std::{
    ffi::OsStr,
    io::{self, IsTerminal as _},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use crossterm::{
    event::EventStream,
    execute,
    terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate},
};
use futures_util::StreamExt as _;
use ratatui::DefaultTerminal;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use self::{
    ask::Asker,
    client::Client,
    state::{Event, State, Then},
};
use crate::{cli::TopOptions, hint::Hint as _, output};

/// How often it is looked whether something is to be asked.
const TICK: Duration = Duration::from_millis(200);

/// Shows what the daemon sees until the user or a signal ends it.
///
/// # Errors
/// When this is no terminal, the URL or the token can't be, or the terminal can't be written. That no daemon answers is
/// shown, and it goes on trying.
pub fn run(options: &TopOptions) -> anyhow::Result<ExitCode> {
    let is_dumb = std::env::var_os("TERM").as_deref() == Some(OsStr::new("dumb"));
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() || is_dumb {
        return Err(anyhow!("standard input and output are no terminal that can be drawn on"))
            .hint("`sudo tracer report --since 5m` prints what the daemon saw");
    }
    let client =
        Client::new(&options.url, options.token()?).hint("tracer top --url http://127.0.0.1:7070")?;
    let state = State::new(client.place(), options.since);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // From here on a panic, too, leaves the terminal as it was.
    let mut terminal = ratatui::try_init().context("set up the terminal")?;
    let shown = runtime.block_on(show(&mut terminal, &client, state));
    ratatui::try_restore().context("set the terminal up as it was")?;
    // What is being asked is not waited for.
    runtime.shutdown_background();
    shown.map(|()| ExitCode::SUCCESS)
}

async fn show(terminal: &mut DefaultTerminal, client: &Client, mut state: State) -> anyhow::Result<()> {
    let colour = output::colour();
    let start = Instant::now();
    let now_ns = || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let (tell, mut told) = mpsc::channel(64);
    let _listening = tokio::spawn(listen::listen(client.clone(), tell.clone()));
    let mut asker = Asker::new(client.clone(), state.since, tell);
    let mut keys = EventStream::new();
    let mut tick = tokio::time::interval(TICK);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    draw(terminal, &mut state, colour)?;
    loop {
        asker.ask(&state, Instant::now());
        let then = tokio::select! {
            event = keys.next() => match event {
                Some(Ok(crossterm::event::Event::Key(key))) => state.update(Event::Key(key), now_ns()),
                Some(Ok(crossterm::event::Event::Resize(..))) => state.update(Event::Resized, now_ns()),
                Some(Ok(_)) => Then::Nothing,
                // The terminal is gone.
                Some(Err(_)) | None => Then::Quit,
            },
            Some(event) = told.recv() => {
                asker.hear(&event, Instant::now());
                state.update(event, now_ns())
            }
            _ = tick.tick() => state.pass(now_ns()),
            _ = terminate.recv() => Then::Quit,
            _ = interrupt.recv() => Then::Quit,
            _ = hangup.recv() => Then::Quit,
        };
        match then {
            Then::Nothing => {}
            Then::Draw => draw(terminal, &mut state, colour)?,
            Then::DrawAnew => {
                terminal.clear()?;
                draw(terminal, &mut state, colour)?;
            }
            Then::Quit => return Ok(()),
        }
    }
}

/// What differs from what is there, as one change.
fn draw(terminal: &mut DefaultTerminal, state: &mut State, colour: bool) -> anyhow::Result<()> {
    execute!(io::stdout(), BeginSynchronizedUpdate)?;
    let mut last = 0;
    terminal.draw(|frame| last = draw::draw(state, frame, colour))?;
    execute!(io::stdout(), EndSynchronizedUpdate)?;
    state.scroll = state.scroll.min(last);
    Ok(())
}
