//! Threads on and off the CPU.

use aya_ebpf::{bindings::BPF_ANY, macros::btf_tracepoint, programs::BtfTracePointContext};
use tracer_ebpf::{
    event::{SwitchIn, SwitchOut, kind, wait},
    settings::PythonLayout,
};

use crate::{
    connection::now_ns,
    emit::{Ids, emit},
    kernel::{self, load, offsets},
    maps::{THREADS, Thread},
    stack, thread_state,
};

/// Bits of the task state that say why a task is off the CPU; those above are modifiers
/// (include/linux/sched.h, `TASK_REPORT`).
const STATE_BITS: u32 = 0xff;
const TASK_INTERRUPTIBLE: u32 = 0x1;
const TASK_DEAD: u32 = 0x80;

/// `sched_switch(preempt, prev, next)`: SWITCH_OUT of a traced thread, with the syscall it is in, and before it
/// ON_CPU where it was not seen to be, and WAITING where that is a lock, a sleep or a file; SWITCH_IN of a traced thread,
/// with who woke it. Others cost one or two lookups in TRACED.
///
/// Cost: 245 ns a run.
#[btf_tracepoint(function = "sched_switch")]
pub fn sched_switch(ctx: BtfTracePointContext) -> i32 {
    let now_ns = now_ns();
    let out = Ids::current();
    if kernel::is_traced(out.tgid) {
        let preempted = ctx.arg::<u64>(0) & 1 != 0;
        let state = if preempted {
            0
        } else {
            // SAFETY: both tasks are arguments.
            unsafe { load::<u32>(ctx.arg(1), offsets().task_state) & STATE_BITS }
        };
        // SAFETY: as above.
        let cpu_ns = unsafe { load(ctx.arg(1), offsets().task_cpu_ns) };
        switch_out(out, state, cpu_ns, now_ns);
    }
    let next: u64 = ctx.arg(2);
    // SAFETY: as above.
    let (tgid, tid) = unsafe { (load(next, offsets().task_tgid), load(next, offsets().task_pid)) };
    if kernel::is_traced(tgid) {
        switch_in(Ids { tgid, tid }, now_ns);
    }
    0
}

#[inline(always)]
fn switch_out(ids: Ids, state: u32, cpu_ns: u64, now_ns: u64) {
    let mut body = SwitchOut { state, wait: 0, connection: 0, argument: 0, cpu_ns };
    // What is told of the context comes before the switch, behind which the thread would be taken to run.
    let mut as_of_ns = now_ns;
    match THREADS.get_ptr_mut(&ids.tid) {
        // SAFETY: the kernel keeps an element's memory while a program runs; only this thread, which is
        // current, and its waker write to it, each its own fields.
        Some(thread) => unsafe {
            if (*thread).op != 0 {
                as_of_ns = (*thread).enter_ns;
                body.wait = (*thread).wait;
                body.connection = (*thread).connection;
                body.argument = match body.wait {
                    wait::POLL | wait::EPOLL => left_of(&*thread, now_ns),
                    _ => (*thread).argument,
                };
            }
            tell_on_cpu(thread, now_ns, ids);
            (*thread).wake_ns = 0;
            (*thread).waker_tid = 0;
            (*thread).is_off = 1;
        },
        // Without an entry its waker would be lost; one that is dead has none.
        None if state & TASK_DEAD != 0 => {}
        None => {
            let thread = Thread { is_off: 1, ..Thread::IDLE };
            let _ = THREADS.insert(&ids.tid, &thread, BPF_ANY as u64);
        }
    }
    thread_state::tell_context_as_of(as_of_ns, ids);
    match body.wait {
        wait::FUTEX if state & TASK_INTERRUPTIBLE != 0 => tell_lock(now_ns, body.argument, ids),
        wait::SLEEP | wait::FILE if state != 0 => tell_wait(now_ns, ids),
        _ => {}
    }
    emit(kind::SWITCH_OUT, now_ns, ids, body);
}

/// What is left of the time-out of a poll. One that something wakes in vain goes on sleeping in the same syscall.
#[inline(always)]
fn left_of(thread: &Thread, now_ns: u64) -> u64 {
    match thread.argument {
        u64::MAX => u64::MAX,
        timeout_ns => timeout_ns.saturating_sub(now_ns.saturating_sub(thread.enter_ns)),
    }
}

/// WAITING, where a thread sleeps in a futex that is not the GIL.
#[inline(always)]
fn tell_lock(now_ns: u64, address: u64, ids: Ids) {
    let is_gil = |layout: &PythonLayout| (layout.runtime_start..layout.runtime_end).contains(&address);
    if !stack::layout(ids.tgid).is_some_and(is_gil) {
        tell_wait(now_ns, ids);
    }
}

/// WAITING, where the layout of the process is known.
#[inline(always)]
fn tell_wait(now_ns: u64, ids: Ids) {
    if let Some(layout) = stack::layout(ids.tgid) {
        // A thread that runs no Python has no stack.
        let _ = stack::emit_waiting(now_ns, ids, layout);
    }
}

#[inline(always)]
fn switch_in(ids: Ids, now_ns: u64) {
    let mut body = SwitchIn { wake_ns: 0, waker_tid: 0, reserved: 0 };
    if let Some(thread) = THREADS.get_ptr_mut(&ids.tid) {
        // SAFETY: as in `switch_out`.
        unsafe {
            body.wake_ns = (*thread).wake_ns;
            body.waker_tid = (*thread).waker_tid;
            (*thread).wake_ns = 0;
            (*thread).waker_tid = 0;
            (*thread).is_off = 0;
        }
    }
    emit(kind::SWITCH_IN, now_ns, ids, body);
}

/// ON_CPU, where the switch to the current thread was not seen: 1 to 3 of 1000 come without the tracepoint (6.18; perf
/// misses the same ones).
///
/// # Safety
///
/// `thread` is the entry of the current thread.
#[inline(always)]
pub(super) unsafe fn tell_on_cpu(thread: *mut Thread, now_ns: u64, ids: Ids) {
    // SAFETY: as in `switch_out`.
    unsafe {
        if (*thread).is_off != 0 {
            (*thread).is_off = 0;
            let woken = SwitchIn { wake_ns: (*thread).wake_ns, waker_tid: (*thread).waker_tid, reserved: 0 };
            emit(kind::ON_CPU, now_ns, ids, woken);
        }
    }
}

/// `sched_waking(task)`: no event; keeps when and by whom a traced thread was woken, for its SWITCH_IN. It
/// runs on the waker's CPU, so the current task is the waker, or what an interrupt hit: an idle CPU (tid 0)
/// tells it was an interrupt, any other task hides it. Others cost one lookup in THREADS.
///
/// Cost: 249 ns a run.
#[btf_tracepoint(function = "sched_waking")]
pub fn sched_waking(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the task is an argument.
    let tid: u32 = unsafe { load(ctx.arg(0), offsets().task_pid) };
    if let Some(thread) = THREADS.get_ptr_mut(&tid) {
        // SAFETY: as in `switch_out`.
        unsafe {
            if (*thread).wake_ns == 0 {
                (*thread).wake_ns = now_ns();
                (*thread).waker_tid = Ids::current().tid;
            }
        }
    }
    0
}
