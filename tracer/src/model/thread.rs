//! A thread of a traced process: on or off CPU, and the steps it is in.

use std::collections::VecDeque;

use foldhash::HashMap;

use crate::{
    event::{ConnectionId, OffState, Stream, Wait},
    model::{
        imports::Import,
        tls::{Begun, Unsent},
    },
    request::{FunctionId, Rank, RequestId, call::Place, call_tree::OnCpu},
};

/// Stretches off CPU that are remembered: as far back as a wait for the event loop is explained.
const HISTORY: usize = 1_024;

/// Changes of owner that are remembered: as far back as a woken thread waits for a CPU.
const OWNERS: usize = 256;

#[derive(Clone, Debug, Default)]
pub struct Thread {
    pub tgid: u32,
    /// Since when it is on CPU and that time is not yet claimed; `None` when it is off CPU or that is unknown.
    pub on_cpu_since_ns: Option<u64>,
    /// When it last got a CPU, and its CPU time by then.
    pub got_cpu_ns: Option<u64>,
    pub cpu_ns: u64,
    /// What it worked for since then.
    pub pieces: Vec<Piece>,
    pub off: Option<Off>,
    /// It is on CPU by what it did, since when is open until it leaves it.
    pub unseen_in: Option<UnseenIn>,
    /// Contexts it runs in, innermost last.
    pub frames: Vec<Frame>,
    /// The greenlet that it runs; 0 is its own stack.
    pub greenlet: u64,
    /// What its other greenlets were in when it turned away from them.
    pub aside: HashMap<u64, Aside>,
    /// It has run steps of contexts.
    pub enters_contexts: bool,
    /// It was seen to start, and has entered no context since.
    pub is_new: bool,
    /// It works for several requests by turns, and nothing shows whose turn it is.
    pub juggles: bool,
    /// What it works for outside of any context.
    pub request: Option<RequestId>,
    /// It works for that only until its next step is over: a loop read for it between its steps (uvloop).
    pub until_step_ends: bool,
    /// Since when it works for that.
    pub bound_ns: u64,
    /// It works for that because a step of it started the thread: it may be a pool's, which then waits for
    /// work of anybody's.
    pub is_started_by_request: bool,
    /// It works for that because of what it got from a queue, until it asks for more.
    pub works_from_queue: bool,
    /// When one that a request started first waited for something to do.
    pub idle_since_ns: Option<u64>,
    /// What it makes next is a worker of a pool, for whom ever that then works.
    pub makes_worker: bool,
    /// What it makes next is a thread by `threading`.
    pub starts_python: bool,
    /// It was made to run Python code, which has its frames from the first on: where it waits for something to do, that tells.
    pub is_born_in_python: bool,
    /// Who sends the head of a request that it sends next, the innermost first.
    pub asking: Vec<Place>,
    /// For which stream somebody works, as of a time: who sends or begins to wait then, or a task that got what it waited for.
    pub on_stream: Option<(u64, Stream)>,
    /// What the result is that it sets next.
    pub sets: Sets,
    /// It has waited in a futex with Python code on its stack.
    pub runs_python: bool,
    /// The futex that it waits in next is a lock.
    pub at_lock: bool,
    /// What it is about to sleep in, the innermost first, and when that was told.
    pub waits_in: (u64, Vec<FunctionId>),
    /// It has a call on a connection for which others read as well, and sleeps until it is its turn.
    pub reads_in_turn: bool,
    pub in_gc: bool,
    /// Imports that it is in, one within the other, and the outermost.
    pub imports: u32,
    pub importing: Option<Import>,
    /// The last sleep in epoll: when it began, when it was woken, and whether by its time-out.
    pub last_epoll: Option<Epoll>,
    /// When it was started, or last woke from a futex that is not the GIL: a pool thread then has something to
    /// do.
    pub work_since_ns: Option<u64>,
    /// TLS sessions that it has begun and whose first bytes it has not sent, the oldest first.
    pub begun_sessions: VecDeque<Begun>,
    /// Plaintext that a session took whose connection is not known.
    pub unsent: Option<Unsent>,
    pub history: VecDeque<Off>,
    /// What its steps worked for, and since when: who woke another thread shows only when that one runs.
    owners: VecDeque<(u64, Option<RequestId>)>,
}

