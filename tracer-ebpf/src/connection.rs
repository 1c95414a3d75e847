//! Giving sockets a generation number, and telling user space about them.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
};
use tracer_ebpf::event::{self, kind, role};

use crate::{
    emit::{Ids, emit, try_emit},
    kernel::{self, AF_INET, Sock, TCP, offsets, read},
    maps::{EARLY, LongTransfers, SOCKETS, Socket, flag},
    thread_state,
};

/// The entry of a socket that the current thread uses; `None` for one of a kind that we don't follow. One that is not
/// known yet, or that user space does not know as its event found no room, is given a generation and told about, as of
/// unknown role. `enter_ns` is when the system call began.
#[inline(always)]
pub fn find_or_register(sock: &Sock, enter_ns: u64, ids: Ids) -> Option<&'static mut Socket> {
    if let Some(socket) = find(sock.address)
        && socket.flags & flag::ANNOUNCED != 0
    {
        return Some(socket);
    }
    let socket = register(sock, role::UNKNOWN, ids)?;
    thread_state::tell_context_as_of(enter_ns, ids);
    // What it is found by counts from its start.
    announce(sock.address, socket, enter_ns, 0);
    Some(socket)
}

/// The entry of a known socket.
#[inline(always)]
pub fn find(address: u64) -> Option<&'static mut Socket> {
    // SAFETY: the kernel keeps an element's memory while a program runs. Two CPUs may use one socket at once:
    // then a byte count may be off, which only moves the end of its beginning.
    SOCKETS.get_ptr_mut(&address).map(|socket| unsafe { &mut *socket })
}

/// Gives a socket of a kind that we follow a new generation; what was known at this address is forgotten.
#[inline(always)]
pub fn register(sock: &Sock, role: u32, ids: Ids) -> Option<&'static mut Socket> {
    let socket = Socket {
        connection: new_generation(),
        received: 0,
        sent: 0,
        tgid: ids.tgid,
        tid: ids.tid,
        role,
        protocol: kernel::followed_protocol(sock.address)?,
        flags: 0,
        long: LongTransfers::NONE,
        reserved: 0,
    };
    SOCKETS.insert(&sock.address, &socket, BPF_ANY as u64).ok()?;
    find(sock.address)
}

/// Emits CONNECTION, once, with the addresses that the socket has now. One that finds no room is tried again.
#[inline(always)]
pub fn announce(address: u64, socket: &mut Socket, ts_ns: u64, first_data_ns: u64) {
    if socket.flags & flag::ANNOUNCED != 0 {
        return;
    }
    let at = offsets();
    let family = read::<u16>(address, at.sock_family).unwrap_or(0);
    let (local, remote) = if family == AF_INET {
        (v4(address, at.sock_local_v4), v4(address, at.sock_remote_v4))
    } else {
        (v6(address, at.sock_local_v6), v6(address, at.sock_remote_v6))
    };
    let copied_seq =
        if socket.protocol == TCP { read(address, at.tcp_sock_copied_seq).unwrap_or(0) } else { 0 };
    let body = event::Connection {
        connection: socket.connection,
        first_data_ns,
        local,
        remote,
        local_port: kernel::local_port(address),
        remote_port: u16::from_be(read(address, at.sock_remote_port).unwrap_or(0)),
        family,
        protocol: socket.protocol,
        role: socket.role,
        copied_seq,
    };
    if try_emit(kind::CONNECTION, ts_ns, Ids { tgid: socket.tgid, tid: socket.tid }, body) {
        socket.flags |= flag::ANNOUNCED;
    }
}

/// Forgets a socket, and tells so if it was known. `ids` of the event are those that used it first.
#[inline(always)]
pub fn close(address: u64) {
    if let Some(socket) = find(address) {
        let ids = Ids { tgid: socket.tgid, tid: socket.tid };
        let announced = socket.flags & flag::ANNOUNCED != 0;
        let body = event::Of { connection: socket.connection };
        // It may have been removed meanwhile, by another CPU: then that one told.
        if SOCKETS.remove(&address).is_ok() && announced {
            emit(kind::CLOSE, now_ns(), ids, body);
        }
    }
}

/// Takes the time of the first data of a socket that is now accepted; 0 when it had none.
#[inline(always)]
pub fn take_first_data_ns(address: u64) -> u64 {
    // SAFETY: an aligned value of eight bytes can't be torn.
    let Some(first_data_ns) = (unsafe { EARLY.get(&address) }).copied() else { return 0 };
    // Only this program removes it; failing to leaves an old entry, which LRU evicts.
    let _ = EARLY.remove(&address);
    first_data_ns
}

#[inline(always)]
pub fn now_ns() -> u64 {
    // SAFETY: has no precondition.
    unsafe { bpf_ktime_get_ns() }
}

/// The time, with the CPU in place of the lowest eight bits: no CPU makes two within 256 ns.
#[inline(always)]
fn new_generation() -> u64 {
    // SAFETY: has no precondition.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    now_ns() & !0xff | u64::from(cpu) & 0xff
}

#[inline(always)]
fn v4(address: u64, offset: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    let [a, b, c, d] = read::<[u8; 4]>(address, offset).unwrap_or([0; 4]);
    (bytes[0], bytes[1], bytes[2], bytes[3]) = (a, b, c, d);
    bytes
}

#[inline(always)]
fn v6(address: u64, offset: u32) -> [u8; 16] {
    read(address, offset).unwrap_or([0; 16])
}
