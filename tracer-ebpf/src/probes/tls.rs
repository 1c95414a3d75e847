//! Plaintext of TLS, where OpenSSL takes and gives it: of the sessions of HTTP clients alone. Of any other session the
//! first four bytes that it sends are looked at, and nothing is told.

use aya_ebpf::{bindings::BPF_ANY, helpers::bpf_probe_read_user};
use tracer_ebpf::{
    cookie::role,
    event::{self, Header, kind},
    http2::{is_headers, is_later_headers},
    limits::{self, FRAME_BYTES, HEAD_BYTES, TAIL_BYTES},
};

use crate::{
    arch::Registers,
    connection::now_ns,
    emit::{Ids, below, count_drop, emit, header, wake_flags},
    kernel::reads_bodies,
    maps::{EVENTS, LongTransfers, TLS_CALLS, TLS_SESSIONS, TlsCall, TlsKey, TlsSession, put, session},
    stack::{self, word},
    transfer::{is_http, is_preface, is_request, read_head_and_tail, read_into},
};

/// Room for copied bytes. What is chosen is as long as one of these, and a mask proves the bound to the verifier.
const FEW_BYTES: usize = 512;
const MANY_BYTES: usize = 4_096;
const MOST_BYTES: usize = limits::HEADS_BYTES;

/// A session is a client's.
#[inline(always)]
pub fn is_client(address: u64, ids: Ids) {
    // What was at the address ended unseen.
    let session = TlsSession { flags: session::CLIENT, long: LongTransfers::NONE };
    let _ = TLS_SESSIONS.insert(key(address, ids), session, BPF_ANY as u64);
}

/// A client's session begins with its first handshake; those that follow go on with it.
#[inline(always)]
pub fn shakes_hands(address: u64, ids: Ids) {
    let Some(session) = find(address, ids) else { return };
    if session.flags & (session::CLIENT | session::STARTED) == session::CLIENT {
        session.flags |= session::STARTED;
        emit(kind::TLS_START, now_ns(), ids, event::TlsSession { session: address });
    }
}

/// A session is freed.
#[inline(always)]
pub fn ends(address: u64, ids: Ids) {
    if address != 0 && TLS_SESSIONS.remove(key(address, ids)).is_ok() {
        emit(kind::TLS_END, now_ns(), ids, event::TlsSession { session: address });
    }
}

/// OpenSSL is called to read or to write: remembers what it was given, and tells by ASKING who sends a head. `count_place`
/// is 0 where it returns its count.
#[inline(always)]
pub fn called(role: u8, regs: &Registers, count_place: u64, ids: Ids) {
    let known = find(regs.argument(0), ids);
    // SAFETY: the helper checks the address and fails instead of faulting.
    let first = || unsafe { bpf_probe_read_user(regs.argument(1) as *const [u8; 4]) };
    let first = if role == role::TLS_WRITE { first().ok() } else { None };
    let speaks_http2 = known.as_ref().is_some_and(|session| session.flags & session::HTTP2 != 0);
    let mut asks = first.is_some_and(|first| is_request(first) || speaks_http2 && is_headers(first));
    if known.as_ref().is_none_or(|session| session.flags & session::HTTP == 0) {
        let goes_on = known.is_none() && first.is_some_and(|first| goes_on(first, regs.argument(1)));
        asks |= goes_on;
        if !asks {
            return;
        }
        let http2 = if goes_on || first.is_some_and(is_preface) { session::HTTP2 } else { 0 };
        match known {
            Some(session) => session.flags |= session::HTTP | http2,
            None => {
                let session = TlsSession { flags: session::HTTP | http2, long: LongTransfers::NONE };
                let _ = TLS_SESSIONS.insert(key(regs.argument(0), ids), session, BPF_ANY as u64);
            }
        }
    }
    let call =
        TlsCall { enter_ns: now_ns(), session: regs.argument(0), buffer: regs.argument(1), count_place };
    put(&TLS_CALLS, ids.tid, call);
    if asks {
        stack::emit_asking(call.enter_ns, ids);
    }
}

/// Whether a session of HTTP/2 that began unseen goes on with what is at `buffer`.
#[inline(always)]
fn goes_on(first: [u8; 4], buffer: u64) -> bool {
    is_headers(first) && word(buffer, 4).is_some_and(|next| is_later_headers(first, next.to_le_bytes()))
}

