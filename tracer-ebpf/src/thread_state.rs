//! CPython's state of the current thread, and the context that it says the thread runs in.
//!
//! When a context is entered a probe tells; when it is left none does: that would cost each step of an event loop another
//! breakpoint. Instead, whatever is told of a thread afterwards is preceded by what context it runs in by then.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{bpf_get_current_task, bpf_probe_read_user},
};
use tracer_ebpf::{
    event::{Context, kind},
    limits::{AWAITED_AT_ONCE, AWAITED_EVERY_NS, AWAITED_OF_STREAMS_EVERY_NS, INTERPRETER_THREADS},
    settings::PythonLayout,
};

use crate::{
    connection::now_ns,
    emit::{Ids, emit},
    kernel::{self, offsets},
    maps::{THREAD_STATES, ThreadState},
    stack::{self, word},
};

/// Neither the context of a thread nor a version.
const NOT_TOLD: u64 = u64::MAX;

/// What `received` is multiplied by where a thread is about to enter a context, and divided by at the next change of contexts,
/// which is that: so it lasts until the context is left.
const ABOUT_TO_ENTER: u64 = 2;

/// No time. An `Option` that is not set yet would be read from the stack where nothing was written, which kernels before
/// 6.3 refuse.
const NOW: u64 = 0;

/// CONTEXT_CURRENT, where the thread has left the context that it was told to be in. Threads that never entered one
/// cost a lookup in THREAD_STATES.
///
/// A program that user space waits for may be preempted, and the switch tells the same: so the time of what comes next
/// is taken after this.
#[inline(always)]
pub fn tell_context(ids: Ids) {
    tell_context_as_of(NOW, ids);
}

/// The same, as of a time since which the thread has changed no context: in a system call when that was entered, from where
/// what it does may count.
#[inline(always)]
pub fn tell_context_as_of(as_of_ns: u64, ids: Ids) {
    if let Some(thread) = known(ids.tid) {
        tell(thread, as_of_ns, ids);
    }
}

/// The same for a thread that is about to enter a context, and will be in that once the count of its changes differs.
/// Whether it will be seen to leave it.
#[inline(always)]
pub fn enters_context(address: u64, ids: Ids) -> bool {
    let Some(layout) = stack::layout(ids.tgid) else { return true };
    if !layout.has_contexts() {
        return true;
    }
    let Some(thread) = find(layout, ids.tid) else { return false };
    tell(thread, NOW, ids);
    thread.context = address;
    // A loop that reads before the step, and outside of all, reads for it (uvloop).
    thread.received *= ABOUT_TO_ENTER;
    true
}

#[inline(always)]
fn tell(thread: &mut ThreadState, as_of_ns: u64, ids: Ids) {
    // SAFETY: the helper checks the address and fails instead of faulting.
    let read = unsafe { bpf_probe_read_user(thread.context_place as *const [u64; 2]) };
    let Ok([context, version]) = read else { return };
    if version == thread.context_version {
        return;
    }
    // Two or more are a step that is over.
    let is_next = version == thread.context_version.wrapping_add(1);
    thread.received = if is_next { thread.received / ABOUT_TO_ENTER } else { 0 };
    thread.context_version = version;
    if context != thread.context {
        thread.context = context;
        let ts_ns = if as_of_ns == NOW { now_ns() } else { as_of_ns };
        emit(kind::CONTEXT_CURRENT, ts_ns, ids, Context { address: context, callable: 0 });
    }
}

/// A thread took in what a peer sent.
#[inline(always)]
pub fn has_received(tid: u32) {
    if let Some(thread) = known(tid) {
        thread.received = 1;
    }
}

/// Whether a thread may tell what a task waited in: not after what a peer sent, of whose end calls tell, and not too often.
#[inline(always)]
pub fn may_tell_awaited(tid: u32, now_ns: u64, layout: &PythonLayout) -> bool {
    let Some(thread) = known(tid) else { return false };
    if thread.received != 0 || thread.awaited_ns > now_ns {
        return false;
    }
    let every_ns = if layout.streams.is_used() { AWAITED_OF_STREAMS_EVERY_NS } else { AWAITED_EVERY_NS };
    let unused_since_ns = now_ns.saturating_sub(every_ns * AWAITED_AT_ONCE);
    let used_ns = if thread.awaited_ns > unused_since_ns { thread.awaited_ns } else { unused_since_ns };
    thread.awaited_ns = used_ns + every_ns;
    true
}

/// A thread's state: where it was found last, or by going through all threads of the main interpreter.
#[inline(always)]
pub fn find(layout: &PythonLayout, tid: u32) -> Option<&'static mut ThreadState> {
    // SAFETY: has no precondition.
    let task = unsafe { bpf_get_current_task() };
    let thread_id: u64 = kernel::read(task, offsets().task_thread_pointer)?;
    if let Some(known) = known(tid)
        && word(known.address, layout.thread_id) == Some(thread_id)
    {
        return Some(known);
    }
    let interpreter = word(layout.main_interpreter, 0)?;
    let mut thread = word(interpreter, layout.first_thread)?;
    for _ in 0..INTERPRETER_THREADS {
        if thread == 0 {
            return None;
        }
        if word(thread, layout.thread_id)? == thread_id {
            let context_place =
                if layout.has_contexts() { thread.wrapping_add(u64::from(layout.thread_context)) } else { 0 };
            let found = ThreadState {
                address: thread,
                context_place,
                context: NOT_TOLD,
                context_version: NOT_TOLD,
                received: 0,
                awaited_ns: 0,
            };
            // A full table evicts another thread.
            let _ = THREAD_STATES.insert(&tid, &found, BPF_ANY as u64);
            return known(tid);
        }
        thread = word(thread, layout.next_thread)?;
    }
    None
}

#[inline(always)]
fn known(tid: u32) -> Option<&'static mut ThreadState> {
    // SAFETY: the kernel keeps an element's memory while a program runs, and only the thread itself writes to it. Where it
    // is preempted in between, its switch writes what is true.
    THREAD_STATES.get_ptr_mut(&tid).map(|thread| unsafe { &mut *thread })
}

/// The main thread of a process is the copy of the thread that made the process.
#[inline(always)]
pub fn forked(tid: u32, child_tid: u32) {
    if let Some(thread) = known(tid) {
        let _ = THREAD_STATES.insert(&child_tid, thread, BPF_ANY as u64);
    }
}

/// A thread ended, or runs another program.
#[inline(always)]
pub fn forget(tid: u32) {
    // Not there if it never ran Python.
    let _ = THREAD_STATES.remove(&tid);
}
