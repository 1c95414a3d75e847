//! Stacks of Python frames, read from the memory of the current process.

use aya_ebpf::helpers::bpf_probe_read_user;
use tracer_ebpf::{
    event::{Header, MORE_FRAMES, Place, Sample, Stream, kind},
    limits::{CREATING_FRAMES, STACK_FRAMES, WAITING_FRAMES},
    settings::{NONE, PythonLayout},
};

use crate::{
    emit::{self, Ids, below, emit_scratch},
    maps::{EVENTS, LAYOUTS, LOCK, STACK, ThreadState},
    stream, thread_state,
};

/// Lower bits of a pointer to an object, which CPython uses for its own ends from 3.14 on.
pub const TAG: u64 = 0b111;

/// Where a process keeps its frames; `None` where that is not known.
#[inline(always)]
pub fn layout(tgid: u32) -> Option<&'static PythonLayout> {
    // SAFETY: the kernel keeps an element's memory while a program runs; user space writes it once, before stacks of
    // the process are of use.
    unsafe { LAYOUTS.get(&tgid) }
}

/// SAMPLE, of a thread that has come to an instruction.
#[inline(always)]
pub fn emit_sample(ts_ns: u64, ids: Ids, layout: &PythonLayout, instruction: u64) -> Option<()> {
    let scratch = STACK.get_ptr_mut(0)?;
    // SAFETY: the element is this CPU's own, and no other program uses it.
    let scratch = unsafe { &mut *scratch };
    let [body, first, frames @ ..] = &mut scratch.body;
    let frames: *mut u64 = frames.as_mut_ptr();
    let thread = thread_state::find(layout, ids.tid)?;
    // SAFETY: frames follow the body and the instruction, and `Scratch` has room for more of them than the limit.
    let put = |index, _, code| unsafe { frames.add(index).write(code) };
    let Walked { mut copied, left } = walk::<STACK_FRAMES>(thread, layout, put)?;
    if copied != 0 {
        if left != 0 {
            // SAFETY: as above.
            unsafe { frames.add(below::<{ 2 * STACK_FRAMES }>(copied / 8) as usize).write(MORE_FRAMES) };
            copied += size_of::<u64>() as u64;
        }
        *first = instruction;
        let copied = copied + size_of::<u64>() as u64;
        let collects = collects(thread, layout).unwrap_or(false);
        *body = self::body(copied, collects);
        emit_scratch(scratch, kind::SAMPLE, ts_ns, ids, size_of::<Sample>() as u64, copied);
    }
    Some(())
}

/// WAITING.
#[inline(always)]
pub fn emit_waiting(ts_ns: u64, ids: Ids, layout: &PythonLayout) -> Option<()> {
    let scratch = LOCK.get_ptr_mut(0)?;
    // SAFETY: as for samples; `sched_switch` does not come between itself.
    let scratch = unsafe { &mut *scratch };
    let [body, stream @ .., _] = &mut scratch.body;
    let stream: *mut Stream = stream.as_mut_ptr().cast();
    let thread = thread_state::find(layout, ids.tid)?;
    // SAFETY: two words are a `Stream`, and frames follow it.
    let (search, frames) =
        unsafe { (stream::Search::new(&layout.streams, stream), stream.add(1).cast::<u64>()) };
    let put = |index, frame, code| {
        search.look_at(frame, code);
        // SAFETY: as for samples.
        unsafe { frames.add(index).write(code) };
    };
    let Walked { copied, .. } = walk::<WAITING_FRAMES>(thread, layout, put)?;
    if copied != 0 {
        search.tell();
        *body = self::body(copied, false);
        let body_bytes = size_of::<Sample>() + size_of::<Stream>();
        emit_scratch(scratch, kind::WAITING, ts_ns, ids, body_bytes as u64, copied);
    }
    Some(())
}

/// A [`Sample`], in the order of bytes of this machine: `copied` comes first.
#[inline(always)]
fn body(copied: u64, collects: bool) -> u64 {
    copied | (u64::from(collects) << 32)
}

/// CREATING and the like: of few frames, which need no room.
#[inline(always)]
pub fn emit_few(kind: u32, ts_ns: u64, ids: Ids, layout: &PythonLayout) -> Option<()> {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Few {
        sample: Sample,
        frames: [u64; CREATING_FRAMES],
    }
    let thread = thread_state::find(layout, ids.tid)?;
    let mut few = Few { sample: Sample::default(), frames: [0; CREATING_FRAMES] };
    let put = |index: usize, _, code| few.frames[index] = code;
    few.sample.copied = walk::<CREATING_FRAMES>(thread, layout, put)?.copied as u32;
    emit::emit(kind, ts_ns, ids, few);
    Some(())
}

