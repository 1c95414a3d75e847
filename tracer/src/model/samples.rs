//! Samples: what threads ran, for the request they worked for, and for those whom they held up.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use foldhash::HashMap;

use crate::{
    event::{self, Function},
    model::{
        Model,
        imports::is_import,
        thread::{Sets, Thread},
    },
    report::{bucket::Bucket, functions::sample_ns},
    request::{
        FunctionId, RequestId,
        call::{Place, Span},
        call_tree::OnCpu,
        open::Worker,
    },
};

/// Samples that are remembered of a process: as far back as a long step, or a wait for the GIL, is explained.
const HISTORY: usize = 2_048;

/// Code objects that are remembered of a process. All go at once: those that run are told again.
const CODES: usize = 65_536;

/// Every function that was seen, by number.
#[derive(Debug, Default)]
pub struct Functions {
    /// Shared with reports, which are gone before many more are found.
    list: Arc<Vec<Function>>,
    /// Which of them are the application's own: that is asked of each frame of each sample.
    are_own: Vec<bool>,
    numbers: HashMap<Function, FunctionId>,
    /// Numbers that were in use by no process when that was last looked at, and those free for others.
    unused: HashSet<FunctionId>,
    free: Vec<FunctionId>,
}

impl Functions {
    fn number(&mut self, function: &Function) -> FunctionId {
        if let Some(number) = self.numbers.get(function) {
            return *number;
        }
        let list = Arc::make_mut(&mut self.list);
        let number = match self.free.pop() {
            Some(number) => {
                list[number.0 as usize] = function.clone();
                self.are_own[number.0 as usize] = function.is_of_application();
                number
            }
            None => {
                list.push(function.clone());
                self.are_own.push(function.is_of_application());
                FunctionId(list.len() as u32 - 1)
            }
        };
        self.numbers.insert(function.clone(), number);
        number
    }

    /// Gives the numbers away that no process used, now and the last time: the requests that had them are handed out by
    /// then.
    pub fn keep(&mut self, used: &HashSet<FunctionId>) {
        let unused: HashSet<FunctionId> =
            self.numbers.values().copied().filter(|number| !used.contains(number)).collect();
        let gone: HashSet<FunctionId> = unused.intersection(&self.unused).copied().collect();
        self.numbers.retain(|_, number| !gone.contains(number));
        self.unused = unused.difference(&gone).copied().collect();
        self.free.extend(gone);
    }

    /// All of them, by number.
    pub fn list(&self) -> Arc<Vec<Function>> {
        self.list.clone()
    }

    /// The innermost of the application's own.
    fn of_application(&self, stack: &[FunctionId]) -> Option<FunctionId> {
        stack.iter().copied().find(|number| self.are_own[number.0 as usize])
    }

    /// The function of a number that this gave.
    fn get(&self, number: FunctionId) -> &Function {
        &self.list[number.0 as usize]
    }
}

/// What threads of a process ran lately.
#[derive(Clone, Debug, Default)]
pub struct Samples(VecDeque<Sampled>);

#[derive(Clone, Copy, Debug)]
struct Sampled {
    at_ns: u64,
    tid: u32,
    function: FunctionId,
    /// It did not run, but began to wait.
    waits: bool,
    /// The time that it stands for; of a wait once that is over.
    length_ns: u64,
}

impl Samples {
    /// The function that ran most often between two instants on another thread, and on which.
    pub fn most_elsewhere(&self, start_ns: u64, end_ns: u64, tid: u32) -> Option<(FunctionId, u32)> {
        self.most(start_ns, end_ns, |sampled| sampled.tid != tid && !sampled.waits)
    }

    /// The function that a thread ran longest between two instants, or waited in.
    fn most_on(&self, start_ns: u64, end_ns: u64, tid: u32) -> Option<FunctionId> {
        self.most(start_ns, end_ns, |sampled| sampled.tid == tid).map(|(function, _)| function)
    }

    fn most(
        &self,
        start_ns: u64,
        end_ns: u64,
        is_meant: impl Fn(&Sampled) -> bool,
    ) -> Option<(FunctionId, u32)> {
        let mut lengths_ns: HashMap<(FunctionId, u32), u64> = HashMap::default();
        let since = self.0.iter().rev().take_while(|sampled| sampled.at_ns >= start_ns);
        for sampled in since.filter(|sampled| sampled.at_ns <= end_ns && is_meant(sampled)) {
            let length_ns = lengths_ns.entry((sampled.function, sampled.tid)).or_default();
            *length_ns = length_ns.saturating_add(sampled.length_ns);
        }
        lengths_ns.into_iter().max_by_key(|(of, length_ns)| (*length_ns, *of)).map(|(of, _)| of)
    }

