//! The host's side: capabilities, kernel, BTF, the probes, perf events, the embedded object.

use std::{fs, path::Path};

use tracer_ebpf::{limits::SAMPLES_PER_SECOND, settings::reading};

use super::{Prerequisite, Status};
use crate::attach::{
    kernel_btf,
    load::{LoadError, Probes},
    support::{ProbeSupport, Support, TRACEPOINTS, Tracepoint},
};

/// What was read of the host; judged by [`prerequisites`], which reads nothing.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Effective capabilities of this process, a bit each.
    pub capabilities: u64,
    /// As from `uname -r`.
    pub release: String,
    pub has_btf: bool,
    pub has_object: bool,
    /// What became of each probe when all were loaded; `None` where something else that is missing kept them from it.
    pub probes: Option<Result<Vec<ProbeSupport>, Refused>>,
    pub perf_event_paranoid: Option<i32>,
}

/// Why the probes could not be loaded.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The one that is required and refused, or [`PROBES`].
    pub probe: &'static str,
    pub reason: String,
    pub fix: &'static str,
}

/// A capability, by its bit of `CapEff` (include/uapi/linux/capability.h).
struct Capability {
    name: &'static str,
    bit: u32,
    /// What it is needed to do.
    why: &'static str,
    is_required: bool,
}

const fn required(name: &'static str, bit: u32, why: &'static str) -> Capability {
    Capability { name, bit, why, is_required: true }
}

const CAPABILITIES: [Capability; 5] = [
    required("CAP_BPF", CAP_BPF, "load the probes"),
    required("CAP_PERFMON", CAP_PERFMON, "attach them and read kernel memory"),
    required("CAP_SYS_PTRACE", 19, "read the memory and maps of other users' processes"),
    required("CAP_DAC_READ_SEARCH", 2, "open their executables"),
    // Without it all is seen but processes whose executable or library was replaced under them, as by an update.
    Capability {
        name: "CAP_CHECKPOINT_RESTORE",
        bit: CAP_CHECKPOINT_RESTORE,
        why: "open executables that were deleted or replaced",
        is_required: false,
    },
];

const CAP_BPF: u32 = 39;
const CAP_PERFMON: u32 = 38;
const CAP_CHECKPOINT_RESTORE: u32 = 40;

/// Has all that `CAP_BPF`, `CAP_PERFMON` and `CAP_CHECKPOINT_RESTORE` give.
const CAP_SYS_ADMIN: u32 = 21;

/// All probes, where none could be loaded.
const PROBES: &str = "probes";

const NEWER_KERNEL: &str = "boot a newer kernel: apt-get install linux-image-amd64";

/// The eBPF object that the build embedded; empty where there was none.
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tracer-ebpf.o"));

/// The smallest ring that every kernel takes, also those of larger pages: nothing is traced.
const RING_BYTES: u32 = 64 << 10;

impl Facts {
    /// What cannot be read counts as not there.
    pub fn read() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut facts = Facts {
            capabilities: effective_capabilities(&read("/proc/self/status")).unwrap_or_default(),
            release: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            has_btf: Path::new(kernel_btf::VMLINUX).exists(),
            has_object: !OBJECT.is_empty(),
            probes: None,
            perf_event_paranoid: read("/proc/sys/kernel/perf_event_paranoid").trim().parse().ok(),
        };
        if facts.can_load() {
            facts.probes = Some(load_probes());
        }
        facts
    }

    fn can_load(&self) -> bool {
        self.has_object && self.has_btf && self.has(CAP_BPF) && self.has(CAP_PERFMON)
    }

    fn has(&self, capability: u32) -> bool {
        let stands_in = matches!(capability, CAP_PERFMON | CAP_BPF | CAP_CHECKPOINT_RESTORE)
            && self.capabilities & (1 << CAP_SYS_ADMIN) != 0;
        self.capabilities & (1 << capability) != 0 || stands_in
    }
}

