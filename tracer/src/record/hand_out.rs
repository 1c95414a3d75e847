//! Requests are passed on as they finish, where events come without end.

use std::sync::mpsc::{SyncSender, TrySendError};

use super::pipeline::clocks;
use crate::{
    event::{Body, Event},
    ingest::order::Order,
    model::{Held, Patience},
    python::discover,
    replay::Replay,
    report::{build::Origin, types::Report},
};

/// How often requests are passed on.
const EVERY_NS: u64 = 1_000_000_000;

/// How often it is looked for processes whose end was not seen: it was lost, or came before their facts.
const SWEEPING_NS: u64 = 10_000_000_000;

/// How often functions are forgotten that no process has.
const CLEANING_NS: u64 = 120_000_000_000;

/// Clocks that differ by so much were set: what comes then has the new time.
const CLOCK_SET_NS: u64 = 10_000_000;

/// What was lost when nobody took a piece, as a kind of loss.
pub const LOST_REQUESTS: &str = "requests";

/// Passes pieces of the report on.
pub struct HandOut {
    /// Requests are numbered from after this on.
    pub number_after: u64,
    origin: Origin,
    patience: Patience,
    to: SyncSender<Piece>,
    vitals: Vitals,
    next_ns: u64,
    next_sweeping_ns: u64,
    next_cleaning_ns: u64,
    /// Requests of pieces that nobody took.
    lost_requests: u64,
}

/// What became of the time since the last piece.
#[derive(Debug, Default)]
pub struct Piece {
    /// As of a capture, without routes, delays and findings.
    pub report: Report,
    pub vitals: Vitals,
    /// No more come.
    pub is_last: bool,
}

/// How reading goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Events read since the start.
    pub events: u64,
    /// The longest that an event waited in the ring since the last piece.
    pub ring_lag_ns: u64,
    /// Events that wait for their order, and those that came too late for it.
    pub waiting_events: usize,
    pub late_events: u64,
    pub held: Held,
}

impl HandOut {
    /// A piece that finds no room in `to` is lost, and counted.
    pub fn new(origin: Origin, patience: Patience, number_after: u64, to: SyncSender<Piece>) -> HandOut {
        HandOut {
            number_after,
            origin,
            patience,
            to,
            vitals: Vitals::default(),
            next_ns: 0,
            next_sweeping_ns: 0,
            next_cleaning_ns: 0,
            lost_requests: 0,
        }
    }

    /// So many events were read; the oldest had waited so long.
    pub(super) fn read(&mut self, events: usize, lag_ns: u64) {
        self.vitals.events += events as u64;
        self.vitals.ring_lag_ns = self.vitals.ring_lag_ns.max(lag_ns);
    }

    /// Passes on what is done, once in a while. Gives the ends of processes that were not seen.
    pub(super) fn pass_on(&mut self, now_ns: u64, replay: &mut Replay, order: &Order) -> Vec<Event> {
        if now_ns < self.next_ns {
            return Vec::new();
        }
        self.next_ns = now_ns + EVERY_NS;
        self.follow_clock();
        let report = replay.hand_out(&self.origin, now_ns, &self.patience);
        self.vitals.waiting_events = order.len();
        self.vitals.late_events = order.late();
        self.vitals.held = replay.model().held();
        self.send(report);
        if now_ns >= self.next_cleaning_ns {
            self.next_cleaning_ns = now_ns + CLEANING_NS;
            replay.model().forget_functions();
        }
        if now_ns < self.next_sweeping_ns {
            return Vec::new();
        }
        self.next_sweeping_ns = now_ns + SWEEPING_NS;
        let has_ended = |tgid: &u32| !discover::is_there(*tgid);
        let vanished = replay.model().processes().filter(has_ended);
        vanished.map(|tgid| Event { ts_ns: now_ns, tgid, tid: tgid, body: Body::ProcessEnd }).collect()
    }

    /// Passes on all that is left.
    pub(super) fn end(self, end_ns: u64, replay: Replay) {
        let report = replay.hand_out_rest(&self.origin, end_ns);
        // Nobody takes it only where that ended by a defect.
        let _ = self.to.send(self.piece(report, true));
    }

    fn send(&mut self, report: Report) {
        match self.to.try_send(self.piece(report, false)) {
            Ok(()) => {
                self.lost_requests = 0;
                self.vitals.ring_lag_ns = 0;
            }
            Err(TrySendError::Full(piece) | TrySendError::Disconnected(piece)) => {
                self.lost_requests += piece.report.requests.len() as u64;
            }
        }
    }

    fn piece(&self, mut report: Report, is_last: bool) -> Piece {
        if self.lost_requests > 0 {
            report.capture.lost_events.insert(LOST_REQUESTS.to_owned(), self.lost_requests);
        }
        Piece { report, vitals: self.vitals, is_last }
    }

    fn follow_clock(&mut self) {
        let (now_ns, unix_ns) = clocks();
        if self.origin.unix_ns(now_ns).abs_diff(unix_ns) > CLOCK_SET_NS {
            self.origin.start_ns = now_ns;
            self.origin.start_unix_ns = unix_ns;
        }
    }
}
