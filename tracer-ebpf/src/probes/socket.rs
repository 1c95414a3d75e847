//! What happens to sockets outside syscalls: connections come up and go, data arrives. These run mostly in
//! interrupts, so the current task says nothing: the events carry the process that used the socket first.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use tracer_ebpf::event::{Arrival, Of, kind};

use crate::{
    connection::{self, now_ns},
    emit::{Ids, emit},
    kernel::{
        self, TCP, TCP_CLOSE, TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_LISTEN, TCP_SYN_SENT, offsets, read,
    },
    maps::{EARLY, LISTEN_PORTS, Socket},
};

/// `inet_sock_set_state(sk, old, new)`: ESTABLISHED of a known connecting socket, CLOSE of a known socket, and RESET.
/// Others cost a comparison, those that close two failing removals.
///
/// Cost: 290 ns a run.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn inet_sock_set_state(ctx: BtfTracePointContext) -> i32 {
    let address: u64 = ctx.arg(0);
    let (old, new): (u32, u32) = (ctx.arg(1), ctx.arg(2));
    if new == TCP_CLOSE {
        // A refused connect closes its socket too, which lives on: it is told by CONNECT.
        if old != TCP_SYN_SENT {
            // A process that ends it was told by its system call before.
            if matches!(old, TCP_ESTABLISHED | TCP_CLOSE_WAIT)
                && let Some(socket) = connection::find(address)
            {
                emit(kind::RESET, now_ns(), ids_of(socket), Of { connection: socket.connection });
            }
            connection::close(address);
        }
        let _ = EARLY.remove(&address);
    } else if old == TCP_SYN_SENT
        && new == TCP_ESTABLISHED
        && let Some(socket) = connection::find(address)
    {
        connection::announce(address, socket, now_ns(), 0);
        emit(kind::ESTABLISHED, now_ns(), ids_of(socket), arrival(address, socket, 0));
    }
    0
}

/// `sk_data_ready(sk)`, from 6.3: ARRIVAL of a known socket; of an unknown one on a port where a traced
/// process listens the time is kept until it is accepted. Others cost a lookup in SOCKETS, TCP ones another.
///
/// Cost: 679 ns a run.
#[btf_tracepoint(function = "sk_data_ready")]
pub fn sk_data_ready(ctx: BtfTracePointContext) -> i32 {
    arrived(ctx.arg(0), 0);
    0
}

/// `tcp_probe(sk, skb)`: in place of `sk_data_ready` on kernels without it, for TCP alone. It fires before the
/// segment is queued, so its length is added to `rcv_nxt`: for a segment out of order, which nobody can read
/// yet, that is too early by the gap. It fires for bare acknowledgements too, which are left out.
#[btf_tracepoint(function = "tcp_probe")]
pub fn tcp_probe(ctx: BtfTracePointContext) -> i32 {
    let Some(bytes) = read::<u32>(ctx.arg(1), offsets().sk_buff_len) else { return 0 };
    // The length counts the TCP header still.
    let Some(payload) = bytes.checked_sub(tcp_header_bytes(ctx.arg(1))) else { return 0 };
    if payload != 0 {
        arrived(ctx.arg(0), payload);
    }
    0
}

/// Length of the TCP header at `skb->data`; its fourth word holds it in units of four bytes (RFC 9293).
#[inline(always)]
fn tcp_header_bytes(skb: u64) -> u32 {
    let Some(data) = read::<u64>(skb, offsets().sk_buff_data) else { return 0 };
    u32::from(read::<u8>(data, 12).unwrap_or(0) >> 4) * 4
}

/// `ahead` is what `rcv_nxt` does not count yet.
#[inline(always)]
fn arrived(address: u64, ahead: u32) {
    match connection::find(address) {
        Some(socket) => emit(kind::ARRIVAL, now_ns(), ids_of(socket), arrival(address, socket, ahead)),
        None => remember_early(address),
    }
}

/// How far the inbound bytes of a socket have come.
#[inline(always)]
fn arrival(address: u64, socket: &Socket, ahead: u32) -> Arrival {
    let mut body = Arrival { connection: socket.connection, rcv_nxt: 0, srtt_us_x8: 0 };
    if socket.protocol == TCP {
        let at = offsets();
        body.rcv_nxt = read::<u32>(address, at.tcp_sock_rcv_nxt).unwrap_or(0).wrapping_add(ahead);
        body.srtt_us_x8 = read(address, at.tcp_sock_srtt_us).unwrap_or(0);
    }
    body
}

#[inline(always)]
fn remember_early(address: u64) {
    if kernel::followed_protocol(address) != Some(TCP) || kernel::state(address) == TCP_LISTEN {
        return;
    }
    // SAFETY: a value of one byte can't be torn.
    if unsafe { LISTEN_PORTS.get(&kernel::local_port(address)) }.is_some() {
        // Fails for all but the first data, as it should.
        let _ = EARLY.insert(&address, &now_ns(), BPF_NOEXIST as u64);
    }
}

/// Notes that connections to the port of a listening socket may be a traced process's own.
#[inline(always)]
pub fn remember_listener(address: u64) {
    let port = kernel::local_port(address);
    // A full table costs the early times of that port.
    let _ = LISTEN_PORTS.insert(&port, &1, BPF_ANY as u64);
}

#[inline(always)]
fn ids_of(socket: &Socket) -> Ids {
    Ids { tgid: socket.tgid, tid: socket.tid }
}
