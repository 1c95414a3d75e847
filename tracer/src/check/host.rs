//! The host's side: capabilities, kernel, BTF, tracefs and its tracepoints, perf events, the embedded object.

use std::{fs, path::Path};

use super::{Prerequisite, Status};

/// What was read of the host; judged by [`prerequisites`], which reads nothing.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Effective capabilities of this process, a bit each.
    pub capabilities: u64,
    /// As from `uname -r`.
    pub release: String,
    pub has_btf: bool,
    pub has_object: bool,
    /// Whether the directory of tracepoints can be listed.
    pub has_tracefs: bool,
    /// Tracepoints that exist, as `sched:sched_switch`.
    pub tracepoints: Vec<&'static str>,
    pub perf_event_paranoid: Option<i32>,
}

/// Bits of `CapEff` (include/uapi/linux/capability.h), and why each is needed.
const CAPABILITIES: [(&str, u32, &str); 4] = [
    ("CAP_BPF", 39, "load the probes"),
    ("CAP_PERFMON", 38, "attach them and read kernel memory"),
    ("CAP_SYS_PTRACE", 19, "read the memory and maps of other users' processes"),
    ("CAP_DAC_READ_SEARCH", 2, "open their executables and tracefs"),
];

/// Has all that `CAP_BPF` and `CAP_PERFMON` give.
const CAP_SYS_ADMIN: u32 = 21;

/// Tracepoints that are used, whether nothing works without, and the buckets they fill.
const TRACEPOINTS: [(&str, bool, &[&str]); 10] = [
    ("sched:sched_switch", true, &["python.cpu", "wait.*"]),
    ("sched:sched_waking", false, &["wait.runqueue"]),
    ("sched:sched_process_fork", true, &[]),
    ("sched:sched_process_exec", false, &[]),
    ("sched:sched_process_exit", true, &[]),
    ("raw_syscalls:sys_enter", true, &["llm.*", "net.other", "client"]),
    ("raw_syscalls:sys_exit", true, &["llm.*", "net.other", "client"]),
    ("sock:inet_sock_set_state", false, &["llm.connect"]),
    ("tcp:tcp_probe", false, &["llm.first_byte", "llm.stream", "wait.loop"]),
    ("sock:sk_data_ready", false, &[]),
];

/// The eBPF object that the build embedded; empty where there was none.
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tracer-ebpf.o"));

const EVENTS: &str = "/sys/kernel/tracing/events";

impl Facts {
    /// What cannot be read counts as not there.
    pub fn read() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let exists = |name: &str| Path::new(EVENTS).join(name.replace(':', "/")).exists();
        Facts {
            capabilities: effective_capabilities(&read("/proc/self/status")).unwrap_or_default(),
            release: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            has_btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            has_object: !OBJECT.is_empty(),
            has_tracefs: fs::read_dir(EVENTS).is_ok(),
            tracepoints: TRACEPOINTS.into_iter().map(|(name, ..)| name).filter(|name| exists(name)).collect(),
            perf_event_paranoid: read("/proc/sys/kernel/perf_event_paranoid").trim().parse().ok(),
        }
    }

    fn has(&self, capability: u32) -> bool {
        let stands_in = matches!(capability, 38 | 39) && self.capabilities & (1 << CAP_SYS_ADMIN) != 0;
        self.capabilities & (1 << capability) != 0 || stands_in
    }
}

/// Judges the facts: everything that tracing needs, whether it is there or not.
pub fn prerequisites(facts: &Facts) -> Vec<Prerequisite> {
    let mut all: Vec<Prerequisite> =
        CAPABILITIES.iter().map(|(name, bit, why)| capability(name, facts.has(*bit), why)).collect();
    all.extend([kernel(&facts.release), btf(facts.has_btf), object(facts.has_object), tracefs(facts)]);
    all.extend(
        TRACEPOINTS.iter().map(|(name, required, buckets)| tracepoint(facts, name, *required, buckets)),
    );
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

fn capability(name: &str, held: bool, why: &str) -> Prerequisite {
    let found = if held { "held" } else { "not held" };
    prerequisite(name, held, found, &format!("to {why}"), "sudo tracer record")
}

/// 5.8 has the ring buffer and the capabilities; 5.10 is the oldest that is tested.
fn kernel(release: &str) -> Prerequisite {
    let holds = version(release).is_some_and(|version| version >= (5, 10));
    let found = if release.is_empty() { "unknown" } else { release };
    prerequisite(
        "kernel",
        holds,
        found,
        "5.10 or newer",
        "boot a newer kernel: apt-get install linux-image-amd64",
    )
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

fn tracefs(facts: &Facts) -> Prerequisite {
    let found = if facts.has_tracefs { EVENTS } else { "cannot be listed" };
    let mut tracefs = prerequisite(
        "tracefs",
        facts.has_tracefs,
        found,
        "to attach to tracepoints",
        "mount -t tracefs tracefs /sys/kernel/tracing",
    );
    if tracefs.fix.is_some() && !facts.has(2) {
        // It is open to root alone, so it may well be mounted.
        tracefs.status = Status::Unchecked;
        tracefs.fix = Some("sudo tracer check".to_owned());
    }
    tracefs
}

fn tracepoint(facts: &Facts, name: &str, required: bool, buckets: &[&str]) -> Prerequisite {
    let exists = facts.tracepoints.contains(&name);
    let subject = name.split(':').next().unwrap_or_default();
    let (found, fix) = match (exists, facts.has_tracefs) {
        (true, _) => ("there", ""),
        (false, true) => ("not in this kernel", missing_event(subject)),
        (false, false) => ("tracefs cannot be listed", "mount -t tracefs tracefs /sys/kernel/tracing"),
    };
    let needed = if required { "always" } else { "for the buckets it fills" };
    let mut tracepoint = prerequisite(name, exists, found, needed, fix);
    tracepoint.required = required;
    tracepoint.buckets = buckets.iter().map(|&bucket| bucket.to_owned()).collect();
    if !exists && !facts.has_tracefs {
        tracepoint.status = Status::Unchecked;
        tracepoint.fix = tracefs(facts).fix;
    }
    tracepoint
}

fn missing_event(subject: &str) -> &'static str {
    match subject {
        "raw_syscalls" => "boot a kernel built with CONFIG_FTRACE_SYSCALLS=y",
        "sock" | "tcp" => {
            "boot a newer kernel; arrival is then seen by the other of tcp_probe and sk_data_ready"
        }
        _ => "boot a kernel built with CONFIG_TRACEPOINTS=y",
    }
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
            has_tracefs: true,
            tracepoints: TRACEPOINTS.into_iter().map(|(name, ..)| name).collect(),
            perf_event_paranoid: Some(2),
        }
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
    fn tracefs_that_may_not_be_looked_at_is_not_called_missing() {
        let hidden = Facts { capabilities: 0, has_tracefs: false, tracepoints: Vec::new(), ..root() };
        assert_eq!(status(&hidden, "tracefs").0, Status::Unchecked);
        assert_eq!(status(&hidden, "tcp:tcp_probe").1.as_deref(), Some("sudo tracer check"));
        let unmounted = Facts { has_tracefs: false, tracepoints: Vec::new(), ..root() };
        assert_eq!(status(&unmounted, "tracefs").0, Status::Missing);
        assert!(status(&unmounted, "tracefs").1.unwrap().starts_with("mount"));
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
