//! Replays ordered events: processes, threads, contexts and connections as they were, and the requests that
//! fall out. Pure: its clock is the events'.

mod closing;
mod connection;
mod containers;
mod context;
mod greenlets;
mod hand_out;
mod imports;
mod inbound;
mod lifecycle;
mod lookup;
mod outbound;
mod owner;
pub mod process;
mod queue;
mod records;
mod ready;
mod requests;
mod samples;
mod schedule;
mod shared;
mod sharing;
mod steps;
mod streams;
mod thread;
mod tls;
mod traffic;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use foldhash::HashMap;

use tracer_ebpf::limits::SAMPLES_PER_SECOND;

use crate::{
    event::{Body, Direction, Event, Function, OffState},
    model::{
        containers::Containers,
        process::{KnownProcess, Process},
        tls::Plaintext,
    },
    request::{Request, RequestId},
    vendor::VendorTable,
};

pub use hand_out::{Held, Patience};

/// The state of everything traced, and the requests that are followed.
pub struct Model {
    vendors: Arc<VendorTable>,
    processes: process::Processes,
    threads: thread::Threads,
    connections: connection::Connections,
    requests: requests::Requests,
    functions: samples::Functions,
    /// Every process that was found to run Python or had a request, also those that ended.
    facts: BTreeMap<u32, KnownProcess>,
    containers: Containers,
    lost_events: BTreeMap<String, u64>,
    samples_per_second: u32,
    first_ns: Option<u64>,
    now_ns: u64,
}

/// What a run of events came to, or a part of it.
#[derive(Debug, Default)]
pub struct Outcome<'model> {
    pub requests: Vec<Request>,
    pub facts: Cow<'model, BTreeMap<u32, KnownProcess>>,
    pub containers: Cow<'model, Containers>,
    /// What samples ran, by number.
    pub functions: Arc<Vec<Function>>,
    pub samples_per_second: u32,
    pub lost_events: BTreeMap<String, u64>,
}

impl Model {
    pub fn new(vendors: Arc<VendorTable>) -> Self {
        Model {
            vendors,
            processes: HashMap::default(),
            threads: HashMap::default(),
            connections: HashMap::default(),
            requests: requests::Requests::default(),
            functions: samples::Functions::default(),
            facts: BTreeMap::new(),
            containers: Containers::default(),
            lost_events: BTreeMap::new(),
            samples_per_second: SAMPLES_PER_SECOND,
            first_ns: None,
            now_ns: 0,
        }
    }

