//! The thread that reads the ring buffer: orders events, reduces them, and hands them to the capture file and
//! to the model.

use std::{
    fs::File,
    io::{self, BufWriter},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::anyhow;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{hand_out::HandOut, pace::Pace};
use crate::{
    capture,
    event::{Body, Event},
    ingest::{Raw, Reader, order::Order},
    python::{code::Codes, http2::StreamMethod, layout::CodeLayout, sleep::SleepEnds},
    replay::Replay,
    report::{build::Origin, types::Report},
    vendor::VendorTable,
    wire::Wire,
};

/// Events taken from the ring at once.
const BATCH: usize = 4_096;

/// The longest time that events wait in the ring.
const WAIT: Duration = Duration::from_millis(10);

/// What is put among the events, or told to the thread.
pub enum Input {
    /// An event that user space makes: facts about a process, a loss.
    Event(Event),
    /// Where a process keeps its code objects.
    Code(u32, CodeLayout),
    /// Nothing more is traced: read what is left, and end.
    Finish,
}

/// A process that started, or what else became of one.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    pub tgid: u32,
    pub by: Start,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Fork {
        parent: u32,
        at_ns: u64,
    },
    Exec,
    /// It ended.
    Exit,
    /// It takes more steps than can be followed at little cost.
    TooFast,
    /// It loaded a library.
    Mapped,
    /// It makes exchanges over HTTP/2.
    Streams(StreamMethod),
}

/// What the thread leaves at its end.
pub struct Recorded {
    /// Of the whole, where it was not handed out in pieces.
    pub report: Option<Report>,
    /// Why the capture is not whole.
    pub capture_error: Option<io::Error>,
}

pub struct Pipeline {
    input: mpsc::Sender<Input>,
    seen: Option<UnboundedReceiver<Started>>,
    running: Arc<AtomicBool>,
    thread: JoinHandle<Recorded>,
}

