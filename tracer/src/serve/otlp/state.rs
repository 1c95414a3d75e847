//! How sending goes, for those who show it.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::receiver::Signal;

/// Why requests were not sent, as a kind of loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The queue was full.
    Queue,
    /// The receiver refused them.
    Refused,
    /// The end came before the receiver took them.
    Stop,
    /// They came faster than spans could be made of them.
    Missed,
}

impl Lost {
    pub const ALL: [Lost; 4] = [Lost::Queue, Lost::Refused, Lost::Stop, Lost::Missed];

    pub fn name(self) -> &'static str {
        match self {
            Lost::Queue => "queue",
            Lost::Refused => "refused",
            Lost::Stop => "stop",
            Lost::Missed => "missed",
        }
    }
}

/// Counts since the start. Every request that finished is one of those that were sent, left out, lost, or are queued.
#[derive(Debug, Default)]
pub struct State {
    sent_requests: AtomicU64,
    sent_spans: AtomicU64,
    left_out_requests: AtomicU64,
    retries: AtomicU64,
    queued_requests: AtomicU64,
    queued_bytes: AtomicU64,
    lost_requests: [AtomicU64; Lost::ALL.len()],
    spans: OfSignal,
    figures: OfSignal,
}

#[derive(Debug, Default)]
struct OfSignal {
    rejected: AtomicU64,
    trouble: Mutex<Option<String>>,
}

macro_rules! counts {
    ($($(#[$doc:meta])* $read:ident, $add:ident;)+) => {
        $($(#[$doc])* pub fn $read(&self) -> u64 {
            self.$read.load(Relaxed)
        }

        pub(super) fn $add(&self, count: u64) {
            self.$read.fetch_add(count, Relaxed);
        })+
    };
}

impl State {
    counts! {
        sent_requests, add_sent_requests;
        sent_spans, add_sent_spans;
        /// Ordinary ones, by the configuration.
        left_out_requests, add_left_out_requests;
        /// Attempts after a first one that failed.
        retries, add_retries;
    }

    pub fn queued_requests(&self) -> u64 {
        self.queued_requests.load(Relaxed)
    }

    pub fn queued_bytes(&self) -> u64 {
        self.queued_bytes.load(Relaxed)
    }

    pub fn lost_requests(&self, why: Lost) -> u64 {
        self.lost_requests[why as usize].load(Relaxed)
    }

    /// For whatever reason.
    pub fn all_lost_requests(&self) -> u64 {
        Lost::ALL.into_iter().map(|why| self.lost_requests(why)).sum()
    }

    /// Spans, or points of figures, that the receiver did not want of messages that it took.
    pub fn rejected(&self, signal: Signal) -> u64 {
        self.of(signal).rejected.load(Relaxed)
    }

    /// Why the receiver does not take them, while it does not.
    pub fn trouble(&self, signal: Signal) -> Option<String> {
        self.of(signal).trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn of(&self, signal: Signal) -> &OfSignal {
        match signal {
            Signal::Traces => &self.spans,
            Signal::Metrics => &self.figures,
        }
    }

    pub(super) fn set_queued(&self, requests: u64, bytes: u64) {
        self.queued_requests.store(requests, Relaxed);
        self.queued_bytes.store(bytes, Relaxed);
    }

    pub(super) fn lose(&self, why: Lost, requests: u64) {
        self.lost_requests[why as usize].fetch_add(requests, Relaxed);
    }

    pub(super) fn reject(&self, signal: Signal, count: u64) {
        self.of(signal).rejected.fetch_add(count, Relaxed);
    }

    /// Whether that there is one, or none any more, is new.
    pub(super) fn set_trouble(&self, signal: Signal, trouble: Option<String>) -> bool {
        let mut known = self.of(signal).trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = known.is_some() != trouble.is_some();
        *known = trouble;
        is_new
    }
}