    /// Takes in the next event; events come in order of time.
    pub fn apply(&mut self, event: &Event) {
        let Event { ts_ns, tgid, tid, ref body } = *event;
        // How often is sampled is told before anything happens.
        if !matches!(body, Body::Sampling { .. }) {
            self.first_ns.get_or_insert(ts_ns);
        }
        self.now_ns = self.now_ns.max(ts_ns);
        match body {
            Body::Process(facts) => self.process_found(tgid, facts),
            Body::Fork { child_tgid, child_tid } => self.forked(ts_ns, tgid, tid, *child_tgid, *child_tid),
            Body::Exec => self.execed(ts_ns, tgid, tid),
            Body::Exit => self.exited(ts_ns, tgid, tid),
            Body::ProcessEnd => self.process_ended(ts_ns, tgid),
            Body::SwitchOut { state: OffState::Dead, .. } => self.thread_ended(ts_ns, tid),
            Body::SwitchOut { state, wait, cpu_ns } => {
                self.infer_switch_in(ts_ns, tgid, tid, *cpu_ns);
                self.claim_unseen(ts_ns, tid, *cpu_ns);
                self.switched_out(ts_ns, tgid, tid, *state, *wait);
                self.claim_stolen(ts_ns, tid, *cpu_ns);
            }
            Body::SwitchIn { wake_ns, waker_tid } => self.switched_in(ts_ns, tgid, tid, *wake_ns, *waker_tid),
            Body::OnCpu { wake_ns, waker_tid } => self.is_back(ts_ns, tgid, tid, *wake_ns, *waker_tid),
            Body::Connection(connection) => self.connection_seen(tgid, tid, connection),
            Body::Connect { connection, enter_ns, result } => {
                self.connected(ts_ns, tgid, tid, *connection, *enter_ns, *result)
            }
            Body::Established { connection, rcv_nxt } => self.established(ts_ns, *connection, *rcv_nxt),
            Body::Arrival { connection, rcv_nxt, rtt_ns } => {
                self.arrived(ts_ns, *connection, *rcv_nxt, *rtt_ns)
            }
            Body::Transfer { connection, direction, enter_ns, result, marks } => {
                let transfer = traffic::Transfer {
                    tgid,
                    tid,
                    enter_ns: *enter_ns,
                    exit_ns: ts_ns.max(*enter_ns),
                    bytes: u64::try_from(*result).unwrap_or(0),
                    marks,
                };
                self.transferred(*connection, *direction, &transfer)
            }
            Body::Reset { connection } => self.connection_reset(*connection),
            Body::Close { connection } => self.connection_closed(ts_ns, *connection),
            Body::ContextEnter { context } => self.context_entered(ts_ns, tgid, tid, *context),
            Body::SleepEnded => self.sleep_ended(ts_ns, tid),
            Body::QueuePut { item } => self.queue_put(ts_ns, tgid, tid, *item),
            Body::QueueGet => self.queue_asked(ts_ns, tgid, tid),
            Body::QueueGot { item } => self.queue_got(ts_ns, tgid, tid, *item),
            Body::ContextExit { context } => self.context_exited(ts_ns, tgid, tid, *context),
            Body::ContextCurrent { context } => self.context_is(ts_ns, tgid, tid, *context),
            Body::ContextCopy { context } => self.context_copied(ts_ns, tgid, tid, *context),
            Body::ContextEnd { context } => self.context_ended(tgid, tid, *context),
            Body::ContextReady { context } => self.context_ready(ts_ns, tgid, tid, *context),
            Body::GreenletSwitch { greenlet } => self.greenlet_switched(ts_ns, tgid, tid, *greenlet),
            Body::GcStart => self.collecting(ts_ns, tgid, tid, true),
            Body::GcDone => self.collecting(ts_ns, tgid, tid, false),
            Body::ImportStart { module } => self.import_started(ts_ns, tgid, tid, module),
            Body::ImportDone => self.import_done(ts_ns, tgid, tid),
            Body::Code { address, function } => self.code_found(tgid, *address, function),
            Body::Unfollowed => self.unfollowed(ts_ns, tgid),
            Body::TlsStart { session } => self.session_started(tgid, tid, *session),
            Body::TlsEnd { session } => self.session_ended(tgid, *session),
            Body::Plain { session, direction, enter_ns, bytes, marks } => {
                // As for a transfer: what is sent comes in its place by when it began.
                let at_ns = if *direction == Direction::Sent { *enter_ns } else { ts_ns };
                let plain = Plaintext { tgid, tid, at_ns, bytes: *bytes, marks };
                self.plain(*session, *direction, &plain)
            }
            Body::Mapped => {}
            Body::Container(container) => self.containers.learn(container),
            Body::Creating { frames } => self.creating(tgid, tid, frames),
            Body::Asking { places } => self.asking(tgid, tid, places),
            Body::Setting { frames } => self.setting(tgid, tid, frames),
            Body::OnStream(stream) => self.thread(tgid, tid).on_stream = Some((ts_ns, *stream)),
            Body::Awaited { context, frames } => self.awaited(ts_ns, tgid, tid, *context, frames),
            Body::Waiting { frames } => self.waiting(ts_ns, tgid, tid, frames),
            Body::Sample { frames } => self.sampled(ts_ns, tgid, tid, frames, false),
            Body::Collecting { frames } => self.sampled(ts_ns, tgid, tid, frames, true),
            Body::Sampled { bucket } => self.bucket_is_sampled(tgid, bucket),
            Body::Sampling { per_second } => self.samples_per_second = *per_second,
            Body::Loss { kind, count, since_ns } => self.lost(kind, *count, *since_ns),
        }
    }

    /// Ends at `end_ns` whatever is still open.
    pub fn finish(mut self, end_ns: u64) -> Outcome<'static> {
        let end_ns = end_ns.max(self.now_ns);
        for id in self.requests.open() {
            if let Some(request) = self.requests.get_mut(id) {
                // A run goes on until it is no longer watched; a request would have been answered.
                request.complete &= request.is_run();
            }
            self.close(id, end_ns);
        }
        self.leave_background(end_ns);
        let mut requests = self.requests.into_closed();
        requests.iter_mut().for_each(closing::settle_calls);
        Outcome {
            requests,
            facts: Cow::Owned(self.facts),
            containers: Cow::Owned(self.containers),
            functions: self.functions.list(),
            samples_per_second: self.samples_per_second,
            lost_events: self.lost_events,
        }
    }

    fn lost(&mut self, kind: &str, count: u64, since_ns: u64) {
        let lost = self.lost_events.entry(kind.to_owned()).or_default();
        *lost = lost.saturating_add(count);
        if matches!(kind, "context_enter" | "context_exit" | "context_current" | "greenlet_switch") {
            // Whether a thread is inside a context is no longer known: the next step tells.
            self.threads.values_mut().for_each(|thread| {
                thread.frames.clear();
                thread.aside.clear();
            });
        }
        // Which request a lost event belonged to can't be known: it may be any that was under way.
        let touched = |request: &&mut Request| request.end_ns.is_none_or(|end_ns| end_ns >= since_ns);
        self.requests.all_mut().filter(touched).for_each(|request| request.complete = false);
    }

    fn new_request(&mut self, tgid: u32, start_ns: u64) -> RequestId {
        // A forked process is what its parent was: nobody tells its facts again.
        if let Some(Process { facts: Some(facts), forked_ns, .. }) = self.processes.get(&tgid) {
            let known = || KnownProcess { facts: facts.clone(), forked_ns: *forked_ns };
            self.facts.entry(tgid).or_insert_with(known);
        }
        self.requests.begin(tgid, start_ns)
    }
}
