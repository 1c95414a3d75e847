//! Processes and threads: where they begin, what they run, where they end.

use aya_ebpf::{
    EbpfContext as _,
    bindings::BPF_ANY,
    helpers::bpf_get_current_task,
    macros::{btf_tracepoint, tracepoint},
    programs::{BtfTracePointContext, TracePointContext},
};
use tracer_ebpf::{
    event::{Fork, kind},
    settings::traced,
};

use crate::{
    connection::now_ns,
    emit::{Ids, emit},
    kernel::{self, offsets, read},
    maps::{LAYOUTS, THREADS, TRACED, Thread},
    stack, thread_state,
};

/// `CLONE_THREAD`, include/uapi/linux/sched.h.
const CLONE_THREAD: u64 = 0x0001_0000;

/// `sched_process_fork(parent, child)`: FORK, for each thread or process that a traced process makes; before that of a thread
/// CREATING. The child process of one that passes tracing on is traced from here, before its first instruction.
///
/// Cost: 2,400 ns a run, where it is mostly threads that are made.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn sched_process_fork(ctx: BtfTracePointContext) -> i32 {
    let child: u64 = ctx.arg(1);
    forked(|_| {
        let at = offsets();
        Some(Fork { child_tgid: read(child, at.task_tgid)?, child_tid: read(child, at.task_pid)? })
    });
    0
}

/// The same by `task:task_newtask`, as [`super::syscall::perf_sys_enter`].
#[tracepoint(category = "task", name = "task_newtask")]
pub fn perf_sched_process_fork(ctx: TracePointContext) -> u32 {
    /// include/trace/events/task.h
    #[repr(C)]
    struct Record {
        common: u64,
        tid: u32,
        comm: [u8; 16],
        clone_flags: u64,
    }
    // SAFETY: a record of this layout is what the kernel gives a program of this tracepoint.
    let record = unsafe { &*ctx.as_ptr().cast::<Record>() };
    forked(|ids| {
        let is_thread = record.clone_flags & CLONE_THREAD != 0;
        Some(Fork { child_tgid: if is_thread { ids.tgid } else { record.tid }, child_tid: record.tid })
    });
    0
}

#[inline(always)]
fn forked(child: impl FnOnce(Ids) -> Option<Fork>) {
    let ids = Ids::current();
    let flags = kernel::flags_of(ids.tgid);
    if flags & traced::EMIT == 0 {
        return;
    }
    let Some(fork) = child(ids) else { return };
    let Fork { child_tgid, child_tid } = fork;
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
    if !is_process && let Some(layout) = stack::layout(ids.tgid) {
        // Without a stack, a library made it.
        let _ = stack::emit_few(kind::CREATING, now_ns, ids, layout);
    }
    emit(kind::FORK, now_ns, ids, fork);
}

/// `sched_process_exec(task, old_pid, bprm)`: EXEC, of traced processes, and of all while user space watches
/// for new programs.
///
/// Cost: 698 ns a run.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn sched_process_exec(_ctx: BtfTracePointContext) -> i32 {
    executes();
    0
}

/// The same, as [`super::syscall::perf_sys_enter`].
#[tracepoint(category = "sched", name = "sched_process_exec")]
pub fn perf_sched_process_exec(_ctx: TracePointContext) -> u32 {
    executes();
    0
}

#[inline(always)]
fn executes() {
    let ids = Ids::current();
    thread_state::forget(ids.tid);
    if kernel::is_traced(ids.tgid) || kernel::watches_exec() {
        emit(kind::EXEC, now_ns(), ids, ());
    }
}

/// `sched_process_exit(task)`: EXIT, of each thread of a traced process; with the last one PROCESS_END, and the
/// process is no longer traced. Of threads that end at once, others may come here after the last one.
///
/// Cost: 273 ns a run.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn sched_process_exit(_ctx: BtfTracePointContext) -> i32 {
    exits();
    0
}

/// The same, as [`super::syscall::perf_sys_enter`].
#[tracepoint(category = "sched", name = "sched_process_exit")]
pub fn perf_sched_process_exit(_ctx: TracePointContext) -> u32 {
    exits();
    0
}

#[inline(always)]
fn exits() {
    let ids = Ids::current();
    if !kernel::is_traced(ids.tgid) {
        return;
    }
    emit(kind::EXIT, now_ns(), ids, ());
    // Not there if the thread never left the CPU.
    let _ = THREADS.remove(&ids.tid);
    thread_state::forget(ids.tid);
    let at = offsets();
    // SAFETY: asks nothing of its caller.
    let task = unsafe { bpf_get_current_task() };
    let living = read::<u64>(task, at.task_signal).and_then(|signal| read::<u32>(signal, at.signal_live));
    if living == Some(0) {
        emit(kind::PROCESS_END, now_ns(), ids, ());
        let _ = TRACED.remove(&ids.tgid);
    }
}