/// OpenSSL has returned: PLAIN, if it transferred something.
#[inline(always)]
pub fn returned(role: u8, result: i32, ids: Ids) {
    let Some(entry) = TLS_CALLS.get_ptr_mut(ids.tid) else { return };
    // SAFETY: the kernel keeps an element's memory while a program runs; only this thread, which is current, uses it.
    let entry = unsafe { &mut *entry };
    let call = *entry;
    entry.session = 0;
    if call.session == 0 || result <= 0 {
        return;
    }
    let bytes = if call.count_place == 0 { Some(result as u64) } else { word(call.count_place, 0) };
    let Some(bytes) = bytes.filter(|bytes| *bytes != 0) else { return };
    let sent = role == role::TLS_WRITE_DONE;
    let (takes, flags) = match find(call.session, ids) {
        Some(session) => (session.long.takes(bytes, sent), session.flags),
        None => (false, 0),
    };
    let wanted = if takes && reads_bodies() { bytes } else { wanted_of_framing(call.buffer, bytes, flags) };
    if wanted == bytes && sent && has_many_heads(call.buffer, bytes, flags) {
        emit_plain::<MOST_BYTES>(call, bytes, wanted, 1, ids);
    } else if wanted < FEW_BYTES as u64 {
        emit_plain::<FEW_BYTES>(call, bytes, wanted, u32::from(sent), ids);
    } else {
        emit_plain::<MANY_BYTES>(call, bytes, wanted, u32::from(sent), ids);
    }
}

/// How many bytes are copied without bodies: of what begins as a head of HTTP a head, else what may be framing.
#[inline(always)]
fn wanted_of_framing(buffer: u64, bytes: u64, flags: u32) -> u64 {
    // SAFETY: the helper checks the address and fails instead of faulting.
    let first = unsafe { bpf_probe_read_user(buffer as *const [u8; 4]) };
    let is_head = |first| is_http(first) || flags & session::HTTP2 != 0 && is_headers(first);
    let most = if first.is_ok_and(is_head) { HEAD_BYTES } else { FRAME_BYTES } as u64;
    if bytes < most { bytes } else { most }
}

/// Whether it begins with the head of a request on a stream and is longer than a head and a tail: then it is the heads of many.
#[inline(always)]
fn has_many_heads(buffer: u64, bytes: u64, flags: u32) -> bool {
    if flags & session::HTTP2 == 0 || bytes <= (HEAD_BYTES + TAIL_BYTES) as u64 || bytes >= MOST_BYTES as u64
    {
        return false;
    }
    // SAFETY: the helper checks the address and fails instead of faulting.
    unsafe { bpf_probe_read_user(buffer as *const [u8; 4]) }.is_ok_and(is_headers)
}

/// A known session.
#[inline(always)]
fn find(address: u64, ids: Ids) -> Option<&'static mut TlsSession> {
    // SAFETY: the kernel keeps an element's memory while a program runs; one thread at a time uses a session.
    TLS_SESSIONS.get_ptr_mut(key(address, ids)).map(|session| unsafe { &mut *session })
}

/// PLAIN, written straight into the ring: a scratch of this CPU's could be taken by whoever preempts the program.
#[inline(always)]
fn emit_plain<const ROOM: usize>(call: TlsCall, bytes: u64, wanted: u64, sent: u32, ids: Ids) {
    #[repr(C)]
    struct Event<const ROOM: usize> {
        header: Header,
        body: event::Plain,
        bytes: [u8; ROOM],
    }
    let ts_ns = now_ns();
    let Some(mut entry) = EVENTS.reserve::<Event<ROOM>>(0) else { return count_drop(kind::PLAIN) };
    let place = entry.as_mut_ptr();
    // SAFETY: `place` is the reserved event, whose `bytes` have that room.
    unsafe {
        let target = (&raw mut (*place).bytes).cast::<u8>();
        let copied = if ROOM == MANY_BYTES && wanted == bytes {
            read_head_and_tail::<MANY_BYTES>(target, bytes, call.buffer)
        } else {
            read_into(target, below::<ROOM>(wanted), call.buffer)
        };
        (&raw mut (*place).header).write(header(kind::PLAIN, ts_ns, ids));
        (&raw mut (*place).body).write(event::Plain {
            session: call.session,
            enter_ns: call.enter_ns,
            bytes,
            copied: copied as u32,
            sent,
        });
    }
    entry.submit(wake_flags(ts_ns));
}

#[inline(always)]
fn key(address: u64, ids: Ids) -> TlsKey {
    TlsKey { address, tgid: ids.tgid, reserved: 0 }
}