/// Judges the facts: everything that tracing needs, whether it is there or not.
pub fn prerequisites(facts: &Facts) -> Vec<Prerequisite> {
    let mut all: Vec<Prerequisite> = CAPABILITIES.iter().map(|wanted| capability(wanted, facts)).collect();
    all.extend([kernel(&facts.release), btf(facts.has_btf), object(facts.has_object)]);
    match &facts.probes {
        Some(Ok(probes)) => all.extend(probes.iter().map(probe)),
        Some(Err(refused)) => all.push(refused_probe(refused)),
        None => all.push(unchecked_probes(facts)),
    }
    all.push(perf_events(facts));
    all
}

/// One that is there as needed; the checks below take it from there.
fn prerequisite(name: &str, holds: bool, found: &str, needed: &str, fix: &str) -> Prerequisite {
    Prerequisite {
        name: name.to_owned(),
        status: if holds { Status::Ok } else { Status::Missing },
        required: true,
        found: found.to_owned(),
        needed: needed.to_owned(),
        buckets: Vec::new(),
        fix: (!holds).then(|| fix.to_owned()),
    }
}

fn capability(wanted: &Capability, facts: &Facts) -> Prerequisite {
    let held = facts.has(wanted.bit);
    let found = if held { "held" } else { "not held" };
    let needed = format!("to {}", wanted.why);
    let mut capability = prerequisite(wanted.name, held, found, &needed, "sudo tracer record");
    capability.required = wanted.is_required;
    capability
}

/// 5.8 has the ring buffer and the capabilities; 5.10 is the oldest that is tested.
fn kernel(release: &str) -> Prerequisite {
    let holds = version(release).is_some_and(|version| version >= (5, 10));
    let found = if release.is_empty() { "unknown" } else { release };
    prerequisite("kernel", holds, found, "5.10 or newer", NEWER_KERNEL)
}

fn btf(exists: bool) -> Prerequisite {
    let found = if exists { "/sys/kernel/btf/vmlinux" } else { "no /sys/kernel/btf/vmlinux" };
    let fix = "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y: apt-get install linux-image-amd64";
    prerequisite("BTF", exists, found, "the kernel's types", fix)
}

fn object(embedded: bool) -> Prerequisite {
    let found = if embedded { "embedded" } else { "not embedded" };
    prerequisite("eBPF object", embedded, found, "the probes, compiled", "cargo xtask build")
}

/// Loads and attaches the probes, as nothing else tells whether the kernel takes them; they trace nothing.
fn load_probes() -> Result<Vec<ProbeSupport>, Refused> {
    match Probes::load(RING_BYTES, reading::BODIES, SAMPLES_PER_SECOND, false) {
        Ok((probes, _)) => Ok(probes.support().to_vec()),
        Err(LoadError::Required { probe, reason }) => Err(Refused { probe, reason, fix: NEWER_KERNEL }),
        Err(LoadError::NotPermitted(reason)) => {
            Err(Refused { probe: PROBES, reason, fix: "sudo tracer check" })
        }
        // What the error itself says to do is this check.
        Err(LoadError::Object(reason)) => Err(Refused { probe: PROBES, reason, fix: NEWER_KERNEL }),
        Err(error) => Err(Refused { probe: PROBES, reason: error.to_string(), fix: NEWER_KERNEL }),
    }
}

fn probe(found: &ProbeSupport) -> Prerequisite {
    let required =
        TRACEPOINTS.iter().any(|Tracepoint { name, is_required, .. }| *name == found.probe && *is_required);
    let needed = if required { "always" } else { "for the buckets it fills" };
    let (status, text) = match &found.support {
        Support::Available => (Status::Ok, "there"),
        Support::Fallback(what) => (Status::Fallback, what.as_str()),
        Support::Missing(reason) => (Status::Missing, reason.as_str()),
    };
    let mut probe = prerequisite(found.probe, status != Status::Missing, text, needed, NEWER_KERNEL);
    probe.status = status;
    probe.required = required;
    probe.buckets = found.buckets.iter().map(|&bucket| bucket.to_owned()).collect();
    probe
}

fn refused_probe(Refused { probe, reason, fix }: &Refused) -> Prerequisite {
    prerequisite(probe, false, reason, "always", fix)
}

fn unchecked_probes(facts: &Facts) -> Prerequisite {
    let fix = if facts.has_object { "sudo tracer check" } else { "cargo xtask build" };
    let mut probes = prerequisite(PROBES, false, "not loaded", "always", fix);
    probes.status = Status::Unchecked;
    probes
}