    /// A thread's wait that began then is over.
    pub fn waited(&mut self, tid: u32, out_ns: u64, in_ns: u64) {
        let since = self.0.iter_mut().rev().take_while(|sampled| sampled.at_ns >= out_ns);
        let mut began = since.filter(|sampled| sampled.tid == tid && sampled.at_ns == out_ns);
        if let Some(wait) = began.find(|sampled| sampled.waits) {
            wait.length_ns = in_ns.saturating_sub(out_ns);
        }
    }

    fn push(&mut self, sampled: Sampled) {
        if self.0.len() >= HISTORY {
            self.0.pop_front();
        }
        self.0.push_back(sampled);
    }
}

/// What waits for work in a pool, or for anything that others say: Lib/threading.py, Lib/queue.py,
/// Lib/concurrent/futures/thread.py, Lib/multiprocessing/pool.py; gevent's threads, src/gevent/_threading.py.
fn waits_for_work(function: &Function) -> bool {
    is_one_of(
        function,
        &[
            ("wait", "/threading.py"),
            ("get", "/queue.py"),
            ("_worker", "/concurrent/futures/thread.py"),
            ("worker", "/multiprocessing/pool.py"),
            ("wait", "/gevent/_threading.py"),
            ("acquire_with_timeout", "/gevent/_threading.py"),
        ],
    )
}

/// What has the interpreter make a thread, as all that is made by `threading`.
fn starts_threads(function: &Function) -> bool {
    is_one_of(function, &[("start", "/threading.py")])
}

/// What makes the workers of a pool, which other requests use too.
fn makes_workers(function: &Function) -> bool {
    is_one_of(
        function,
        &[
            ("_adjust_thread_count", "/concurrent/futures/thread.py"),
            ("_repopulate_pool_static", "/multiprocessing/pool.py"),
            ("__init__", "/multiprocessing/pool.py"),
        ],
    )
}

/// What the function gives that sets the result which a task waits for.
fn sets(function: &Function) -> Sets {
    // Lib/asyncio/locks.py and Lib/asyncio/queues.py, 3.8 to 3.15; anyio 3 and 4, src/anyio/_backends/_asyncio.py.
    let turns = [
        ("_wake_up_first", "/asyncio/locks.py"),
        ("_wake_up_next", "/asyncio/locks.py"),
        ("release", "/anyio/_backends/_asyncio.py"),
    ];
    if is_one_of(function, &turns) {
        Sets::Turn
    } else if is_one_of(function, &[("_wakeup_next", "/asyncio/queues.py")]) {
        Sets::Job
    } else {
        Sets::Result
    }
}

pub fn is_one_of(function: &Function, known: &[(&str, &str)]) -> bool {
    let name = function.name.rsplit('.').next().unwrap_or_default();
    known.iter().any(|(of, file)| name == *of && function.file.ends_with(file))
}

impl Model {
    pub(super) fn code_found(&mut self, tgid: u32, address: u64, function: &Function) {
        let number = self.functions.number(function);
        let codes = &mut self.process(tgid).codes;
        if codes.len() >= CODES {
            codes.clear();
        }
        codes.insert(address, number);
    }

    /// A thread runs these code objects, the innermost first, or collects garbage in them.
    pub(super) fn sampled(&mut self, at_ns: u64, tgid: u32, tid: u32, frames: &[u64], collects: bool) {
        let length_ns = sample_ns(self.samples_per_second);
        let Some(process) = self.processes.get_mut(&tgid) else { return };
        let stack = process.stack(frames);
        let is_python = |number: &&FunctionId| !self.functions.get(**number).is_native();
        let Some(innermost) = stack.iter().find(is_python).copied() else { return };
        let function = self.functions.of_application(&stack).unwrap_or(innermost);
        process.samples.push(Sampled { at_ns, tid, function, waits: false, length_ns });
        let told = self.threads.get(&tid).map_or(OnCpu::Python, Thread::on_cpu_cause);
        let samples_tell = process.facts.as_ref().is_some_and(|facts| facts.samples(Bucket::PythonGc));
        let cause = if collects && samples_tell {
            OnCpu::Gc
        } else if told == OnCpu::Python && is_import(stack.iter().map(|number| self.functions.get(*number))) {
            // No probe tells of it, or not of what `importlib.import_module()` itself loads.
            OnCpu::Import
        } else {
            told
        };
        if let Some(request) = self.works_for(tgid, tid).and_then(|id| self.requests.get_mut(id)) {
            request.ran(at_ns, cause, &stack);
        }
    }

