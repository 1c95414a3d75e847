//! A request that is being followed.

use std::collections::BTreeMap;

use foldhash::HashMap;

use crate::{
    event::{ConnectionId, RequestHead},
    report::{bucket::Bucket, types::Segment},
    request::{
        call::{Call, Span},
        call_tree::{CallTree, OnCpu},
        claim::{Claim, Rank},
        split::split,
        waits::Waits,
    },
};

/// Number of a request within a capture, in order of appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Number of a function within a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(pub u32);

/// Who held the GIL while somebody waited for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    pub function: FunctionId,
    pub tid: u32,
}

/// Modules that are named of a request.
const MAX_MODULES: usize = 256;

/// Holders of the GIL kept of a request.
const MAX_HOLDERS: usize = 4_096;

/// Steps kept of a request.
const MAX_STEPS: usize = 65_536;

/// Claims kept before the older ones are settled into segments: bounds what a run of hours keeps.
const CLAIMS_BEFORE_SETTLING: usize = 65_536;

/// Claims may still come for this long before the latest one when older ones are settled.
const SETTLING_DELAY_NS: u64 = 60_000_000_000;

/// A unit of work while it is being followed: an inbound HTTP request, or the run of a process.
#[derive(Clone, Debug)]
pub struct Request {
    pub id: RequestId,
    pub tgid: u32,
    pub start_ns: u64,
    pub end_ns: Option<u64>,
    /// The accepted connection; `None` for a run.
    pub connection: Option<ConnectionId>,
    pub head: RequestHead,
    pub status: Option<u16>,
    pub first_byte_ns: Option<u64>,
    pub complete: bool,
    /// Also those made in the background.
    pub calls: Vec<Call>,
    pub cpu_ns: u64,
    pub background: Background,
    pub steps: Vec<Step>,
    /// When the last step ended, and whether that step is known to have made another context ready.
    pub last_step_end: Option<StepEnd>,
    /// The time before its last step that no step of it ran in.
    pub idle: Option<Span>,
    /// When a connection that it opened was last established.
    pub connected_ns: Option<u64>,
    /// What samples found it in before it was answered.
    pub stacks: CallTree,
    /// For how long it waited for the GIL, by who held that.
    pub gil_waits_ns: HashMap<Holder, u64>,
    /// What its threads and tasks waited in before it was answered.
    pub waits: Waits,
    /// How long imports took, by module: of those within each other the outermost, and only where probes tell.
    pub imports_ns: BTreeMap<String, u64>,
    claims: Vec<Claim>,
    settled: Vec<Segment>,
    contexts: HashMap<Worker, u32>,
    n_contexts: Option<u32>,
}

/// What is done for a request after it was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Background {
    pub cpu_ns: u64,
    /// Up to when there was something; 0 where there was nothing.
    pub until_ns: u64,
}

/// Who works for a request: a context by its generation, or a thread outside of any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Worker {
    Context(u64),
    Thread(u32),
}

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub start_ns: u64,
    pub end_ns: u64,
    pub context: u32,
    pub tid: u32,
    /// What it ran, where it ran long enough to be seen.
    pub function: Option<FunctionId>,
}

#[derive(Clone, Copy, Debug)]
pub struct StepEnd {
    pub at_ns: u64,
    pub tid: u32,
    /// It read data for a waiting context, or finished work in a pool thread.
    pub made_ready: bool,
}

impl Request {
    pub fn new(id: RequestId, tgid: u32, start_ns: u64) -> Self {
        Request {
            id,
            tgid,
            start_ns,
            end_ns: None,
            connection: None,
            head: RequestHead::default(),
            status: None,
            first_byte_ns: None,
            complete: true,
            calls: Vec::new(),
            cpu_ns: 0,
            background: Background::default(),
            steps: Vec::new(),
            last_step_end: None,
            idle: None,
            connected_ns: None,
            stacks: CallTree::default(),
            gil_waits_ns: HashMap::default(),
            waits: Waits::default(),
            imports_ns: BTreeMap::default(),
            claims: Vec::new(),
            settled: Vec::new(),
            contexts: HashMap::default(),
            n_contexts: None,
        }
    }

    pub fn is_run(&self) -> bool {
        self.connection.is_none()
    }

    /// Contexts that worked for it before it was answered.
    pub fn contexts(&self) -> u32 {
        self.n_contexts.unwrap_or(self.contexts.len() as u32)
    }

    /// It is answered.
    pub fn end(&mut self, at_ns: u64) {
        self.end_ns = Some(at_ns);
        self.n_contexts = Some(self.contexts());
        self.stacks.close();
        self.waits.close();
    }

    /// The number of a worker within the request, from 0 in order of appearance.
    pub fn context_number(&mut self, worker: Worker) -> u32 {
        let next = self.contexts.len() as u32;
        *self.contexts.entry(worker).or_insert(next)
    }

    /// Calls that began since then by one who may have worked for others are not its own.
    pub fn disown_calls(&mut self, worker: Worker, since_ns: u64) {
        let Some(&context) = self.contexts.get(&worker) else { return };
        let calls = self.calls.iter_mut().filter(|call| call.context == context);
        calls.filter(|call| call.send.start_ns >= since_ns).for_each(|call| call.is_disowned = true);
    }

