//! What a context of a request was doing or waiting for, over an interval.

use crate::report::bucket::Bucket;

/// An interval that somebody claims for a cause. Claims of a request may overlap: [`super::split`] decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub start_ns: u64,
    pub end_ns: u64,
    pub rank: Rank,
}

/// Causes in order of precedence: of the claims that hold at an instant, the first in this order takes the
/// time. On CPU comes before what holds a request back on our own side, that before the waits for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rank {
    /// On a virtual CPU that the hypervisor did not run.
    Stolen,
    Gc,
    Import,
    Cpu,
    Gil,
    Runqueue,
    Loop,
    Executor,
    Lock,
    Disk,
    FirstByte,
    Stream,
    Send,
    Tls,
    Connect,
    Dns,
    Backoff,
    Network,
    Child,
    Sleep,
    Client,
    /// The event loop never slept between two steps of the request, and no other wait was seen: it was busy
    /// with others. Behind everything that was seen for itself.
    BusyLoop,
    /// The request's context went from one thread to another, and nothing was seen of the time in between.
    HandOver,
    /// A connection of a pool that another request had, and nothing else was seen of the time.
    Pool,
    /// What was put off ran when the loop's time was due, but after another step of the request, which may have had it done.
    MaybeSleep,
    /// A lock that a thread of the same request released: waiting for one's own work, which has claims of its
    /// own unless nothing was seen of it.
    Join,
}

impl Rank {
    pub const COUNT: usize = Rank::Join as usize + 1;

    pub const ALL: [Rank; Rank::COUNT] = [
        Rank::Stolen,
        Rank::Gc,
        Rank::Import,
        Rank::Cpu,
        Rank::Gil,
        Rank::Runqueue,
        Rank::Loop,
        Rank::Executor,
        Rank::Lock,
        Rank::Disk,
        Rank::FirstByte,
        Rank::Stream,
        Rank::Send,
        Rank::Tls,
        Rank::Connect,
        Rank::Dns,
        Rank::Backoff,
        Rank::Network,
        Rank::Child,
        Rank::Sleep,
        Rank::Client,
        Rank::BusyLoop,
        Rank::HandOver,
        Rank::Pool,
        Rank::MaybeSleep,
        Rank::Join,
    ];

    /// The bucket that the time goes to.
    pub fn bucket(self) -> Bucket {
        match self {
            Rank::Gc => Bucket::PythonGc,
            Rank::Import => Bucket::PythonImport,
            Rank::Cpu => Bucket::PythonCpu,
            Rank::Gil => Bucket::WaitGil,
            Rank::Stolen | Rank::Runqueue => Bucket::WaitRunqueue,
            Rank::Loop | Rank::BusyLoop => Bucket::WaitLoop,
            Rank::Executor | Rank::HandOver => Bucket::WaitExecutor,
            Rank::Lock | Rank::Pool | Rank::Join => Bucket::WaitLock,
            Rank::Disk => Bucket::WaitDisk,
            Rank::FirstByte => Bucket::LlmFirstByte,
            Rank::Stream => Bucket::LlmStream,
            Rank::Send => Bucket::LlmSend,
            Rank::Tls => Bucket::LlmTls,
            Rank::Connect => Bucket::LlmConnect,
            Rank::Dns => Bucket::LlmDns,
            Rank::Backoff => Bucket::LlmBackoff,
            Rank::Network => Bucket::NetOther,
            Rank::Child => Bucket::WaitChild,
            Rank::Sleep | Rank::MaybeSleep => Bucket::WaitSleep,
            Rank::Client => Bucket::Client,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_every_rank_in_order() {
        assert!(Rank::ALL.iter().enumerate().all(|(index, rank)| *rank as usize == index));
    }
}
