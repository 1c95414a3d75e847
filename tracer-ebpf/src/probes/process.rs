//! Processes and threads: where they begin, what they run, where they end.

use aya_ebpf::{bindings::BPF_ANY, macros::btf_tracepoint, programs::BtfTracePointContext};
use tracer_ebpf::{
    event::{Fork, kind},
    settings::traced,
};

use crate::{
    connection::now_ns,
    emit::{Ids, emit},
    kernel::{self, offsets, read},
    maps::{LAYOUTS, THREADS, TRACED, Thread},
    thread_state,
};

/// `sched_process_fork(parent, child)`: FORK, for each thread or process that a traced process makes. The
/// child process of one that passes tracing on is traced from here, before its first instruction.
///
/// Cost: 599 ns a run.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn sched_process_fork(ctx: BtfTracePointContext) -> i32 {
    let ids = Ids::current();
    let flags = kernel::flags_of(ids.tgid);
    if flags & traced::EMIT == 0 {
        return 0;
    }
    let child: u64 = ctx.arg(1);
    let at = offsets();
    let (Some(child_tgid), Some(child_tid)) =
        (read::<u32>(child, at.task_tgid), read::<u32>(child, at.task_pid))
    else {
        return 0;
    };
    thread_state::tell_context(ids);
    let now_ns = now_ns();
    let is_process = child_tgid != ids.tgid;
    if is_process && flags & traced::INHERIT != 0 {
        // A full table leaves the child untraced, as `limits::PROCESSES` says.
        let _ = TRACED.insert(&child_tgid, &flags, BPF_ANY as u64);
        // SAFETY: user space writes an entry once, before samples of the process are of use.
        if let Some(layout) = unsafe { LAYOUTS.get(&ids.tgid) } {
            let _ = LAYOUTS.insert(&child_tgid, layout, BPF_ANY as u64);
        }
        thread_state::forked(ids.tid, child_tid);
    }
    if !is_process || flags & traced::INHERIT != 0 {
        // The kernel wakes it right after this.
        let thread = Thread { wake_ns: now_ns, waker_tid: ids.tid, ..Thread::IDLE };
        let _ = THREADS.insert(&child_tid, &thread, BPF_ANY as u64);
    }
    emit(kind::FORK, now_ns, ids, Fork { child_tgid, child_tid });
    0
}

/// `sched_process_exec(task, old_pid, bprm)`: EXEC, of traced processes, and of all while user space watches
/// for new programs.
///
/// Cost: 698 ns a run.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn sched_process_exec(_ctx: BtfTracePointContext) -> i32 {
    let ids = Ids::current();
    thread_state::forget(ids.tid);
    if kernel::is_traced(ids.tgid) || kernel::watches_exec() {
        emit(kind::EXEC, now_ns(), ids, ());
    }
    0
}

/// `sched_process_exit(task)`: EXIT, of each thread of a traced process; with the last one PROCESS_END, and the
/// process is no longer traced. Of threads that end at once, others may come here after the last one.
///
/// Cost: 273 ns a run.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn sched_process_exit(ctx: BtfTracePointContext) -> i32 {
    let ids = Ids::current();
    if !kernel::is_traced(ids.tgid) {
        return 0;
    }
    emit(kind::EXIT, now_ns(), ids, ());
    // Not there if the thread never left the CPU.
    let _ = THREADS.remove(&ids.tid);
    thread_state::forget(ids.tid);
    let at = offsets();
    let task: u64 = ctx.arg(0);
    let living = read::<u64>(task, at.task_signal).and_then(|signal| read::<u32>(signal, at.signal_live));
    if living == Some(0) {
        emit(kind::PROCESS_END, now_ns(), ids, ());
        let _ = TRACED.remove(&ids.tgid);
    }
    0
}
