//! The programs of the kernel's tracepoints: each attached in the way that this kernel needs.

use std::{io, os::fd::AsFd as _};

use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, ProgramError, TracePoint},
    util::KernelVersion,
};
use aya_obj::btf::BtfKind;

use super::{
    load::{LoadError, with_sources},
    support::{ARRIVALS, ARRIVALS_FALLBACK, ProbeSupport, Support, TRACEPOINTS, Tracepoint},
    sys,
};

/// From this version on the kernel may preempt a program of a raw tracepoint (`__bpf_trace_run`, kernel/trace/bpf_trace.c). Until
/// it goes on, every other run of that program on the same CPU is left out: on 7.2, emulated, with an application of 6 requests,
/// 1,300 runs for system calls were. A program of perf's event of the tracepoint runs without preemption on every version, and
/// makes a system call of any process dearer by 77 ns in place of 54 (getppid on 6.18).
const RAW_IS_PREEMPTIBLE_SINCE: (u8, u8, u16) = (7, 0, 0);

/// Before the name of a tracepoint: its program for perf's event.
const PERF: &str = "perf_";

/// Attaches all.
///
/// # Errors
/// When one is missing without which nothing is traced.
pub fn attach_all(ebpf: &mut Ebpf, btf: &Btf) -> Result<Vec<ProbeSupport>, LoadError> {
    TRACEPOINTS
        .iter()
        .map(|tracepoint| match attach(ebpf, tracepoint, btf) {
            Support::Missing(reason) if tracepoint.is_required => {
                Err(LoadError::Required { probe: tracepoint.name, reason })
            }
            support => Ok(ProbeSupport { probe: tracepoint.name, support, buckets: tracepoint.buckets }),
        })
        .collect()
}

fn attach(ebpf: &mut Ebpf, &Tracepoint { name, perf, .. }: &Tracepoint, btf: &Btf) -> Support {
    if let Some((category, event)) = perf.filter(|_| raw_is_preemptible()) {
        return match attach_perf(ebpf, name, category, event) {
            Ok(()) => Support::Available,
            Err(reason) => attach_raw(ebpf, name, btf).map_or_else(Support::Missing, |()| {
                let cost = "a raw tracepoint stands in, of which this kernel leaves runs out under load";
                Support::Fallback(format!("{cost}: {reason}; mount tracefs at /sys/kernel/tracing"))
            }),
        };
    }
    match attach_raw(ebpf, name, btf) {
        Ok(()) => Support::Available,
        Err(reason) if name == ARRIVALS => match attach_raw(ebpf, ARRIVALS_FALLBACK, btf) {
            Ok(()) => Support::Fallback(format!("{ARRIVALS_FALLBACK} stands in, for TCP alone: {reason}")),
            Err(second) => Support::Missing(format!("{reason}; {second}")),
        },
        Err(reason) => Support::Missing(reason),
    }
}

/// Whether this kernel may preempt a program of a raw tracepoint, so that perf's are used.
pub fn raw_is_preemptible() -> bool {
    let (major, minor, patch) = RAW_IS_PREEMPTIBLE_SINCE;
    KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(major, minor, patch))
}

fn attach_raw(ebpf: &mut Ebpf, name: &str, btf: &Btf) -> Result<(), String> {
    let program = ebpf.program_mut(name).ok_or_else(|| "not in the eBPF object".to_owned())?;
    let program: &mut BtfTracePoint = program.try_into().map_err(|error| with_sources(&error))?;
    type_id(name, btf)?;
    program.load(name, btf).map_err(|error| refusal(&error))?;
    program.attach().map_err(|error| with_sources(&error))?;
    Ok(())
}

fn attach_perf(ebpf: &mut Ebpf, name: &str, category: &str, event: &str) -> Result<(), String> {
    let program = ebpf.program_mut(&format!("{PERF}{name}"));
    let program = program.ok_or_else(|| "not in the eBPF object".to_owned())?;
    let program: &mut TracePoint = program.try_into().map_err(|error| with_sources(&error))?;
    program.load().map_err(|error| refusal(&error))?;
    program.attach(category, event).map_err(|error| with_sources(&error))?;
    Ok(())
}

/// The id of a tracepoint's type in the kernel's BTF; the error is a clause for the user.
pub fn type_id(name: &str, btf: &Btf) -> Result<u32, String> {
    btf.id_by_type_name_kind(&format!("btf_trace_{name}"), BtfKind::Typedef)
        .map_err(|_| format!("this kernel has no tracepoint `{name}`"))
}

/// Why the kernel refuses a program: of the verifier's log the end, which may be all of a screen and more.
pub fn refusal(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            format!("{io_error}: {}", sys::tail(&verifier_log.to_string()))
        }
        error => with_sources(error),
    }
}

/// Runs that the kernel left out because it had interrupted one of the same program on that CPU, by tracepoint. Counted from 5.12 on.
pub fn missed_runs(ebpf: &Ebpf) -> io::Result<Vec<(&'static str, u64)>> {
    let mut missed = Vec::new();
    let names = TRACEPOINTS.iter().map(|tracepoint| tracepoint.name);
    for name in names.chain([ARRIVALS_FALLBACK]) {
        for program in [name, &format!("{PERF}{name}")] {
            let loaded = ebpf.program(program).and_then(|program| program.fd().ok());
            if let Some(program) = loaded {
                missed.push((name, sys::recursion_misses(program.as_fd())?));
            }
        }
    }
    Ok(missed)
}
