//! A traced process.

use std::collections::VecDeque;

use foldhash::HashMap;

use crate::{
    event::{ConnectionId, ProcessFacts},
    model::{context::Contexts, lookup::Lookups, queue::Queues, samples::Samples, tls::Sessions},
    request::{FunctionId, RequestId},
};

#[derive(Clone, Debug, Default)]
pub struct Process {
    /// `None` until the process is known to run Python.
    pub facts: Option<ProcessFacts>,
    pub contexts: Contexts,
    pub lookups: Lookups,
    pub queues: Queues,
    /// Code objects by address.
    pub codes: HashMap<u64, FunctionId>,
    pub samples: Samples,
    pub sessions: Sessions,
    /// By address: the objects that are connections of HTTP/2 for a client.
    pub clients: HashMap<u64, ConnectionId>,
    /// Before a thread that runs Python waits in a futex, that is told.
    pub tells_waits: bool,
    /// The request that is the run of this process; `None` once it, or a child of it, accepts.
    pub run: Option<RequestId>,
    /// The request that a parent process worked for when it started this one, and when that was.
    pub inherited: Option<(RequestId, u64)>,
    pub parent: Option<u32>,
    /// When its parent made it; `None` once it runs another program.
    pub forked_ns: Option<u64>,
    /// Its steps are not seen.
    pub is_unfollowed: bool,
    /// It accepts connections, or a child of it does.
    pub is_server: bool,
    pub n_threads: usize,
    pub ended: EndedThreads,
    /// Child processes that have not ended.
    pub n_children: usize,
}

/// Threads that ended lately, and what they worked for last: whom they woke may get a CPU only then.
#[derive(Clone, Debug, Default)]
pub struct EndedThreads(VecDeque<(u32, RequestId)>);

/// More than run between two switches of a thread.
const ENDED: usize = 256;

/// A process as the report tells of it.
#[derive(Clone, Debug)]
pub struct KnownProcess {
    pub facts: ProcessFacts,
    /// When it was forked from another one, whose facts these are.
    pub forked_ns: Option<u64>,
}

pub type Processes = HashMap<u32, Process>;

impl Process {
    /// The functions of code objects, as far as these are known.
    pub fn stack(&self, frames: &[u64]) -> Vec<FunctionId> {
        frames.iter().filter_map(|address| self.codes.get(address).copied()).collect()
    }
}

impl EndedThreads {
    pub fn add(&mut self, tid: u32, request: RequestId) {
        if self.0.len() >= ENDED {
            self.0.pop_front();
        }
        self.0.push_back((tid, request));
    }

    pub fn last_request_of(&self, tid: u32) -> Option<RequestId> {
        self.0.iter().rev().find(|(ended, _)| *ended == tid).map(|(_, request)| *request)
    }
}

impl Process {
    /// Whether a `threading.Thread` runs in a context for all its life, which is no step then (Lib/threading.py,
    /// `Thread._bootstrap_inner`, from 3.14 on).
    pub fn runs_threads_in_contexts(&self) -> bool {
        let version = self.facts.as_ref().and_then(|facts| facts.python.as_deref());
        let minor = version.and_then(|version| version.split('.').nth(1)?.parse::<u32>().ok());
        minor.is_some_and(|minor| minor >= 14)
    }

    /// Whether a futex at this address is the GIL: on glibc its condition and mutex lie inside `_PyRuntime`.
    pub fn is_gil(&self, address: u64) -> bool {
        let runtime = self.facts.as_ref().and_then(|facts| facts.runtime);
        runtime.is_some_and(|(start, end)| (start..end).contains(&address))
    }
}
