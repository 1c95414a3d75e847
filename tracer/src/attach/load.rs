//! The probes in the kernel: loaded, attached, and told what to trace.

use std::{fs::File, io};

use aya::{
    Btf, Ebpf, EbpfError, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, MapError, RingBuf},
    programs::perf_event::{PerfEvent, PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent},
    util::online_cpus,
};
use tracer_ebpf::{
    event::kind,
    limits,
    settings::{KernelOffsets, PythonLayout, StreamMethod, traced, watch},
};

use super::{
    counts::Counts,
    fill::{self, Fill},
    functions::FunctionCounter,
    kernel_btf::{self, BtfError},
    link::{AttachError, Attached, UprobePoint, Uprobes},
    program::Programs,
    support::{ProbeSupport, SAMPLES, Support, UPROBE_BUCKETS, UPROBES},
    tracepoint,
    uprobe::{POINTS, Way},
};
use crate::{
    ingest::{Reader, decode},
    python::http2,
};

/// The object that `cargo xtask build` compiled; empty without it.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf.o"));

/// How a kind of loss begins that is no event's.
pub const MISSED: &str = "missed_";

/// The program of the CPUs' timers.
const SAMPLER: &str = "sample";

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("this binary was built without probes: run `cargo xtask build`")]
    NotBuilt,
    #[error("loading probes is not permitted ({0}): needs CAP_BPF and CAP_PERFMON; run with sudo")]
    NotPermitted(String),
    #[error(transparent)]
    Btf(#[from] BtfError),
    #[error("loading the probes failed: {0}; `tracer check` lists what the kernel lacks")]
    Object(String),
    #[error(
        "probe `{probe}` is required but not available: {reason}; `tracer check` lists what the kernel lacks"
    )]
    Required { probe: &'static str, reason: String },
    #[error("the eBPF object has no {0}: build the tracer again with `cargo xtask build`")]
    Incomplete(String),
}

/// Loaded and attached probes. Dropping them detaches all.
pub struct Probes {
    traced: HashMap<MapData, u32, u32>,
    watch: Array<MapData, u32>,
    layouts: HashMap<MapData, u32, Layout>,
    /// By kind of event.
    drops: Counts<{ kind::LIMIT as usize }>,
    listen_ports: HashMap<MapData, u16, u8>,
    uprobes: Result<Uprobes, String>,
    /// `None` where functions are not counted.
    functions: Option<FunctionCounter>,
    support: Vec<ProbeSupport>,
    /// `None` where stacks are not sampled.
    samples_per_second: Option<u32>,
    /// Holds the tracepoint programs and their links.
    ebpf: Ebpf,
}

impl Probes {
    /// Loads and attaches all kernel probes, with a ring buffer of so many bytes, a power of two and a multiple of the page
    /// size. `reading` is one of [`tracer_ebpf::settings::reading`]; of each CPU so many samples are taken in a second that it is
    /// used. With `counts_functions` there is room for [`Probes::functions`]. Nothing is traced yet.
    pub fn load(
        ring_bytes: u32,
        reading: u32,
        samples_per_second: u32,
        counts_functions: bool,
    ) -> Result<(Probes, Reader), LoadError> {
        if OBJECT.is_empty() {
            return Err(LoadError::NotBuilt);
        }
        let offsets = kernel_btf::kernel_offsets()?;
        raise_memlock();
        let mut ebpf = EbpfLoader::new()
            .override_global("OFFSETS", bytes_of(&offsets), true)
            .override_global("READING", &reading, true)
            .map_max_entries("EVENTS", ring_bytes)
            .map_max_entries("FUNCTIONS", if counts_functions { limits::FUNCTIONS } else { 1 })
            .load(OBJECT)
            .map_err(load_error)?;
        #[cfg(feature = "log")]
        print_log(&mut ebpf);
        let btf = kernel_types()?;
        let uprobes = Programs::new(OBJECT, &ebpf, &btf)
            .and_then(|programs| Way::choose(programs, POINTS))
            .map(Uprobes::new);
        let functions = counts_functions.then(|| FunctionCounter::load(&mut ebpf, &btf)).transpose()?;
        let mut support = tracepoint::attach_all(&mut ebpf, &btf)?;
        support.push(ProbeSupport {
            probe: UPROBES,
            support: match uprobes.as_ref().map(Uprobes::fallback) {
                Ok(None) => Support::Available,
                Ok(Some(what)) => Support::Fallback(what.to_owned()),
                Err(reason) => Support::Missing(reason.clone()),
            },
            buckets: UPROBE_BUCKETS,
        });
        let sampler = attach_sampler(&mut ebpf, samples_per_second);
        let samples_per_second = sampler.is_ok().then_some(samples_per_second);
        support.push(ProbeSupport {
            probe: SAMPLES,
            support: sampler.map_or_else(Support::Missing, |()| Support::Available),
            buckets: &[],
        });
        let ring = RingBuf::try_from(take(&mut ebpf, "EVENTS")?).map_err(map_error)?;
        let probes = Probes {
            traced: HashMap::try_from(take(&mut ebpf, "TRACED")?).map_err(map_error)?,
            watch: Array::try_from(take(&mut ebpf, "WATCH")?).map_err(map_error)?,
            layouts: HashMap::try_from(take(&mut ebpf, "LAYOUTS")?).map_err(map_error)?,
            drops: Counts::new(take(&mut ebpf, "DROPS")?)
                .map_err(|error| LoadError::Object(format!("reading the map `DROPS`: {error}")))?,
            listen_ports: HashMap::try_from(take(&mut ebpf, "LISTEN_PORTS")?).map_err(map_error)?,
            uprobes,
            functions,
            support,
            samples_per_second,
            ebpf,
        };
        Ok((probes, Reader::new(ring)))
    }

