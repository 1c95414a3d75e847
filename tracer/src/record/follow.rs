//! Finds what runs Python among the traced processes, attaches its points, and tells the model about it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsStr,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use lru::LruCache;
use tracer_ebpf::settings::PythonLayout;

use crate::{
    attach::{fill::Fill, functions::FunctionCounter, load::Probes, support::Support},
    container,
    event::{Body, Event, ProcessFacts, Unknown},
    python::{
        binary::Binary,
        discover, layout,
        library::Library,
        process::{self, Expectation, LoadedLibrary, PythonProcess},
    },
    record::{
        InputSender,
        attachments::Attachments,
        choice::{All, Choice, Chooser},
        functions::Functions,
        newcomers::Newcomers,
        pipeline::{Input, Start, Started, monotonic_ns},
    },
    report::{bucket::Bucket, counts::FunctionCounts},
};

/// How long a program that needs libpython may take to map it.
const MAPPING_TIME: Duration = Duration::from_secs(10);

/// How often it is looked for processes whose end was not told.
const SWEEPING_TIME: Duration = Duration::from_secs(10);

/// Containers that are remembered to have been told of.
const CONTAINERS: NonZeroUsize = NonZeroUsize::new(1_024).expect("it is more than 0");

pub struct Follower {
    probes: Probes,
    input: InputSender,
    /// Whether every new Python process is traced, or only those that a traced one makes.
    is_host: bool,
    /// Which of these are meant.
    chooser: Chooser,
    /// Of the processes that were asked for, if any were, those that live.
    wanted: Option<HashSet<u32>>,
    attachments: Attachments,
    reads_tls: bool,
    /// Processes that have loaded libraries which were not looked at.
    mapped: HashSet<u32>,
    /// Processes whose `_ssl` could not be attached: OpenSSL itself is.
    without_ssl: HashSet<u32>,
    /// Processes that will map Python, and until when they are looked at.
    expected: HashMap<u32, Instant>,
    /// Those whose facts were told, and when. What one of them makes later has the same, for the model too.
    known: HashMap<u32, u64>,
    /// Where the host is traced, those that may have mapped it without that being expected.
    newcomers: Newcomers,
    /// Containers that were told of.
    containers: LruCache<String, ()>,
    /// `None` where functions are not counted.
    functions: Option<Functions>,
    losses: BTreeMap<String, u64>,
    losses_since_ns: u64,
    swept: Instant,
}

impl Follower {
    /// With `reads_tls` the plaintext of TLS sessions is told.
    pub fn new(probes: Probes, input: InputSender, reads_tls: bool) -> Follower {
        let follower = Follower {
            reads_tls,
            probes,
            input,
            is_host: false,
            chooser: Chooser::new(All),
            wanted: None,
            attachments: Attachments::default(),
            mapped: HashSet::new(),
            without_ssl: HashSet::new(),
            expected: HashMap::new(),
            known: HashMap::new(),
            newcomers: Newcomers::default(),
            containers: LruCache::new(CONTAINERS),
            functions: None,
            losses: BTreeMap::new(),
            losses_since_ns: monotonic_ns(),
            swept: Instant::now(),
        };
        if let Some(per_second) = follower.probes.samples_per_second() {
            follower.tell(0, monotonic_ns(), Body::Sampling { per_second });
        }
        follower
    }

    /// Counts how often functions are entered. The probes must have been loaded for that.
    pub fn count(&mut self, functions: Functions) {
        self.functions = Some(functions);
    }

    /// Where functions are counted, has a command's counted from its first.
    pub fn count_from_the_start(&mut self, program: &OsStr) {
        if let Some((functions, counter)) = self.counting() {
            functions.expect(counter, program);
        }
    }

    /// What counts functions, where they are counted.
    fn counting(&mut self) -> Option<(&mut Functions, &FunctionCounter)> {
        self.functions.as_mut().zip(self.probes.functions())
    }

    /// Ends counting functions; gives what was counted.
    pub fn end_counting(&mut self) -> Option<FunctionCounts> {
        Some(self.functions.take()?.finish(self.probes.functions()?))
    }