    pub(super) fn bucket_is_sampled(&mut self, tgid: u32, bucket: &str) {
        let known = self.facts.get_mut(&tgid).map(|known| &mut known.facts);
        let process = self.processes.get_mut(&tgid).and_then(|process| process.facts.as_mut());
        known.into_iter().chain(process).for_each(|facts| facts.is_sampled(bucket));
    }

    /// The function of the first of code objects, where it is known.
    fn innermost(&self, tgid: u32, frames: &[u64]) -> Option<&Function> {
        let number = self.processes.get(&tgid)?.codes.get(frames.first()?)?;
        Some(self.functions.get(*number))
    }

    /// A thread is about to sleep. In a futex that is for a lock, unless these wait for something to do.
    pub(super) fn waiting(&mut self, at_ns: u64, tgid: u32, tid: u32, frames: &[u64]) {
        let at_lock = self.innermost(tgid, frames).is_some_and(|function| !waits_for_work(function));
        let process = self.processes.entry(tgid).or_default();
        process.tells_waits = true;
        let stack = process.stack(frames);
        let on = self.take_stream(tgid, tid, at_ns);
        let is_asked = on.is_some_and(|on| {
            // These frames need not go out as far as the application is.
            self.works_on_stream((tgid, tid), self.acts_for(tgid, tid), on, self.worker(tid), &[])
        });
        let process = self.processes.entry(tgid).or_default();
        if let Some(function) = self.functions.of_application(&stack) {
            process.samples.push(Sampled { at_ns, tid, function, waits: true, length_ns: 0 });
        }
        let thread = self.thread(tgid, tid);
        thread.at_lock = at_lock;
        thread.runs_python = true;
        thread.waits_in = (at_ns, stack);
        thread.reads_in_turn = is_asked;
    }

    /// A thread is about to make another one, or a greenlet.
    pub(super) fn creating(&mut self, tgid: u32, tid: u32, frames: &[u64]) {
        let codes = self.processes.get(&tgid).map(|process| &process.codes);
        let mut functions = frames.iter().filter_map(|address| codes?.get(address));
        let makes_worker = functions.any(|number| makes_workers(self.functions.get(*number)));
        let starts_python = self.innermost(tgid, frames).is_some_and(starts_threads);
        let thread = self.thread(tgid, tid);
        thread.makes_worker = makes_worker;
        thread.starts_python = starts_python;
    }

    /// A thread is about to send the head of a request.
    pub(super) fn asking(&mut self, tgid: u32, tid: u32, places: &[event::Place]) {
        let codes = self.processes.get(&tgid).map(|process| &process.codes);
        let place =
            |place: &event::Place| Some(Place { function: *codes?.get(&place.code)?, line: place.line });
        let places = places.iter().filter_map(place).collect();
        self.thread(tgid, tid).asking = places;
    }

    /// A thread is about to set the result that a task waits for.
    pub(super) fn setting(&mut self, tgid: u32, tid: u32, frames: &[u64]) {
        let sets = self.innermost(tgid, frames).map_or(Sets::Result, sets);
        self.thread(tgid, tid).sets = sets;
    }

    /// A worker ran for a request on a thread: what it ran shows as far as samples fell into it.
    pub(super) fn stepped(&mut self, id: RequestId, worker: Worker, tid: u32, span: Span) {
        let tgid = self.threads.get(&tid).map(|thread| thread.tgid);
        let samples = tgid.and_then(|tgid| self.processes.get(&tgid)).map(|process| &process.samples);
        let ran = samples.and_then(|samples| samples.most_on(span.start_ns, span.end_ns, tid));
        if let Some(request) = self.requests.get_mut(id) {
            request.stepped(worker, tid, span, ran);
        }
    }
}
