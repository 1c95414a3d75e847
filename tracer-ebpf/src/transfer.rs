//! TRANSFER events: what a send or receive syscall moved, with a bounded copy of its start, and ASKING where that is the
//! head of a request.

use aya_ebpf::helpers::{bpf_probe_read_user, generated};
use tracer_ebpf::{
    event::{self, Header, kind, role},
    limits::{BEGINNING_BYTES, FRAME_BYTES, HEAD_BYTES, TAIL_BYTES},
};

use crate::{
    emit::{Ids, below, bounded, emit_scratch},
    kernel::{self, UDP},
    maps::{SCRATCH, SCRATCH_BYTES, Scratch, Socket, flag},
    stack, thread_state,
};

/// Where the bytes of a transfer are in user memory.
#[derive(Clone, Copy)]
pub struct Place {
    /// Of the bytes, or of an array of `struct iovec`.
    address: u64,
    /// Entries of that array; 0 where it is none.
    entries: u64,
}

impl Place {
    pub const NONE: Place = Place { address: 0, entries: 0 };

    #[inline(always)]
    pub fn buffer(address: u64) -> Place {
        Place { address, entries: 0 }
    }

    /// Of a user-space `struct iovec` array (include/uapi/linux/uio.h).
    #[inline(always)]
    pub fn vector(address: u64, entries: u64) -> Place {
        // An entry alone is a buffer.
        match entry(address, 0) {
            Some([base, _]) if entries == 1 => Place::buffer(base),
            _ if entries == 0 => Place::NONE,
            _ => Place { address, entries },
        }
    }

    /// Of a user-space `struct user_msghdr` (include/linux/socket.h): `msg_iov` is at 16, `msg_iovlen` at 24.
    #[inline(always)]
    pub fn message(address: u64) -> Place {
        // SAFETY: the helper checks the address and fails instead of faulting.
        match unsafe { bpf_probe_read_user((address + 16) as *const [u64; 2]) } {
            Ok([vector, entries]) => Place::vector(vector, entries),
            Err(_) => Place::NONE,
        }
    }

    /// The same of a message in one buffer; nothing of any other. For messages that are sent several at once, as resolvers
    /// do: the verifier follows what is done with a place once for each.
    #[inline(always)]
    pub fn short_message(address: u64) -> Place {
        // SAFETY: the helper checks the address and fails instead of faulting.
        match unsafe { bpf_probe_read_user((address + 16) as *const [u64; 2]) } {
            Ok([vector, 1]) => entry(vector, 0).map_or(Place::NONE, |[base, _]| Place::buffer(base)),
            _ => Place::NONE,
        }
    }

    /// The first four bytes; `None` where they can't be read.
    #[inline(always)]
    fn first(self) -> Option<[u8; 4]> {
        if self.address == 0 {
            return None;
        }
        let address = if self.entries == 0 { self.address } else { entry(self.address, 0)?[0] };
        // SAFETY: the helper checks the address and fails instead of faulting.
        unsafe { bpf_probe_read_user(address as *const [u8; 4]) }.ok()
    }
}

/// Address and bytes of an entry of an iovec.
#[inline(always)]
fn entry(vector: u64, index: u64) -> Option<[u64; 2]> {
    // SAFETY: the helper checks the address and fails instead of faulting.
    unsafe { bpf_probe_read_user((vector + index * 16) as *const [u64; 2]) }.ok()
}

/// What a syscall did.
#[derive(Clone, Copy)]
pub struct Done {
    pub enter_ns: u64,
    pub exit_ns: u64,
    /// Bytes, or a negative errno.
    pub result: i64,
    pub sent: bool,
}

/// Entries of an iovec whose bytes are copied.
const VECTOR_ENTRIES: u64 = 4;

/// Content type of a TLS handshake record, RFC 8446 section 5.1.
const TLS_HANDSHAKE: u8 = 0x16;

/// Emits a TRANSFER whose bytes are at `place`.
#[inline(always)]
pub fn emit_transfer(socket: &mut Socket, done: Done, place: Place, ids: Ids) {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return };
    // SAFETY: the element is this CPU's own, and system call tracepoints don't nest.
    let scratch = unsafe { &mut *scratch };
    thread_state::tell_context_as_of(done.enter_ns, ids);
    let moved = if done.result > 0 { done.result as u64 } else { 0 };
    let copied = copy(scratch, socket, place, moved, done.sent);
    let body = event::Transfer {
        connection: socket.connection,
        enter_ns: done.enter_ns,
        result: done.result,
        copied: copied as u32,
        sent: u32::from(done.sent),
    };
    // SAFETY: `Scratch::body` is as large and as aligned as a `Transfer`.
    unsafe { (&raw mut scratch.body).cast::<event::Transfer>().write(body) };
    if done.sent {
        socket.sent += moved;
    } else {
        socket.received += moved;
        thread_state::has_received(ids.tid);
    }
    emit_scratch(scratch, kind::TRANSFER, done.exit_ns, ids, size_of::<event::Transfer>() as u64, copied);
}

/// ASKING, where the bytes at `place` are the head of a request. It comes before the TRANSFER of it by its time, not by its
/// place in the program: the verifier follows what is behind each of the stack's ends.
#[inline(always)]
pub fn emit_asking(socket: &Socket, done: Done, place: Place, ids: Ids) {
    if done.sent && done.result > 0 && socket.role == role::CONNECTED && place.first().is_some_and(is_request)
    {
        stack::emit_asking(done.exit_ns - 1, ids);
    }
}