impl Pipeline {
    pub fn start(
        reader: Reader,
        origin: Origin,
        capture: Option<BufWriter<File>>,
        vendors: Arc<VendorTable>,
        reads_bodies: bool,
        hand_out: Option<HandOut>,
    ) -> io::Result<Pipeline> {
        let (input, inputs) = mpsc::channel();
        let (tell, seen) = unbounded_channel();
        let running = Arc::new(AtomicBool::new(true));
        let is_running = running.clone();
        let (capture, capture_error) = match capture.map(|out| capture::Writer::new(out, &origin)) {
            Some(Ok(writer)) => (Some(writer), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        let stage = Stage {
            origin,
            reader,
            order: Order::default(),
            sleep_ends: SleepEnds::default(),
            codes: Codes::default(),
            pace: Pace::default(),
            wire: if reads_bodies { Wire::new(vendors.clone()) } else { Wire::of_heads(vendors.clone()) },
            capture,
            capture_error,
            replay: Replay::new(vendors),
            hand_out,
            tell,
        };
        let thread = std::thread::Builder::new().name("tracer-ingest".to_owned()).spawn(move || {
            let recorded = stage.run(&inputs);
            is_running.store(false, Relaxed);
            recorded
        })?;
        Ok(Pipeline { input, seen: Some(seen), running, thread })
    }

    pub fn input(&self) -> mpsc::Sender<Input> {
        self.input.clone()
    }

    /// Processes as they start. Can be taken once.
    pub fn seen(&mut self) -> UnboundedReceiver<Started> {
        self.seen.take().unwrap_or_else(|| unbounded_channel().1)
    }

    pub fn is_running(&self) -> bool {
        self.running.load(Relaxed)
    }

    pub fn finish(self) -> anyhow::Result<Recorded> {
        // Fails only when the thread has ended already, which joining tells.
        let _ = self.input.send(Input::Finish);
        self.thread
            .join()
            .map_err(|_| anyhow!("the thread that reads events ended by a defect of the tracer"))
    }
}

/// The clocks now, and the kernel's release.
pub fn origin() -> Origin {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (start_ns, start_unix_ns) = clocks();
    Origin { start_ns, start_unix_ns, kernel: kernel.trim().to_owned() }
}

/// The same instant on the clock of events, and since the epoch.
pub fn clocks() -> (u64, u64) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    (monotonic_ns(), since.map_or(0, |since| since.as_nanos() as u64))
}

/// The clock of events.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes a struct that outlives the call; this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// What an event tells besides, which comes before it: who made a context ready, and for which stream somebody works.
fn besides(raw: &Raw) -> Option<Event> {
    let Event { ts_ns, tgid, tid, ref body } = raw.event;
    let is_setting = matches!(body, Body::ContextReady { .. }) && raw.callable != 0;
    let setting = is_setting.then(|| Body::Setting { frames: vec![raw.callable] });
    setting.or(raw.stream.map(Body::OnStream)).map(|body| Event { ts_ns, tgid, tid, body })
}

struct Stage {
    origin: Origin,
    reader: Reader,
    order: Order,
    sleep_ends: SleepEnds,
    codes: Codes,
    pace: Pace,
    wire: Wire,
    capture: Option<capture::Writer<BufWriter<File>>>,
    capture_error: Option<io::Error>,
    replay: Replay,
    hand_out: Option<HandOut>,
    tell: UnboundedSender<Started>,
}

impl Stage {
    fn run(mut self, inputs: &mpsc::Receiver<Input>) -> Recorded {
        let mut batch = Vec::with_capacity(BATCH);
        let mut finishing = false;
        if let Some(hand_out) = &self.hand_out {
            self.replay.model().number_after(hand_out.number_after);
        }
        loop {
            // Read before the ring, so that what is found empty then held nothing older.
            let now_ns = monotonic_ns();
            let full = self.reader.drain(BATCH, &mut batch) == BATCH;
            self.codes.it_is(now_ns);
            if let (Some(hand_out), Some(oldest)) = (&mut self.hand_out, batch.first()) {
                hand_out.read(batch.len(), now_ns.saturating_sub(oldest.event.ts_ns));
            }
            // Before the events: where one of them is the fork of a process whose code was found by then, the child has it too.
            for input in inputs.try_iter() {
                match input {
                    Input::Event(event) => {
                        self.follow(&event);
                        self.order.push(event.into());
                    }
                    Input::Code(tgid, layout) => self.codes.found(tgid, layout),
                    Input::Finish => finishing = true,
                }
            }
            for mut raw in batch.drain(..) {
                self.tell(&raw.event);
                self.follow(&raw.event);
                if matches!(raw.event.body, Body::Mapped) {
                    // It says nothing of requests.
                    continue;
                }
                let mut besides = besides(&raw);
                let mut before = besides.as_mut().map(|event| self.codes.name(event)).unwrap_or_default();
                before.extend(self.codes.name(&mut raw.event));
                before.extend(self.codes.place(&mut raw.event, &raw.copied));
                self.tell_stream_methods();
                let after = self.sleep_ended(&raw);
                before.into_iter().chain(besides).for_each(|event| self.order.push(event.into()));
                self.order.push(raw);
                after.into_iter().for_each(|event| self.order.push(event.into()));
            }
            while let Some(raw) = self.order.pop_settled(if full { 0 } else { now_ns }) {
                self.pass_on(raw);
            }
            if let Some(hand_out) = &mut self.hand_out {
                let vanished = hand_out.pass_on(now_ns, &mut self.replay, &self.order);
                vanished.into_iter().for_each(|event| self.order.push(event.into()));
            }
            if full {
                continue;
            }
            if finishing {
                while let Some(raw) = self.order.pop() {
                    self.pass_on(raw);
                }
                return self.end(now_ns);
            }
            if self.reader.wait(WAIT).is_err() {
                std::thread::sleep(WAIT);
            }
        }
    }