/// 3 and more is a distribution's own level, at which even `CAP_PERFMON` may not be enough.
fn perf_events(facts: &Facts) -> Prerequisite {
    let level = facts.perf_event_paranoid;
    let holds = level.is_some_and(|level| level <= 2) || facts.has(CAP_SYS_ADMIN);
    let found = level.map_or_else(|| "unknown".to_owned(), |level| level.to_string());
    let fix = "sysctl kernel.perf_event_paranoid=2";
    let mut perf = prerequisite("perf_event_paranoid", holds, &found, "2 or less, or CAP_SYS_ADMIN", fix);
    perf.required = false;
    perf.buckets = ["python.gc", "python.import"].map(str::to_owned).to_vec();
    perf
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Facts {
        Facts {
            capabilities: u64::MAX,
            release: "6.1.0-28-amd64".to_owned(),
            has_btf: true,
            has_object: true,
            probes: Some(Ok(TRACEPOINTS
                .iter()
                .map(|tracepoint| support(tracepoint.name, Support::Available))
                .collect())),
            perf_event_paranoid: Some(2),
        }
    }

    fn support(probe: &'static str, support: Support) -> ProbeSupport {
        ProbeSupport { probe, support, buckets: &[] }
    }

    fn status(facts: &Facts, name: &str) -> (Status, Option<String>) {
        let found = prerequisites(facts).into_iter().find(|item| item.name == name).unwrap();
        (found.status, found.fix)
    }

    #[test]
    fn with_everything_there_nothing_is_to_be_fixed() {
        assert!(prerequisites(&root()).iter().all(|item| item.status == Status::Ok && item.fix.is_none()));
    }

    #[test]
    fn with_nothing_there_each_gap_ends_in_a_fix() {
        assert!(
            prerequisites(&Facts::default())
                .iter()
                .all(|item| item.status != Status::Ok && item.fix.is_some())
        );
    }

    #[test]
    fn a_capability_is_missed_by_name_and_sys_admin_stands_in() {
        let mut facts = Facts { capabilities: !(1 << 39) & !(1 << CAP_SYS_ADMIN), ..root() };
        assert_eq!(status(&facts, "CAP_BPF").0, Status::Missing);
        assert_eq!(status(&facts, "CAP_PERFMON").0, Status::Ok);
        facts.capabilities |= 1 << CAP_SYS_ADMIN;
        assert_eq!(status(&facts, "CAP_BPF").0, Status::Ok);
    }

    #[test]
    fn each_is_in_the_documents() {
        for document in [include_str!("../../../README.md"), include_str!("../../../docs/operations.md")] {
            let mut names = CAPABILITIES.iter().map(|capability| capability.name);
            assert_eq!(names.find(|name| !document.contains(name)), None);
        }
    }

    #[test]
    fn a_fallback_is_named_and_no_gap() {
        let stand_in = support("sk_data_ready", Support::Fallback("tcp_probe stands in".to_owned()));
        let facts = Facts { probes: Some(Ok(vec![stand_in])), ..root() };
        assert_eq!(status(&facts, "sk_data_ready"), (Status::Fallback, None));
    }

    #[test]
    fn probes_that_were_not_loaded_are_not_called_missing() {
        let nobody = Facts { capabilities: 0, probes: None, ..root() };
        assert_eq!(status(&nobody, "probes"), (Status::Unchecked, Some("sudo tracer check".to_owned())));
        let refused = Refused { probe: "sched_switch", reason: "refused".to_owned(), fix: NEWER_KERNEL };
        let facts = Facts { probes: Some(Err(refused)), ..root() };
        assert_eq!(status(&facts, "sched_switch").0, Status::Missing);
    }

    #[test]
    fn texts_of_the_kernel_are_read() {
        assert_eq!(version("5.10.0-33-amd64"), Some((5, 10)));
        assert_eq!(version("6.18"), Some((6, 18)));
        assert_eq!(version("6.0-rc1"), Some((6, 0)));
        assert_eq!(version("new"), None);
        assert_eq!(effective_capabilities("Name:\tx\nCapEff:\t00000000000000ff\n"), Some(0xff));
        assert_eq!(effective_capabilities(""), None);
    }
}