    /// Traces every Python process of the host that is selected, also those that start later, and what they start.
    pub fn trace_host(&mut self, choice: impl Choice + 'static) -> anyhow::Result<()> {
        self.is_host = true;
        self.chooser = Chooser::new(choice);
        self.probes.watch_exec(true).context("can't watch for new programs")?;
        let there = discover::processes();
        self.newcomers.were_there(&there);
        for tgid in discover::that_map_python(&there) {
            if self.chooser.is_chosen(tgid) {
                self.trace_family(tgid)?;
            }
        }
        Ok(())
    }

    /// Traces a process, and those that it has made or will make.
    pub fn trace_process(&mut self, tgid: u32) -> anyhow::Result<()> {
        self.wanted.get_or_insert_default().insert(tgid);
        self.trace_family(tgid)
    }

    /// Traces a program that is about to start.
    pub fn trace_command(&mut self, tgid: u32) -> anyhow::Result<()> {
        self.trace(tgid)
    }

    /// A process started, or ended.
    pub fn started(&mut self, Started { tgid, by }: Started) {
        match by {
            Start::Exit => {
                if let Some(wanted) = &mut self.wanted {
                    wanted.remove(&tgid);
                }
                self.expected.remove(&tgid);
                self.chooser.ended(tgid);
                // One that ended is no longer in the table of the probes, unless it just was put there.
                let _ = self.probes.untrace(tgid);
                self.program_ended(tgid);
            }
            Start::Fork { parent, at_ns } => self.forked(parent, tgid, at_ns),
            Start::TooFast => self.too_fast(tgid),
            Start::Mapped => drop(self.mapped.insert(tgid)),
            // Without it, whose calls share a connection may be unknown.
            Start::Streams(method) => drop(self.probes.add_stream_method(tgid, &method)),
            Start::Exec => {
                self.program_ended(tgid);
                if self.is_host && !self.may_be_python(tgid) {
                    self.newcomers.started(tgid);
                    return;
                }
                if self.is_host && !self.probes.is_traced(tgid) && !self.chooser.is_chosen(tgid) {
                    return;
                }
                if self.is_host && self.trace(tgid).is_err() {
                    return;
                }
                self.expected.insert(tgid, Instant::now() + MAPPING_TIME);
                self.examine(tgid);
            }
        }
    }

    /// A process is the copy of another one.
    fn forked(&mut self, parent: u32, tgid: u32, at_ns: u64) {
        self.attachments.forked(&self.probes, parent, tgid);
        self.functions.iter_mut().for_each(|functions| functions.forked(parent, tgid));
        if let Some(&told_ns) = self.known.get(&parent).filter(|told_ns| at_ns > **told_ns) {
            self.known.insert(tgid, told_ns);
            return;
        }
        // A server may load Python and make its workers before it was looked at, or while it was: that can take long.
        if let Some(&until) = self.expected.get(&parent) {
            self.expected.insert(tgid, until);
        } else if self.known.contains_key(&parent) {
            self.expected.insert(tgid, Instant::now() + MAPPING_TIME);
            self.examine(tgid);
        }
    }

    /// What held for the program of a process holds no longer.
    fn program_ended(&mut self, tgid: u32) {
        self.probes.forget_layout(tgid);
        self.attachments.ended(tgid);
        self.known.remove(&tgid);
        self.without_ssl.remove(&tgid);
    }

    /// A process takes so many steps that following them slows it down: they are left alone from now on.
    fn too_fast(&mut self, tgid: u32) {
        let Some(others) = self.attachments.detach(&self.probes, tgid) else { return };
        let now_ns = monotonic_ns();
        self.tell(tgid, now_ns, Body::Unfollowed);
        if !others.is_empty() {
            // While their points were attached anew, they may have left steps.
            let body = Body::Loss { kind: "context_exit".to_owned(), count: 1, since_ns: now_ns };
            self.tell(0, now_ns, body);
        }
    }