    /// A thread was on CPU for it: before it was answered, or in the background.
    pub fn used_cpu(&mut self, start_ns: u64, end_ns: u64) {
        let answered_ns = self.end_ns.unwrap_or(u64::MAX);
        let before_ns = end_ns.min(answered_ns).saturating_sub(start_ns.max(self.start_ns));
        let after_ns = end_ns.saturating_sub(start_ns.max(answered_ns));
        self.cpu_ns = self.cpu_ns.saturating_add(before_ns);
        if after_ns > 0 {
            self.background.cpu_ns = self.background.cpu_ns.saturating_add(after_ns);
            self.background.until_ns = self.background.until_ns.max(end_ns);
        }
    }

    /// So much of what it was on CPU for until `end_ns` was stolen.
    pub fn did_not_use_cpu(&mut self, end_ns: u64, stolen_ns: u64) {
        let is_before = self.end_ns.is_none_or(|answered_ns| end_ns <= answered_ns);
        let cpu_ns = if is_before { &mut self.cpu_ns } else { &mut self.background.cpu_ns };
        *cpu_ns = cpu_ns.saturating_sub(stolen_ns);
    }

    /// A sample of what ran for it, the innermost function first. What it does in the background counts for nothing.
    pub fn ran(&mut self, at_ns: u64, cause: OnCpu, stack: &[FunctionId]) {
        if self.end_ns.is_none() {
            self.stacks.add(at_ns, cause, stack);
        }
    }

    /// It imported a module, for so long.
    pub fn imported(&mut self, module: &str, ns: u64) {
        if self.end_ns.is_some() {
            return;
        }
        if let Some(import_ns) = self.imports_ns.get_mut(module) {
            *import_ns = import_ns.saturating_add(ns);
        } else if self.imports_ns.len() < MAX_MODULES {
            self.imports_ns.insert(module.to_owned(), ns);
        }
    }

    /// It waited for the GIL that somebody held.
    pub fn waited_for_gil(&mut self, holder: Holder, ns: u64) {
        if self.gil_waits_ns.len() < MAX_HOLDERS {
            let wait_ns = self.gil_waits_ns.entry(holder).or_default();
            *wait_ns = wait_ns.saturating_add(ns);
        }
    }

    /// A thread slept for itself in these functions, the innermost first, or a task awaited.
    pub fn waited(&mut self, span: Span, bucket: Option<Bucket>, stack: &[FunctionId]) {
        if self.end_ns.is_none() && span.start_ns < span.end_ns {
            self.waits.add(span, bucket, stack);
        }
    }

    /// A worker ran for the request. Of a run of hours only the first steps are kept: they are for drawing.
    pub fn stepped(&mut self, worker: Worker, tid: u32, span: Span, function: Option<FunctionId>) {
        let context = self.context_number(worker);
        let Span { start_ns, end_ns } = span;
        if self.steps.len() < MAX_STEPS {
            self.steps.push(Step { start_ns, end_ns, context, tid, function });
        }
    }

    /// Claims an interval. Of a run that has claimed much, what is long past is settled for good.
    pub fn claim(&mut self, start_ns: u64, end_ns: u64, rank: Rank) {
        if start_ns >= end_ns {
            return;
        }
        self.claims.push(Claim { start_ns, end_ns, rank });
        if self.claims.len() >= CLAIMS_BEFORE_SETTLING {
            self.settle(end_ns.saturating_sub(SETTLING_DELAY_NS));
        }
    }

    /// Sleeps between `start_ns` and `end_ns` were the backoff between two attempts of a call.
    pub fn sleep_is_backoff(&mut self, start_ns: u64, end_ns: u64) {
        for claim in &mut self.claims {
            if claim.rank == Rank::Sleep && claim.start_ns < end_ns && claim.end_ns > start_ns {
                claim.rank = Rank::Backoff;
            }
        }
    }

    /// Sleeps that ended after `since_ns` and before `until_ns`, by length.
    pub fn longest_sleep(&self, since_ns: u64, until_ns: u64) -> Option<Claim> {
        let sleeps = self.claims.iter().filter(|claim| claim.rank == Rank::Sleep);
        sleeps
            .filter(|claim| claim.start_ns >= since_ns && claim.end_ns <= until_ns)
            .max_by_key(|claim| claim.end_ns - claim.start_ns)
            .copied()
    }

    /// The time between two instants in order, each piece in its bucket; times as in events.
    pub fn timeline(&self, from_ns: u64, to_ns: u64) -> Vec<Segment> {
        let clip = |segment: &Segment| Segment {
            start_ns: segment.start_ns.max(from_ns),
            end_ns: segment.end_ns.min(to_ns),
            ..*segment
        };
        let settled = self.settled.iter().map(clip).filter(|segment| segment.start_ns < segment.end_ns);
        let mut segments: Vec<Segment> = settled.collect();
        let since_ns = self.settled.last().map_or(from_ns, |last| last.end_ns.max(from_ns));
        segments.extend(split(&self.all_claims(), since_ns, to_ns));
        segments
    }

    fn all_claims(&self) -> Vec<Claim> {
        self.claims.iter().copied().chain(self.calls.iter().flat_map(Call::claims)).collect()
    }

    fn settled_until_ns(&self) -> u64 {
        self.settled.last().map_or(self.start_ns, |segment| segment.end_ns)
    }

    fn settle(&mut self, until_ns: u64) {
        let from_ns = self.settled_until_ns();
        if until_ns <= from_ns {
            return;
        }
        let segments = split(&self.all_claims(), from_ns, until_ns);
        self.settled.extend(segments);
        self.claims.retain(|claim| claim.end_ns > until_ns);
    }
}