/// What ends a task's wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sets {
    /// Something that others have done for it, as far as is known.
    #[default]
    Result,
    /// Its turn: a lock's, a semaphore's.
    Turn,
    /// Something to do, at an `asyncio.Queue`.
    Job,
}

/// A context that a thread runs in.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub address: u64,
    pub generation: u64,
    pub request: Option<RequestId>,
    /// The accepted connection that the context descends from, or that this step accepted last.
    pub serves: Option<ConnectionId>,
    pub start_ns: u64,
    /// The request was found by the connection that the step read, not by the context.
    pub adopted: bool,
    /// When its context was copied, if this is the first run of it, by the thread that copied it.
    pub put_off_ns: Option<u64>,
    /// It may have been a timer that began this step.
    pub timer: Option<Timer>,
    /// It is a greenlet that another one made, and has not touched a connection that serves a request: what it gets
    /// from a queue may be anybody's.
    pub takes_work: bool,
    /// It is a greenlet, which may be a thread for the application, and has entered no context.
    pub is_new: bool,
}

/// What a greenlet was in when its thread turned to another one.
#[derive(Clone, Debug)]
pub struct Aside {
    pub frames: Vec<Frame>,
    pub request: Option<RequestId>,
    pub left_ns: u64,
}

/// A timer of an event loop, as far as it shows.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    pub set_ns: u64,
    pub due_ns: u64,
    /// How certain it is that it is one.
    pub rank: Rank,
}

/// A stretch on CPU for one request.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    pub request: RequestId,
    pub start_ns: u64,
    pub end_ns: u64,
}

/// A switch in that was not seen.
#[derive(Clone, Copy, Debug)]
pub struct UnseenIn {
    /// What the thread worked for.
    pub request: Option<RequestId>,
    pub out_ns: u64,
    /// When something showed that it is on CPU: at the latest since then.
    pub in_ns: u64,
}

/// A stretch off CPU.
#[derive(Clone, Copy, Debug)]
pub struct Off {
    pub out_ns: u64,
    /// When it left the CPU for the first time in a poll that something woke in vain; `out_ns` otherwise.
    pub since_ns: u64,
    /// When it was woken: from here on it was runnable. Equal to `out_ns` when it was preempted.
    pub wake_ns: u64,
    pub in_ns: u64,
    pub state: OffState,
    pub wait: Wait,
    pub is_gil: bool,
    /// It waits for a lock, and not for something to do.
    pub is_lock: bool,
    /// It was working for somebody then: whoever waits for the thread waits for that work.
    pub is_working: bool,
}

impl Off {
    /// When the time is over that a poll is to last at most: the same for each of its sleeps.
    pub fn deadline_ns(&self) -> Option<u64> {
        match self.wait {
            Wait::Poll { timeout_ns, .. } | Wait::Epoll { timeout_ns } => {
                Some(self.out_ns.saturating_add(timeout_ns?))
            }
            _ => None,
        }
    }

    /// Whether the thread woke because the time was over that its poll was to last.
    pub fn timed_out(&self) -> bool {
        let deadline_ns = self.deadline_ns();
        deadline_ns.is_some_and(|deadline_ns| self.wake_ns.saturating_add(EPOLL_GRAIN_NS) >= deadline_ns)
    }
}

/// A sleep in epoll.
#[derive(Clone, Copy, Debug)]
pub struct Epoll {
    pub out_ns: u64,
    pub wake_ns: u64,
    /// When the time is over that it was to last at most: an event loop takes its next timer's. `None` where there
    /// was none.
    pub deadline_ns: Option<u64>,
    pub timed_out: bool,
}

impl Epoll {
    /// Whether the loop's next timer, as it was when the sleep began, is due.
    pub fn has_timer_due(&self, at_ns: u64) -> bool {
        self.deadline_ns.is_some_and(|deadline_ns| at_ns.saturating_add(EPOLL_GRAIN_NS) >= deadline_ns)
    }

    /// One that was set then and is due now.
    pub fn timer(&self, set_ns: u64, at_ns: u64) -> Timer {
        Timer { set_ns, due_ns: self.timer_due_ns(at_ns), rank: Rank::Sleep }
    }

