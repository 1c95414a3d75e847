//! Writing events into the ring buffer, and counting those that find it full.

use core::arch::asm;

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::bpf_get_current_pid_tgid,
};
use tracer_ebpf::event::{Header, kind};

use crate::maps::{DROPS, EVENTS, SCRATCH_BYTES, Scratch};

/// The reader is woken once this much waits for it; what is less it fetches on its own, by a timer. A wake-up
/// per event would cost more than the event.
const WAKE_BYTES: u64 = 256 << 10;

/// Of so many events one asks how much waits, by the lowest bits of its time: asking takes as long as a third of the
/// event.
const ASK_EVERY: u64 = 8;

/// A thread, by ids of the root pid namespace.
#[derive(Clone, Copy)]
pub struct Ids {
    pub tgid: u32,
    pub tid: u32,
}

impl Ids {
    #[inline(always)]
    pub fn current() -> Ids {
        let both = bpf_get_current_pid_tgid();
        Ids { tgid: (both >> 32) as u32, tid: both as u32 }
    }
}

/// Emits an event of fixed size.
#[inline(always)]
pub fn emit<T: Copy>(kind: u32, ts_ns: u64, ids: Ids, body: T) {
    try_emit(kind, ts_ns, ids, body);
}

/// The same; whether it found room.
#[inline(always)]
pub fn try_emit<T: Copy>(kind: u32, ts_ns: u64, ids: Ids, body: T) -> bool {
    #[repr(C)]
    struct Event<T> {
        header: Header,
        body: T,
    }
    let event = Event { header: header(kind, ts_ns, ids), body };
    let has_room = EVENTS.output::<Event<T>>(&event, wake_flags(ts_ns)).is_ok();
    if !has_room {
        count_drop(kind);
    }
    has_room
}

/// Emits what was put together in `scratch`: a body of `body_bytes`, followed by `copied` bytes, which stand
/// where the body ends.
#[inline(always)]
pub fn emit_scratch(scratch: &mut Scratch, kind: u32, ts_ns: u64, ids: Ids, body_bytes: u64, copied: u64) {
    scratch.header = header(kind, ts_ns, ids);
    let bytes = size_of::<Header>() as u64 + body_bytes + bounded(copied);
    // SAFETY: `bytes` is at most the size of `Scratch`; the map pointer is valid for the program's life.
    let result = unsafe {
        aya_ebpf::helpers::generated::bpf_ringbuf_output(
            core::ptr::from_ref(&EVENTS).cast_mut().cast(),
            core::ptr::from_mut(scratch).cast(),
            bytes,
            wake_flags(ts_ns),
        )
    };
    if result < 0 {
        count_drop(kind);
    }
}

/// `bytes`, provably below [`SCRATCH_BYTES`]. Assembly, because the compiler, which knows the bound already,
/// would remove the mask that the verifier needs.
#[inline(always)]
pub fn bounded(bytes: u64) -> u64 {
    below::<SCRATCH_BYTES>(bytes)
}

/// The same for another limit, a power of two.
#[inline(always)]
pub fn below<const LIMIT: usize>(mut bytes: u64) -> u64 {
    // SAFETY: changes only the register it is given.
    unsafe {
        asm!("{0} &= {1}", inout(reg) bytes, const LIMIT - 1, options(pure, nomem));
    }
    bytes
}

#[inline(always)]
pub fn header(kind: u32, ts_ns: u64, ids: Ids) -> Header {
    Header { ts_ns, tgid: ids.tgid, tid: ids.tid, kind, reserved: 0 }
}

#[inline(always)]
pub fn wake_flags(ts_ns: u64) -> u64 {
    if ts_ns.is_multiple_of(ASK_EVERY) && EVENTS.query(BPF_RB_AVAIL_DATA as u64) >= WAKE_BYTES {
        BPF_RB_FORCE_WAKEUP as u64
    } else {
        BPF_RB_NO_WAKEUP as u64
    }
}

#[inline(always)]
pub fn count_drop(kind: u32) {
    let Some(drops) = DROPS.get_ptr_mut(0) else { return };
    if kind < kind::LIMIT {
        // SAFETY: one of the element's counts.
        add_one(unsafe { drops.cast::<u64>().add(kind as usize) });
    }
}

/// Adds to a count in a map, to which other CPUs add as well.
#[inline(always)]
pub fn add_one(count: *mut u64) {
    // SAFETY: the verifier sees to it that it is memory of a map, which the kernel keeps while a program runs.
    unsafe {
        asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) count, in(reg) 1_u64, options(nostack));
    }
}