    /// What became of each probe.
    pub fn support(&self) -> &[ProbeSupport] {
        &self.support
    }

    /// How often stacks are sampled; `None` where they are not.
    pub fn samples_per_second(&self) -> Option<u32> {
        self.samples_per_second
    }

    /// What counts functions, where that was asked for.
    pub fn functions(&self) -> Option<&FunctionCounter> {
        self.functions.as_ref()
    }

    /// Traces a process, and with `inherit` also every process that it makes. Fails when
    /// [`tracer_ebpf::limits::PROCESSES`] are traced already.
    pub fn trace(&mut self, tgid: u32, inherit: bool) -> Result<(), MapError> {
        let flags = if inherit { traced::EMIT | traced::INHERIT } else { traced::EMIT };
        self.traced.insert(tgid, flags, 0)
    }

    /// Stops tracing a process; one that is not traced is no error.
    pub fn untrace(&mut self, tgid: u32) -> Result<(), MapError> {
        match self.traced.remove(&tgid) {
            Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Processes that are traced now, also those that were made by traced ones.
    pub fn traced(&self) -> Vec<u32> {
        self.traced.keys().filter_map(Result::ok).collect()
    }

    /// Whether a process is traced: it was meant, or the one that made it is.
    pub fn is_traced(&self, tgid: u32) -> bool {
        self.traced.get(&tgid, 0).is_ok()
    }

    /// Whether the start of every program is told, to find those that run Python.
    pub fn watch_exec(&mut self, on: bool) -> Result<(), MapError> {
        self.watch.set(0, if on { watch::EXEC } else { 0 }, 0)
    }

    /// Whether points can be attached in one process alone: from 6.6 on.
    pub fn can_choose(&self) -> bool {
        self.uprobes.as_ref().is_ok_and(Uprobes::can_choose)
    }

    /// Attaches points of a binary, in one process or in all of them; only traced ones give events.
    pub fn attach(
        &self,
        file: &File,
        points: &[UprobePoint],
        tgid: Option<u32>,
    ) -> Result<Attached, AttachError> {
        match &self.uprobes {
            Ok(programs) => programs.attach(file, points, tgid),
            Err(reason) => Err(AttachError::NotLoaded(reason.clone())),
        }
    }

    /// Tells where a traced process keeps CPython's frames, for samples of it.
    pub fn set_layout(&mut self, tgid: u32, layout: PythonLayout) -> Result<(), MapError> {
        self.layouts.insert(tgid, Layout(layout), 0)
    }

    /// Tells of a method of such a process that it works for streams of HTTP/2. Those beyond
    /// [`STREAM_METHODS`](tracer_ebpf::settings::STREAM_METHODS) are left out.
    pub fn add_stream_method(&mut self, tgid: u32, method: &http2::StreamMethod) -> Result<(), MapError> {
        let Layout(mut layout) = self.layouts.get(&tgid, 0)?;
        let stream = layout.streams.first_local + 8 * method.local;
        let known = layout.streams.methods.iter().any(|known| known.code == method.code);
        let free = layout.streams.methods.iter_mut().find(|known| known.code == 0);
        match free.filter(|_| !known) {
            Some(free) => *free = StreamMethod { code: method.code, stream, reserved: 0 },
            None => return Ok(()),
        }
        self.set_layout(tgid, layout)
    }

    /// Forgets what [`Probes::set_layout`] told.
    pub fn forget_layout(&mut self, tgid: u32) {
        // One that is not there is no error.
        let _ = self.layouts.remove(&tgid);
    }

    /// How full those maps are that do not evict: a system call for each entry.
    pub fn filled(&self) -> Vec<Fill> {
        vec![
            fill::of("TRACED", &self.traced),
            fill::of("LAYOUTS", &self.layouts),
            fill::of("LISTEN_PORTS", &self.listen_ports),
        ]
    }

    /// What was lost since the start, by kind: events that found the ring full, by name of their kind, and behind
    /// [`MISSED`] runs of programs that the kernel left out, by tracepoint, of each of which an event may be missing. Kinds
    /// without loss are left out.
    pub fn losses(&self) -> io::Result<Vec<(String, u64)>> {
        let dropped =
            (0..kind::LIMIT).map(|kind| (decode::kind_name(kind).to_owned(), self.drops.of(kind as usize)));
        let missed = tracepoint::missed_runs(&self.ebpf)?;
        let missed = missed.into_iter().map(|(tracepoint, count)| (format!("{MISSED}{tracepoint}"), count));
        Ok(dropped.chain(missed).filter(|(_, count)| *count != 0).collect())
    }
}

/// Prints what the probes log, from a thread of its own: for the development of probes that were built with the
/// feature `log` as well, and call `aya_log_ebpf`.
#[cfg(feature = "log")]
fn print_log(ebpf: &mut Ebpf) {
    env_logger::init();
    match aya_log::EbpfLogger::init(ebpf) {
        Ok(mut logger) => {
            std::thread::spawn(move || {
                loop {
                    logger.flush();
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
            });
        }
        Err(error) => eprintln!("tracer: the probes log nothing: {error}"),
    }
}

/// The kernel's BTF: read once, as that takes a while.
pub(super) fn kernel_types() -> Result<Btf, LoadError> {
    Btf::from_sys_fs().map_err(|error| LoadError::Object(error.to_string()))
}

/// Starts a timer on every CPU.
fn attach_sampler(ebpf: &mut Ebpf, per_second: u32) -> Result<(), String> {
    let program = ebpf.program_mut(SAMPLER).ok_or_else(|| "not in the eBPF object".to_owned())?;
    let program: &mut PerfEvent = program.try_into().map_err(|error| with_sources(&error))?;
    program.load().map_err(|error| tracepoint::refusal(&error))?;
    for cpu in online_cpus().map_err(|(path, error)| format!("{path}: {error}"))? {
        let clock = PerfEventConfig::Software(SoftwareEvent::CpuClock);
        let everybody = PerfEventScope::AllProcessesOneCpu { cpu };
        program
            .attach(clock, everybody, SamplePolicy::Frequency(per_second.into()), false)
            .map_err(|error| with_sources(&error))?;
    }
    Ok(())
}

/// What the map of layouts holds.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Layout(PythonLayout);

// SAFETY: a struct of integers without padding.
unsafe impl aya::Pod for Layout {}

pub(super) fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map, LoadError> {
    ebpf.take_map(name).ok_or_else(|| LoadError::Incomplete(format!("map `{name}`")))
}

pub(super) fn map_error(error: MapError) -> LoadError {
    LoadError::Object(with_sources(&error))
}

pub(super) fn load_error(error: EbpfError) -> LoadError {
    let text = with_sources(&error);
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::PermissionDenied
        {
            return LoadError::NotPermitted(text);
        }
        source = error.source();
    }
    LoadError::Object(text)
}

/// An error with what caused it, on one line. aya's messages often leave their source out.
pub(super) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

/// Before 5.11 the kernel counts maps as locked memory. Where the limit can't be raised, creating the maps
/// fails and says so.
pub(super) fn raise_memlock() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: reads a struct that outlives the call.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) };
}

pub(super) fn bytes_of(offsets: &KernelOffsets) -> &[u8] {
    // SAFETY: a struct of `u32` alone, so without padding.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(offsets).cast(), size_of::<KernelOffsets>()) }
}
