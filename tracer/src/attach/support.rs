//! What this kernel gives of each probe.

/// A probe, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSupport {
    /// Name of the tracepoint, [`UPROBES`] or [`SAMPLES`].
    pub probe: &'static str,
    pub support: Support,
    /// Names of the buckets that are unknown without it.
    pub buckets: &'static [&'static str],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    Available,
    /// Something else stands in; what, and what that costs.
    Fallback(String),
    /// It is not there, and why.
    Missing(String),
}

/// All points in CPython and in libraries.
pub const UPROBES: &str = "uprobes";
/// The timers that sample stacks.
pub const SAMPLES: &str = "samples";
/// Tells arrivals from 6.3 on; [`ARRIVALS_FALLBACK`] does before, for TCP alone.
pub const ARRIVALS: &str = "sk_data_ready";
pub const ARRIVALS_FALLBACK: &str = "tcp_probe";

/// A kernel tracepoint; its program is named after it.
pub struct Tracepoint {
    pub name: &'static str,
    /// Whether nothing is traced without it.
    pub is_required: bool,
    pub buckets: &'static [&'static str],
    /// Where it is met in a state that the kernel may preempt: perf's event of it, by category and name, for which there is
    /// another program, `perf_` before its name.
    pub perf: Option<(&'static str, &'static str)>,
}

/// Every tracepoint that has a program.
pub const TRACEPOINTS: [Tracepoint; 9] = [
    required("sched_switch"),
    required("sys_enter").or_perf("raw_syscalls", "sys_enter"),
    required("sys_exit").or_perf("raw_syscalls", "sys_exit"),
    required("sched_process_fork").or_perf("task", "task_newtask"),
    required("sched_process_exit").or_perf("sched", "sched_process_exit"),
    optional("sched_process_exec", &[]).or_perf("sched", "sched_process_exec"),
    optional("sched_waking", &["wait.runqueue"]),
    optional("inet_sock_set_state", &["llm.connect"]),
    optional(ARRIVALS, &["llm.first_byte", "llm.stream", "wait.loop"]),
];

/// Buckets that are unknown without [`UPROBES`].
pub const UPROBE_BUCKETS: &[&str] = &["wait.loop", "wait.executor", "python.gc", "python.import"];

const fn required(name: &'static str) -> Tracepoint {
    Tracepoint { name, is_required: true, buckets: &[], perf: None }
}

const fn optional(name: &'static str, buckets: &'static [&'static str]) -> Tracepoint {
    Tracepoint { name, is_required: false, buckets, perf: None }
}

impl Tracepoint {
    const fn or_perf(self, category: &'static str, event: &'static str) -> Tracepoint {
        Tracepoint { perf: Some((category, event)), ..self }
    }
}