    /// Looks again at processes that had not mapped Python yet, at those that have loaded libraries, and, where the choice may
    /// have changed its mind, at all.
    pub fn look_again(&mut self) {
        self.choose_again();
        if let Some((functions, counter)) = self.counting() {
            functions.look_again(counter);
        }
        for tgid in std::mem::take(&mut self.mapped) {
            self.attach_libraries(tgid, process::libraries(tgid));
        }
        let now = Instant::now();
        if self.is_host {
            let found = self.newcomers.look(now, |tgid| self.known.contains_key(&tgid));
            for tgid in found {
                if self.chooser.is_chosen(tgid) {
                    // A full table leaves it out.
                    let _ = self.trace_family(tgid);
                }
            }
        }
        self.expected.retain(|_, until| *until > now);
        let expected: Vec<u32> = self.expected.keys().copied().collect();
        for tgid in expected {
            self.examine(tgid);
        }
        if now - self.swept >= SWEEPING_TIME {
            self.swept = now;
            self.sweep();
        }
    }

    /// Forgets processes whose end was not told: it was lost, or came just before they were put into the table of the probes.
    fn sweep(&mut self) {
        self.chooser.sweep();
        let known: HashSet<u32> =
            self.probes.traced().into_iter().chain(self.attachments.processes()).collect();
        for tgid in known.into_iter().filter(|tgid| !discover::is_there(*tgid)) {
            self.started(Started { tgid, by: Start::Exit });
        }
    }

    /// Tells the model how many events were lost since the last time.
    pub fn report_losses(&mut self) {
        let Ok(losses) = self.probes.losses() else { return };
        let now_ns = monotonic_ns();
        for (kind, total) in losses {
            let before = self.losses.insert(kind.clone(), total).unwrap_or(0);
            if total > before {
                let body = Body::Loss { kind, count: total - before, since_ns: self.losses_since_ns };
                self.tell(0, now_ns, body);
            }
        }
        self.losses_since_ns = now_ns;
    }

    /// How full the maps of the probes are.
    pub fn filled(&self) -> Vec<Fill> {
        self.probes.filled()
    }

    /// Whether every process that was asked for has ended.
    pub fn all_ended(&mut self) -> bool {
        let Some(wanted) = &mut self.wanted else { return false };
        // Of one that was gone before it was followed, and of one whose end was lost, nothing tells.
        wanted.retain(|tgid| discover::is_there(*tgid));
        wanted.is_empty()
    }

    /// What a process has made stays traced as what it will make.
    fn trace_family(&mut self, tgid: u32) -> anyhow::Result<()> {
        for tgid in with_descendants(tgid) {
            if !self.probes.is_traced(tgid) {
                self.trace(tgid)?;
            }
            // One that a traced process made is traced, whatever it runs.
            if !self.known.contains_key(&tgid) {
                self.examine(tgid);
            }
        }
        Ok(())
    }

    fn trace(&mut self, tgid: u32) -> anyhow::Result<()> {
        self.probes.trace(tgid, true).with_context(|| format!("can't trace process {tgid}"))
    }

    /// Traces who is meant by now, and leaves who is not any more.
    fn choose_again(&mut self) {
        if !self.chooser.may_differ() {
            return;
        }
        for tgid in self.chooser.choose_again() {
            self.expected.insert(tgid, Instant::now() + MAPPING_TIME);
            if self.trace_family(tgid).is_err() {
                // The table is full.
                self.expected.remove(&tgid);
            }
        }
        for tgid in self.chooser.leave(self.probes.traced()) {
            eprintln!("tracer: process {tgid} is not traced any more: its pod is not meant now");
            self.leave(tgid);
        }
    }

    /// Traces a process no longer. For the model it has ended.
    fn leave(&mut self, tgid: u32) {
        let _ = self.probes.untrace(tgid);
        self.expected.remove(&tgid);
        self.mapped.remove(&tgid);
        self.program_ended(tgid);
        self.tell(tgid, monotonic_ns(), Body::ProcessEnd);
    }

    /// In host mode a new program is looked at before anything is done for it.
    fn may_be_python(&self, tgid: u32) -> bool {
        process::expects_python(tgid).is_ok_and(|expectation| expectation != Expectation::Not)
    }

