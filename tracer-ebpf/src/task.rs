//! What a task of asyncio waits in: its coroutines, each of which awaits the next.
//!
//! A coroutine that is suspended is in no thread's stack. Its task has the outermost; what each of them awaits is the topmost
//! value on the stack of its frame (`_PyGen_yf`, Objects/genobject.c, 3.8 to 3.15): another one, a generator, or an object that
//! goes on with one and begins with the pointer to it, as `PyAsyncGenASend` and `PyCoroWrapper` do (same file).

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use tracer_ebpf::{
    event::{Awaited, Header, kind},
    limits::{AWAITED_FRAMES, COROUTINES},
    settings::{NONE, PythonLayout, TaskLayout},
};

use crate::{
    emit::{self, Ids},
    maps::EVENTS,
    stack::TAG,
    stream,
};

/// AWAITED, where a task waits for the future whose first waiter's context is at `place`; nothing, where none does. Written
/// straight into the ring, as ASKING is.
///
/// Cost: 320 ns for each coroutine.
#[inline(never)]
pub fn emit_awaited(place: u64, layout: &PythonLayout, ts_ns: u64, ids: Ids) {
    #[repr(C)]
    struct Event {
        header: Header,
        body: Awaited,
    }
    let tasks = &layout.tasks;
    if tasks.task_coroutine == NONE {
        return;
    }
    let (mut task, mut context) = waiter(read(place.wrapping_sub(8)), read(place), tasks);
    if task == 0 {
        // Who is called next may be the task, as where a pool's future is waited for: a list of pairs follows.
        let pair = read(field(field(place, 8), tasks.list_items));
        (task, context) = waiter(field(pair, tasks.tuple_items), field(pair, tasks.tuple_items + 8), tasks);
    }
    if task == 0 {
        return;
    }
    let Some(mut entry) = EVENTS.reserve::<Event>(0) else {
        return emit::count_drop(kind::AWAITED);
    };
    let event = entry.as_mut_ptr();
    // What is known is written before the walk, which leaves no room on the stack of the program.
    // SAFETY: the event is reserved.
    unsafe {
        (&raw mut (*event).header).write(emit::header(kind::AWAITED, ts_ns, ids));
        (&raw mut (*event).body.context).write(context);
        (&raw mut (*event).body.reserved).write(0);
    }
    // SAFETY: as above.
    let search = unsafe { stream::Search::new(&layout.streams, &raw mut (*event).body.stream) };
    let put = |index: usize, frame, code| {
        search.look_at(frame, code);
        // SAFETY: the reserved event has room for as many codes, of which it is one.
        unsafe { (&raw mut (*event).body.codes).cast::<u64>().add(index % AWAITED_FRAMES).write(code) };
    };
    let count = walk(field(task, tasks.task_coroutine), layout, put);
    search.tell();
    // SAFETY: as above.
    let ts_ns = unsafe {
        (&raw mut (*event).body.count).write(count);
        (&raw const (*event).header.ts_ns).read()
    };
    entry.submit(emit::wake_flags(ts_ns));
}

/// The task, if it is one that this wakes, and its context; else nothing. What is called comes before the context for that
/// (`FutureObj_HEAD`, Modules/_asynciomodule.c), and a task has its own there.
#[inline(always)]
fn waiter(called: u64, context: u64, tasks: &TaskLayout) -> (u64, u64) {
    let task = field(called, tasks.waker_task);
    let is_one = context != 0 && field(task, tasks.task_context) == context;
    if is_one { (task, context) } else { (0, 0) }
}

/// Passes the frames and code objects of coroutines on that await each other, the outermost first; gives how many they are.
#[inline(always)]
fn walk(outermost: u64, layout: &PythonLayout, mut put: impl FnMut(usize, u64, u64)) -> u32 {
    let tasks = &layout.tasks;
    // Where a frame is an object of its own, its type tells it from what else is there.
    let frame_type = field(frame(outermost, tasks), tasks.object_type) & tasks.frame_is_apart;
    let mut coroutine = outermost;
    let mut count = 0;
    for index in 0..COROUTINES {
        let mut code = suspended(coroutine, frame_type, layout);
        if code == 0 {
            coroutine = field(coroutine, tasks.object_type + 8);
            code = suspended(coroutine, frame_type, layout);
        }
        if code == 0 {
            break;
        }
        let frame = frame(coroutine, tasks);
        put(index, frame, code);
        count = index as u32 + 1;
        coroutine = awaited(frame, tasks);
    }
    count
}

/// The code object of a coroutine or a generator; 0 where it is neither.
#[inline(always)]
fn suspended(coroutine: u64, frame_type: u64, layout: &PythonLayout) -> u64 {
    let tasks = &layout.tasks;
    let frame = frame(coroutine, tasks);
    let code = field(frame, layout.code) & !TAG;
    let foreign_frame = (field(frame, tasks.object_type) & tasks.frame_is_apart) ^ frame_type;
    let foreign_code = field(code, tasks.object_type) ^ tasks.code_type;
    if foreign_frame | foreign_code == 0 { code } else { 0 }
}

#[inline(always)]
fn frame(coroutine: u64, tasks: &TaskLayout) -> u64 {
    at_or_apart(coroutine, tasks.coroutine_frame, tasks.frame_is_apart)
}

/// What a suspended frame awaits.
#[inline(always)]
fn awaited(frame: u64, tasks: &TaskLayout) -> u64 {
    let stack = at_or_apart(frame, tasks.stack, tasks.stack_is_apart);
    let depth = field(frame, tasks.stack_depth) & 0xffff_ffff & tasks.has_depth;
    read(stack.wrapping_add(8 * depth).wrapping_sub(u64::from(tasks.awaited))) & !TAG
}

/// What is there in an object, or what that points to.
#[inline(always)]
fn at_or_apart(base: u64, offset: u32, is_apart: u64) -> u64 {
    let place = base.wrapping_add(u64::from(offset));
    (read(place) & is_apart) | (place & !is_apart)
}

#[inline(always)]
fn field(base: u64, offset: u32) -> u64 {
    read(base.wrapping_add(u64::from(offset)))
}

/// Eight bytes of user memory; 0 where they can't be read, which makes no branch that a verifier would have to follow in each
/// turn of a loop.
#[inline(always)]
fn read(address: u64) -> u64 {
    let mut value = 0_u64;
    // SAFETY: the helper checks the address, and clears what it can't fill.
    unsafe { bpf_probe_read_user((&raw mut value).cast(), 8, address as *const _) };
    value
}