/// ASKING: the frames of the current thread, and how far each has come. Written straight into the ring: a scratch of this
/// CPU's could be taken by whoever preempts the program.
///
/// Cost: 2,900 ns.
#[inline(never)]
pub fn emit_asking(ts_ns: u64, ids: Ids) {
    #[repr(C)]
    struct Asking {
        header: Header,
        sample: Sample,
        stream: Stream,
        places: [Place; STACK_FRAMES],
    }
    let Some(layout) = layout(ids.tgid) else { return };
    let Some(mut entry) = EVENTS.reserve::<Asking>(0) else { return emit::count_drop(kind::ASKING) };
    let event = entry.as_mut_ptr();
    // SAFETY: the event is reserved.
    let search = unsafe { stream::Search::new(&layout.streams, &raw mut (*event).stream) };
    let put = |index: usize, frame, code| {
        search.look_at(frame, code);
        let instruction = word(frame, layout.instruction).unwrap_or(0);
        // SAFETY: the reserved event has room for as many places as frames are walked.
        unsafe { (&raw mut (*event).places).cast::<Place>().add(index).write(Place { code, instruction }) };
    };
    let walked =
        thread_state::find(layout, ids.tid).and_then(|thread| walk::<STACK_FRAMES>(thread, layout, put));
    let frames = walked.map_or(0, |walked| walked.copied) as u32 / 8;
    // SAFETY: the event is reserved.
    unsafe {
        (&raw mut (*event).header).write(emit::header(kind::ASKING, ts_ns, ids));
        (&raw mut (*event).sample).write(Sample { copied: frames * size_of::<Place>() as u32, collects: 0 });
    }
    search.tell();
    entry.submit(emit::wake_flags(ts_ns));
}

/// The code object of the current thread's innermost frame.
#[inline(always)]
pub fn innermost(ids: Ids, layout: &PythonLayout) -> Option<u64> {
    let thread = thread_state::find(layout, ids.tid)?;
    let mut innermost = None;
    walk::<1>(thread, layout, |_, _, code| innermost = Some(code))?;
    innermost
}

/// Whether a thread of the main interpreter collects garbage: the interpreter does, and this thread has the GIL.
#[inline(always)]
fn collects(thread: &ThreadState, layout: &PythonLayout) -> Option<bool> {
    if layout.collecting == NONE {
        return None;
    }
    let interpreter = word(layout.main_interpreter, 0)?;
    if half(interpreter, layout.collecting)? == 0 {
        return Some(false);
    }
    // In a finaliser another thread may run meanwhile, and code without the GIL does at any time.
    if layout.current_thread != 0 {
        return Some(word(layout.current_thread, 0)? == thread.address);
    }
    Some(half(thread.address, layout.thread_status)? & PythonLayout::ACTIVE != 0)
}

/// What came of a walk.
struct Walked {
    /// Bytes of the code objects.
    copied: u64,
    /// The next frame, where there are more than were walked; else 0.
    left: u64,
}

/// Passes a thread's frames and their code objects on, the innermost first.
#[inline(always)]
fn walk<const LIMIT: usize>(
    thread: &ThreadState,
    layout: &PythonLayout,
    mut put: impl FnMut(usize, u64, u64),
) -> Option<Walked> {
    let mut frame = word(thread.address, layout.thread_frame)?;
    if layout.holder_frame != NONE {
        frame = word(frame, layout.holder_frame)?;
    }
    let mut copied = 0;
    for index in 0..LIMIT {
        if frame == 0 {
            break;
        }
        let (Some(code), Some(caller)) = (word(frame, layout.code), word(frame, layout.caller)) else {
            break;
        };
        put(index, frame, code & !TAG);
        copied = 8 * (index as u64 + 1);
        frame = caller;
    }
    Some(Walked { copied, left: frame })
}

/// The word at an offset from an address of the process; `None` where it can't be read.
#[inline(always)]
pub fn word(base: u64, offset: u32) -> Option<u64> {
    // SAFETY: the helper checks the address and fails instead of faulting.
    unsafe { bpf_probe_read_user(base.wrapping_add(u64::from(offset)) as *const u64) }.ok()
}

/// The 32 bits there.
#[inline(always)]
fn half(base: u64, offset: u32) -> Option<u32> {
    // SAFETY: as for `word`.
    unsafe { bpf_probe_read_user(base.wrapping_add(u64::from(offset)) as *const u32) }.ok()
}
