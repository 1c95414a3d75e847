//! What a task of asyncio waits in: its coroutines, each of which awaits the next.
//!
//! A coroutine that is suspended is in no thread's stack. Its task has the outermost; what each of them awaits is the topmost
//! value on the stack of its frame (`_PyGen_yf`, Objects/genobject.c, 3.8 to 3.15): another one, a generator, or an object that
//! goes on with one and begins with the pointer to it, as `PyAsyncGenASend` and `PyCoroWrapper` do (same file).

use tracer_ebpf::{
    event::{Awaited, Header, kind},
    limits::{AWAITED_FRAMES, COROUTINES},
    settings::{NONE, PythonLayout, TaskLayout},
};

use crate::{
    emit::{self, Ids},
    maps::EVENTS,
    stack::{TAG, half, word},
};

/// AWAITED, where a task waits for the future whose first waiter's context is at `place`. Written straight into the ring, as
/// ASKING is.
#[inline(always)]
pub fn emit_awaited(place: u64, layout: &PythonLayout, ts_ns: u64, ids: Ids) -> Option<()> {
    #[repr(C)]
    struct Event {
        header: Header,
        body: Awaited,
    }
    let tasks = &layout.tasks;
    if tasks.task_coroutine == NONE {
        return None;
    }
    let (task, context) = first_waiter(place, tasks).or_else(|| second_waiter(place, tasks))?;
    let coroutine = word(task, tasks.task_coroutine)?;
    let Some(mut entry) = EVENTS.reserve::<Event>(0) else {
        emit::count_drop(kind::AWAITED);
        return None;
    };
    let event = entry.as_mut_ptr();
    let put = |index: usize, code| {
        // SAFETY: the reserved event has room for as many codes, of which it is one.
        unsafe { (&raw mut (*event).body.codes).cast::<u64>().add(index % AWAITED_FRAMES).write(code) };
    };
    let count = walk(coroutine, layout, put);
    // SAFETY: the event is reserved.
    unsafe {
        (&raw mut (*event).header).write(emit::header(kind::AWAITED, ts_ns, ids));
        (&raw mut (*event).body.context).write(context);
        (&raw mut (*event).body.count).write(count);
        (&raw mut (*event).body.reserved).write(0);
    }
    entry.submit(emit::wake_flags(ts_ns));
    Some(())
}

/// The task that a future wakes first, and its context (`FutureObj_HEAD`, Modules/_asynciomodule.c): what is called comes before
/// the context for that.
#[inline(always)]
fn first_waiter(place: u64, tasks: &TaskLayout) -> Option<(u64, u64)> {
    waiter(word(place.wrapping_sub(8), 0)?, word(place, 0)?, tasks)
}

/// The same of who is called next, as where a pool's future is waited for: a list of pairs follows.
#[inline(always)]
fn second_waiter(place: u64, tasks: &TaskLayout) -> Option<(u64, u64)> {
    let list = word(place, 8)?;
    let pair = word(word(list, tasks.list_items)?, 0)?;
    waiter(word(pair, tasks.tuple_items)?, word(pair, tasks.tuple_items + 8)?, tasks)
}

/// The task, if it is one that this wakes: it has the same context.
#[inline(always)]
fn waiter(called: u64, context: u64, tasks: &TaskLayout) -> Option<(u64, u64)> {
    let task = word(called, tasks.waker_task)?;
    (word(task, tasks.task_context)? == context).then_some((task, context))
}

/// Passes the code objects of coroutines on that await each other, the outermost first; gives how many they are.
#[inline(always)]
fn walk(outermost: u64, layout: &PythonLayout, mut put: impl FnMut(usize, u64)) -> u32 {
    let tasks = &layout.tasks;
    // Where a frame is an object of its own, its type tells it from what else is there.
    let mut frame_type = 0;
    if tasks.frame_is_apart != 0 {
        frame_type = frame(outermost, tasks).and_then(|frame| word(frame, tasks.object_type)).unwrap_or(0);
    }
    let mut next = suspended(outermost, frame_type, layout);
    let mut count = 0;
    for index in 0..COROUTINES {
        let Some((frame, code)) = next else { break };
        put(index, code);
        count = index as u32 + 1;
        let Some(awaited) = awaited(frame, tasks) else { break };
        next = suspended(awaited, frame_type, layout);
        if next.is_none()
            && let Some(begins_with) = word(awaited, tasks.object_type + 8)
        {
            next = suspended(begins_with, frame_type, layout);
        }
    }
    count
}

/// The frame of a coroutine or a generator, and its code object; `None` where it is neither.
#[inline(always)]
fn suspended(coroutine: u64, frame_type: u64, layout: &PythonLayout) -> Option<(u64, u64)> {
    let tasks = &layout.tasks;
    let frame = frame(coroutine, tasks)?;
    if frame_type != 0 && word(frame, tasks.object_type)? != frame_type {
        return None;
    }
    let code = word(frame, layout.code)? & !TAG;
    (word(code, tasks.object_type)? == tasks.code_type).then_some((frame, code))
}

#[inline(always)]
fn frame(coroutine: u64, tasks: &TaskLayout) -> Option<u64> {
    if tasks.frame_is_apart != 0 {
        word(coroutine, tasks.coroutine_frame)
    } else {
        Some(coroutine.wrapping_add(u64::from(tasks.coroutine_frame)))
    }
}

/// Whom a suspended frame awaits.
#[inline(always)]
fn awaited(frame: u64, tasks: &TaskLayout) -> Option<u64> {
    let end = if tasks.stack_end != NONE {
        word(frame, tasks.stack_end)?
    } else {
        let start = if tasks.stack_is_apart != 0 {
            word(frame, tasks.stack_start)?
        } else {
            frame.wrapping_add(u64::from(tasks.stack_start))
        };
        start.wrapping_add(8 * u64::from(half(frame, tasks.stack_depth)?))
    };
    Some(word(end.wrapping_sub(u64::from(tasks.awaited)), 0)? & !TAG)
}