    /// Who started is told at once: what is to be attached should be so before the program gets far.
    fn tell(&mut self, event: &Event) {
        let started = match event.body {
            _ if self.pace.is_too_fast(event) => Started { tgid: event.tgid, by: Start::TooFast },
            Body::Fork { child_tgid, .. } if child_tgid != event.tgid => {
                Started { tgid: child_tgid, by: Start::Fork { parent: event.tgid, at_ns: event.ts_ns } }
            }
            Body::Exec => Started { tgid: event.tgid, by: Start::Exec },
            Body::ProcessEnd => Started { tgid: event.tgid, by: Start::Exit },
            Body::Mapped => Started { tgid: event.tgid, by: Start::Mapped },
            _ => return,
        };
        // The receiver is gone when recording ends.
        let _ = self.tell.send(started);
    }

    /// What makes exchanges is told as soon as it is known: whose calls those are that begin before that may be unknown.
    fn tell_stream_methods(&mut self) {
        for (tgid, method) in self.codes.take_stream_methods() {
            let _ = self.tell.send(Started { tgid, by: Start::Streams(method) });
        }
    }

    /// Keeps what is known of a process's memory as long as it holds.
    fn follow(&mut self, event: &Event) {
        match event.body {
            Body::Fork { child_tgid, .. } if child_tgid != event.tgid => {
                self.codes.forked(event.tgid, child_tgid)
            }
            Body::Mapped => self.codes.loaded(event.tgid),
            Body::Exec | Body::ProcessEnd => {
                self.codes.forget(event.tgid);
                self.sleep_ends.forget(event.tgid);
            }
            _ => {}
        }
    }

    /// What comes after the entry of a context that is the end of a sleep. The callable is looked at before events
    /// wait for their order: the sooner, the more likely it is still there.
    fn sleep_ended(&mut self, raw: &Raw) -> Option<Event> {
        let Event { ts_ns, tgid, tid, ref body } = raw.event;
        let is_end = matches!(body, Body::ContextEnter { .. }) && self.sleep_ends.contain(tgid, raw.callable);
        is_end.then_some(Event { ts_ns, tgid, tid, body: Body::SleepEnded })
    }

    fn pass_on(&mut self, raw: Raw) {
        let event = self.reduce(raw);
        if let Some(capture) = &mut self.capture
            && let Err(error) = capture.event(&event)
        {
            eprintln!("tracer: the capture can't be written any more: {error}; recording goes on without it");
            self.capture = None;
            self.capture_error = Some(error);
        }
        self.replay.apply(&event);
    }

    /// Reduces the copied bytes of a transfer to marks: from here on there is no plaintext.
    fn reduce(&mut self, Raw { mut event, copied, .. }: Raw) -> Event {
        match &mut event.body {
            Body::Connection(connection) => self.wire.opened(connection),
            Body::Close { connection } => self.wire.closed(*connection),
            Body::Transfer { connection, direction, result, marks, .. } => {
                if let Ok(length) = u64::try_from(*result) {
                    *marks = self.wire.reduce(*connection, *direction, length, &copied);
                }
            }
            Body::TlsStart { session } | Body::TlsEnd { session } => {
                self.wire.session_ended(event.tgid, *session);
            }
            Body::Plain { session, direction, bytes, marks, .. } => {
                *marks = self.wire.reduce_plain((event.tgid, *session), *direction, *bytes, &copied);
            }
            _ => {}
        }
        event
    }

    fn end(mut self, end_ns: u64) -> Recorded {
        let undecodable = self.reader.undecodable();
        if undecodable > 0 {
            let body = Body::Loss { kind: "undecodable".to_owned(), count: undecodable, since_ns: 0 };
            let event = Event { ts_ns: end_ns, tgid: 0, tid: 0, body };
            self.pass_on(event.into());
        }
        let finished = self.capture.map(|capture| capture.finish(end_ns));
        let capture_error = self.capture_error.or(finished.and_then(Result::err));
        let report = match self.hand_out {
            Some(hand_out) => {
                hand_out.end(end_ns, self.replay);
                None
            }
            None => Some(self.replay.finish(&self.origin, Some(end_ns))),
        };
        Recorded { report, capture_error }
    }
}