/// Copies as much as the first bytes and the connection's state make useful.
#[inline(always)]
fn copy(scratch: &mut Scratch, socket: &mut Socket, place: Place, moved: u64, sent: bool) -> u64 {
    if moved == 0 {
        return 0;
    }
    let Some(first) = place.first() else { return 0 };
    if first[0] == TLS_HANDSHAKE {
        socket.flags |= flag::TLS;
    }
    if sent && socket.role == role::CONNECTED && is_request(first) && kernel::reads_bodies() {
        socket.flags |= flag::HTTP;
    }
    let target = scratch.bytes.as_mut_ptr();
    let before = if sent { socket.sent } else { socket.received };
    let limit = limit(first, before, socket);
    if place.entries > 0 {
        // SAFETY: `scratch.bytes` has room for two heads.
        return unsafe { gather(target, place, if moved < limit { moved } else { limit }) };
    }
    if socket.flags & flag::HTTP == 0 || !socket.long.takes(moved, sent) {
        let limit = if socket.flags & flag::HTTP == 0 { limit } else { FRAME_BYTES as u64 };
        // SAFETY: `bounded` gives less than the size of `scratch.bytes`.
        return unsafe {
            read_into(target, bounded(if moved < limit { moved } else { limit }), place.address)
        };
    }
    // SAFETY: a head and a tail fit into `scratch.bytes`, of whose size that is.
    unsafe { read_head_and_tail::<SCRATCH_BYTES>(target, moved, place.address) }
}

/// Copies all of `bytes`, or a head and a tail of them; gives how many.
///
/// # Safety
///
/// `target` has room for `ROOM` bytes, a power of two that is more than a head and a tail.
#[inline(always)]
pub unsafe fn read_head_and_tail<const ROOM: usize>(target: *mut u8, bytes: u64, address: u64) -> u64 {
    const { assert!(ROOM > HEAD_BYTES + TAIL_BYTES) };
    if bytes <= (HEAD_BYTES + TAIL_BYTES) as u64 {
        // SAFETY: `below` gives less than the room.
        return unsafe { read_into(target, below::<ROOM>(bytes), address) };
    }
    let tail = address.wrapping_add(bytes - TAIL_BYTES as u64);
    // SAFETY: both fit.
    unsafe {
        match read_into(target, HEAD_BYTES as u64, address) {
            0 => 0,
            head => head + read_into(target.add(HEAD_BYTES), TAIL_BYTES as u64, tail),
        }
    }
}

/// Copies up to `limit` bytes, less than a head, from the entries of an iovec, one behind the other.
///
/// # Safety
///
/// `target` has room for two heads.
#[inline(always)]
unsafe fn gather(target: *mut u8, place: Place, limit: u64) -> u64 {
    let mut copied = 0;
    for index in 0..VECTOR_ENTRIES {
        if index >= place.entries || copied >= limit {
            break;
        }
        let Some([base, bytes]) = entry(place.address, index) else { break };
        let left = limit - copied;
        let length = below::<HEAD_BYTES>(if bytes < left { bytes } else { left });
        // SAFETY: both are less than a head.
        let read = unsafe { read_into(target.add(below::<HEAD_BYTES>(copied) as usize), length, base) };
        copied += read;
        if read < bytes {
            break;
        }
    }
    copied
}

/// Copies user memory; gives how many bytes, which are none where it can't be read.
///
/// # Safety
///
/// `target` has room for `length` bytes.
#[inline(always)]
pub unsafe fn read_into(target: *mut u8, length: u64, address: u64) -> u64 {
    // SAFETY: as this function's; the helper checks the user address.
    let result = unsafe {
        generated::bpf_probe_read_user(target.cast(), length as u32, address as *const core::ffi::c_void)
    };
    if result == 0 { length } else { 0 }
}

/// How many bytes may hold something to parse. TLS flights are cut anywhere, so the whole beginning of a TLS
/// connection counts. Of plaintext that is no call's, only what begins as a head of HTTP does: the body of a caller is
/// nobody's business.
#[inline(always)]
fn limit(first: [u8; 4], before: u64, socket: &Socket) -> u64 {
    let is_head = is_http(first)
        || first[0] == TLS_HANDSHAKE
        || socket.protocol == UDP
        || socket.flags & flag::HTTP != 0
        || socket.flags & flag::TLS != 0 && before < BEGINNING_BYTES;
    // Less than a head by one, as a mask bounds it.
    if is_head { HEAD_BYTES as u64 - 1 } else { FRAME_BYTES as u64 }
}

#[inline(always)]
pub fn is_http(first: [u8; 4]) -> bool {
    is_request(first) || &first == b"HTTP"
}

/// Whether a request of HTTP/1 or the preface of HTTP/2 may begin with these bytes (RFC 9110 section 9, RFC 5789,
/// RFC 9113 section 3.4).
#[inline(always)]
pub fn is_request(first: [u8; 4]) -> bool {
    matches!(
        &first,
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"PATC" | b"OPTI" | b"CONN" | b"TRAC" | b"PRI "
    )
}

/// Whether the connection of HTTP/2 begins with these bytes.
#[inline(always)]
pub fn is_preface(first: [u8; 4]) -> bool {
    &first == b"PRI "
}

/// Bytes between two entries of a user-space `struct mmsghdr` array: a `user_msghdr` of 56 bytes, then
/// `msg_len` and padding.
pub const MESSAGE_STRIDE: u64 = 64;

/// `msg_len` of an entry of a user-space `struct mmsghdr` array: what was moved of that message.
#[inline(always)]
pub fn moved_of_message(address: u64) -> i64 {
    // SAFETY: the helper checks the address and fails instead of faulting.
    unsafe { bpf_probe_read_user((address + 56) as *const u32) }.map_or(0, i64::from)
}

const _: () = assert!(size_of::<Header>() + size_of::<event::Transfer>() == 56);