    /// Attaches what a process maps of Python, and tells its facts.
    fn examine(&mut self, tgid: u32) {
        // A process that died in between has nothing to be told about.
        let Ok(Some(process)) = process::inspect(tgid) else { return };
        let Some(interpreter) = self.attachments.inspect(&process) else { return };
        self.expected.remove(&tgid);
        if let Some((functions, counter)) = self.counting() {
            functions.add(counter, &process);
        }
        // The points rely on it.
        let layout = self.set_layout(&process, &interpreter);
        let reads_contexts = layout.is_some_and(|layout| layout.has_contexts());
        let mut facts: ProcessFacts = process.facts(&interpreter);
        facts.unknown.extend(self.attachments.add(&self.probes, &process, reads_contexts));
        if let Err(reason) = self.attach_module(&process, Library::Queue, &interpreter) {
            facts.unknown.push(Unknown { bucket: Bucket::WaitExecutor.name().to_owned(), reason });
        }
        if let Err(reason) = self.attach_module(&process, Library::Asyncio, &interpreter) {
            eprintln!("tracer: process {tgid}: tasks that wait for each other can't be seen: {reason}");
        }
        for probe in self.probes.support() {
            let Support::Missing(reason) = &probe.support else { continue };
            for bucket in probe.buckets {
                let reason = format!("the kernel does not give `{}`: {reason}", probe.probe);
                facts.unknown.push(Unknown { bucket: (*bucket).to_owned(), reason });
            }
        }
        if self.reads_tls && self.attach_module(&process, Library::Ssl, &interpreter).is_err() {
            self.without_ssl.insert(tgid);
        }
        if let Some(id) = &facts.container_id
            && self.containers.put(id.clone(), ()).is_none()
        {
            self.tell(tgid, monotonic_ns(), Body::Container(Box::new(container::describe(tgid, id))));
        }
        let sampled: Vec<String> = layout
            .filter(|_| self.probes.samples_per_second().is_some())
            .iter()
            .flat_map(layout::sampled)
            .map(|bucket| bucket.name().to_owned())
            .filter(|bucket| facts.unknown.iter().any(|unknown| unknown.bucket == *bucket))
            .collect();
        let told_ns = monotonic_ns();
        self.known.insert(tgid, told_ns);
        self.tell(tgid, told_ns, Body::Process(Box::new(facts)));
        for bucket in sampled {
            self.tell(tgid, monotonic_ns(), Body::Sampled { bucket });
        }
        self.attach_libraries(tgid, process.libraries);
    }

    /// Tells where a process keeps its threads and code; gives what the probes were told.
    fn set_layout(&mut self, process: &PythonProcess, interpreter: &Binary) -> Option<PythonLayout> {
        let Some((frames, code)) = process.layouts(interpreter) else {
            self.probes.forget_layout(process.tgid);
            return None;
        };
        // The thread is gone only when recording has ended.
        let _ = self.input.send(Input::Code(process.tgid, code));
        // A full table leaves the process without samples, as `limits::PROCESSES` says.
        self.probes.set_layout(process.tgid, frames).ok().map(|()| frames)
    }

    /// Attaches a module of the standard library.
    fn attach_module(
        &mut self,
        process: &PythonProcess,
        library: Library,
        interpreter: &Binary,
    ) -> Result<(), String> {
        let file = process.library(library, interpreter)?;
        self.attachments.add_library(&self.probes, process.tgid, library, &file)
    }

    /// Attaches what switches greenlets and hands them work, and OpenSSL, where a process has it loaded. What can't be
    /// attached shows by what the process does.
    fn attach_libraries(&mut self, tgid: u32, loaded: impl IntoIterator<Item = LoadedLibrary>) {
        for (library, file) in loaded {
            let is_needed = match library {
                Library::Ssl => self.reads_tls,
                // Both would tell everything twice.
                Library::Openssl => self.without_ssl.contains(&tgid),
                _ => true,
            };
            if let Some(file) = file.ok().filter(|_| is_needed) {
                let _ = self.attachments.add_library(&self.probes, tgid, library, &file);
            }
        }
    }

    fn tell(&self, tgid: u32, ts_ns: u64, body: Body) {
        // The thread is gone only when recording has ended.
        let _ = self.input.send(Input::Event(Event { ts_ns, tgid, tid: tgid, body }));
    }
}

/// A process and all that it has made, as they are now.
fn with_descendants(tgid: u32) -> Vec<u32> {
    let mut all = vec![tgid];
    let mut next = 0;
    while let Some(&parent) = all.get(next) {
        next += 1;
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{parent}/task")) else { continue };
        for task in tasks.flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    all
}