    /// When a timer was due that ran after this sleep, at `ran_ns`. Where other things ended the sleep, the loop's
    /// next timer is taken for it: it was due no earlier than that.
    pub fn timer_due_ns(&self, ran_ns: u64) -> u64 {
        match self.deadline_ns {
            Some(deadline_ns) if !self.timed_out => deadline_ns.clamp(self.wake_ns, ran_ns.max(self.wake_ns)),
            _ => self.wake_ns,
        }
    }
}

/// epoll and poll take milliseconds, and asyncio rounds up to them.
const EPOLL_GRAIN_NS: u64 = 1_000_000;

pub type Threads = HashMap<u32, Thread>;

impl Thread {
    pub fn new(tgid: u32) -> Self {
        Thread { tgid, ..Thread::default() }
    }

    /// What it does while it is on CPU.
    pub fn on_cpu_cause(&self) -> OnCpu {
        match (self.in_gc, self.imports) {
            (true, _) => OnCpu::Gc,
            (false, 0) => OnCpu::Python,
            (false, _) => OnCpu::Import,
        }
    }

    /// Whether the thread may just be waiting for something to do.
    pub fn is_spare(&self, off: &Off) -> bool {
        self.is_started_by_request
            && self.frames.is_empty()
            && matches!((off.state, off.wait), (OffState::Sleeping, Wait::Futex { .. }))
            && !off.is_gil
            && !off.is_lock
            && (!self.is_born_in_python || self.waits_in.0 == off.out_ns)
    }

    /// Whether it does, outside of contexts, what others gave it to do: it wakes others by the locks that it
    /// releases, and gives them no work.
    pub fn is_handed_work(&self) -> bool {
        self.frames.is_empty() && (self.is_started_by_request || self.works_from_queue)
    }

    pub fn on_cpu_for(&mut self, piece: Piece) {
        if piece.start_ns >= piece.end_ns || self.pieces.len() >= HISTORY {
            return;
        }
        match self.pieces.last_mut() {
            Some(last) if last.request == piece.request && last.end_ns == piece.start_ns => {
                last.end_ns = piece.end_ns
            }
            _ => self.pieces.push(piece),
        }
    }

    /// From `at_ns` on it works for this request.
    pub fn owned_by(&mut self, owner: Option<RequestId>, at_ns: u64) {
        if self.owners.back().is_some_and(|(_, last)| *last == owner) {
            return;
        }
        if self.owners.len() >= OWNERS {
            self.owners.pop_front();
        }
        self.owners.push_back((at_ns, owner));
    }

    /// What it worked for at an earlier time; `None` also when that is not known any more.
    pub fn owner_at(&self, at_ns: u64) -> Option<RequestId> {
        self.owners.iter().rev().find(|(since_ns, _)| *since_ns <= at_ns)?.1
    }

    /// Since when in a stretch of time it works for others than this request.
    pub fn works_for_others_since(&self, request: RequestId, start_ns: u64, end_ns: u64) -> Option<u64> {
        let ends = self.owners.iter().skip(1).map(|(since_ns, _)| *since_ns).chain([u64::MAX]);
        let mut stretches = self.owners.iter().zip(ends);
        let (since_ns, _) = stretches.find_map(|(owner, until_ns)| {
            let is_others = owner.1.is_some_and(|owner| owner != request);
            (is_others && until_ns > start_ns && owner.0 < end_ns).then_some(*owner)
        })?;
        Some(since_ns.max(start_ns))
    }

    /// The parts of a stretch of time in which it worked for others than this request, as far as that is known.
    pub fn not_for(&self, request: RequestId, start_ns: u64, end_ns: u64) -> Vec<(u64, u64)> {
        let mut parts = Vec::new();
        let mut to_ns = end_ns;
        for (since_ns, owner) in self.owners.iter().rev() {
            if to_ns <= start_ns {
                break;
            }
            let from_ns = start_ns.max(*since_ns).min(to_ns);
            if *owner != Some(request) {
                parts.push((from_ns, to_ns));
            }
            to_ns = from_ns;
        }
        parts.push((start_ns, to_ns.max(start_ns)));
        parts
    }

    pub fn remember(&mut self, off: Off) {
        if self.history.len() >= HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(off);
    }
}
