//! Syscalls: what a thread waits for, and what it transferred.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_task_btf, bpf_probe_read_user, bpf_task_pt_regs},
    macros::{btf_tracepoint, tracepoint},
    programs::{BtfTracePointContext, TracePointContext},
};
use tracer_ebpf::event::{self, kind, role, wait};

use super::{
    op, schedule, socket,
    table::{op_of, wait_of},
};
use crate::{
    arch::{READ, Registers},
    connection::{self, now_ns},
    emit::{Ids, emit},
    kernel::{self, Opened, TCP, TCP_CLOSE, UDP},
    maps::{SOCKETS, THREADS, Thread, put},
    stack, thread_state,
    transfer::{self, Done, MESSAGE_STRIDE, Place, emit_asking, emit_transfer},
};

/// `EAGAIN`, include/uapi/asm-generic/errno-base.h.
const EAGAIN: i64 = 11;

/// `MSG_PEEK | MSG_ERRQUEUE`, include/linux/socket.h: such a receive takes nothing out of the stream.
const TAKES_NOTHING: u64 = 0x2 | 0x2000;

/// `PROT_EXEC`, `MAP_ANONYMOUS`, include/uapi/asm-generic/mman-common.h.
const PROT_EXEC: u64 = 0x4;
const MAP_ANONYMOUS: u64 = 0x20;

/// `FUTEX_WAIT`, and the bits of an operation that are no flags, include/uapi/linux/futex.h.
const FUTEX_WAIT: u64 = 0;
const FUTEX_COMMAND: u64 = 0x7f;

/// As far above the stack pointer as musl's waiter was found, at most.
const MUSL_WAITER_BYTES: u64 = 256;
const SWITCH_INTERVAL_NS: u64 = 5_000_000;

/// Messages of one sendmmsg that are told: a resolver sends its A and AAAA queries in one.
const MESSAGES: u64 = 4;

/// `sys_enter(regs, number)`: no event but CLOSE; keeps what the thread is about to wait for. Syscalls that
/// never wait cost a table lookup, those of others a lookup in TRACED.
///
/// Cost: 224 ns a run.
#[btf_tracepoint(function = "sys_enter")]
pub fn sys_enter(ctx: BtfTracePointContext) -> i32 {
    let regs: *const Registers = ctx.arg(0);
    // SAFETY: the tracepoint's first argument; its type lets the kernel load from it, and stand in for a fault.
    entered(ctx.arg(1), || arguments(unsafe { &*regs }));
    0
}

/// `sys_enter` where a program of a raw tracepoint can be preempted, from 7.0 on: a perf event's can't.
#[tracepoint(category = "raw_syscalls", name = "sys_enter")]
pub fn perf_sys_enter(ctx: TracePointContext) -> u32 {
    // SAFETY: a record of this layout is what the kernel gives a program of this tracepoint.
    let record = unsafe { &*ctx.as_ptr().cast::<EnterRecord>() };
    entered(record.number, || {
        // SAFETY: asks for what every thread has.
        let regs = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as *const Registers;
        // SAFETY: the registers of user space lie where the thread's kernel stack begins; their type lets the kernel load
        // from them, and stand in for a fault.
        arguments(unsafe { &*regs })
    });
    0
}

/// `raw_syscalls:sys_enter` (include/trace/events/syscalls.h), behind what all records begin with; its arguments follow.
#[repr(C)]
struct EnterRecord {
    common: u64,
    number: u64,
}

/// `raw_syscalls:sys_exit`, the same.
#[repr(C)]
struct ExitRecord {
    common: u64,
    number: u64,
    result: i64,
}

#[inline(always)]
fn entered(number: u64, arguments: impl FnOnce() -> [u64; 6]) {
    let op = op_of(number);
    if op == 0 {
        return;
    }
    let ids = Ids::current();
    if !kernel::is_traced(ids.tgid) {
        return;
    }
    let mut thread = Thread { enter_ns: now_ns(), op: u32::from(op), wait: wait_of(op), ..Thread::IDLE };
    prepare(&mut thread, op, number, &arguments(), ids);
    put(&THREADS, ids.tid, thread);
}

/// The first five arguments of a syscall, in order, and the stack pointer.
#[inline(always)]
fn arguments(regs: &Registers) -> [u64; 6] {
    let [first, second, third, fourth, fifth] = regs.system_call();
    [first, second, third, fourth, fifth, regs.stack()]
}

/// Fills in what the entry of a syscall tells.
#[inline(always)]
fn prepare(thread: &mut Thread, op: u8, number: u64, arguments: &[u64; 6], ids: Ids) {
    let [first, second, third, fourth, fifth, stack] = *arguments;
    match op {
        op::RECEIVE..=op::SEND_FILE => {
            thread.buffer = second;
            thread.count = if third > u64::from(u32::MAX) { u32::MAX } else { third as u32 };
            prepare_transfer(thread, first, number, ids);
            let takes_nothing = match op {
                op::RECEIVE => number != READ && fourth & TAKES_NOTHING != 0,
                op::RECEIVE_MESSAGE => third & TAKES_NOTHING != 0,
                _ => false,
            };
            if takes_nothing {
                thread.sock = 0;
            }
        }
        op::CONNECT => prepare_connect(thread, first, ids),
        op::ACCEPT | op::LISTEN => {
            if let Opened::Socket(sock) = kernel::opened(first)
                && kernel::followed_protocol(sock.address) == Some(TCP)
            {
                thread.sock = sock.address;
                if op == op::ACCEPT {
                    socket::remember_listener(sock.address);
                }
            }
        }
        op::CLOSE => close(first),
        op::EPOLL_MS => thread.argument = timeout_ms(fourth),
        op::EPOLL_TIMESPEC => thread.argument = timeout_at(fourth, 1),
        op::POLL_MS | op::POLL_TIMESPEC => {
            thread.argument = if op == op::POLL_MS { timeout_ms(third) } else { timeout_at(third, 1) };
            match second {
                0 => thread.wait = wait::SLEEP,
                1 => prepare_poll(thread, first),
                _ => {}
            }
        }
        op::SELECT_TIMEVAL | op::SELECT_TIMESPEC => {
            let unit_ns = if op == op::SELECT_TIMEVAL { 1_000 } else { 1 };
            thread.argument = timeout_at(fifth, unit_ns);
            if first == 0 {
                thread.wait = wait::SLEEP;
            }
        }
        op::FUTEX => thread.argument = futex(first, second, third, fourth, stack, ids),
        op::MAP => {
            thread.argument = number;
            if third & PROT_EXEC == 0 || fourth & MAP_ANONYMOUS != 0 {
                thread.op = u32::from(op::OTHER);
            }
        }
        _ => thread.argument = number,
    }
}

#[inline(always)]
fn prepare_transfer(thread: &mut Thread, descriptor: u64, number: u64, ids: Ids) {
    match kernel::opened(descriptor) {
        Opened::Socket(sock)
            if let Some(socket) = connection::find_or_register(&sock, thread.enter_ns, ids) =>
        {
            thread.sock = sock.address;
            thread.connection = socket.connection;
        }
        Opened::Disk => thread.wait = wait::FILE,
        Opened::Socket(_) | Opened::Other => {
            thread.wait = wait::OTHER;
            thread.argument = number;
        }
    }
}

/// A socket in state CLOSE has never been connected, so what is known at its address is of another one.
#[inline(always)]
fn prepare_connect(thread: &mut Thread, descriptor: u64, ids: Ids) {
    let Opened::Socket(sock) = kernel::opened(descriptor) else {
        thread.wait = wait::OTHER;
        return;
    };
    thread_state::tell_context_as_of(thread.enter_ns, ids);
    if kernel::state(sock.address) == TCP_CLOSE {
        connection::close(sock.address);
    }
    let socket = match connection::find(sock.address) {
        Some(socket) => socket,
        None => match connection::register(&sock, role::CONNECTED, ids) {
            Some(socket) => socket,
            None => {
                thread.wait = wait::OTHER;
                return;
            }
        },
    };
    thread.sock = sock.address;
    thread.connection = socket.connection;
}

/// `struct pollfd` starts with the descriptor (include/uapi/asm-generic/poll.h).
#[inline(always)]
fn prepare_poll(thread: &mut Thread, set: u64) {
    // SAFETY: the helper checks the address and fails instead of faulting.
    let Ok(descriptor) = (unsafe { bpf_probe_read_user(set as *const u32) }) else { return };
    if let Opened::Socket(sock) = kernel::opened(u64::from(descriptor))
        && let Some(socket) = connection::find(sock.address)
    {
        thread.connection = socket.connection;
    }
}

/// TCP tells its end by its state as well: closing the last descriptor is told here, the rest there.
#[inline(always)]
fn close(descriptor: u64) {
    if let Opened::Socket(sock) = kernel::opened(descriptor)
        && kernel::is_last_reference(sock.file)
    {
        connection::close(sock.address);
    }
}

/// The address of a futex. Under musl a wait for the GIL is on the waiter's own stack, in its
/// `pthread_cond_timedwait` (musl 1.2, src/thread/pthread_cond_timedwait.c: the value is 2), with a time-out of CPython's
/// switch interval (Python/ceval_gil.c, 5 ms): it gets an address inside of `_PyRuntime`, where glibc's waits are.
#[inline(always)]
fn futex(address: u64, operation: u64, value: u64, timeout: u64, stack: u64, ids: Ids) -> u64 {
    let is_on_stack = address.wrapping_sub(stack) < MUSL_WAITER_BYTES;
    if is_on_stack
        && operation & FUTEX_COMMAND == FUTEX_WAIT
        && value as u32 == 2
        && timeout_at(timeout, 1) <= SWITCH_INTERVAL_NS
        && let Some(layout) = stack::layout(ids.tgid)
    {
        layout.runtime_start
    } else {
        address
    }
}

/// A time-out in ms, an int; in ns, `u64::MAX` for none.
#[inline(always)]
fn timeout_ms(argument: u64) -> u64 {
    let ms = argument as u32;
    if ms > i32::MAX as u32 { u64::MAX } else { u64::from(ms) * 1_000_000 }
}

/// A `struct timespec` or, with a unit of 1000 ns, a `struct timeval`, in user memory.
#[inline(always)]
fn timeout_at(address: u64, unit_ns: u64) -> u64 {
    if address == 0 {
        return u64::MAX;
    }
    // SAFETY: the helper checks the address and fails instead of faulting.
    match unsafe { bpf_probe_read_user(address as *const [u64; 2]) } {
        Ok([seconds, fraction]) => seconds.wrapping_mul(1_000_000_000).wrapping_add(fraction * unit_ns),
        Err(_) => u64::MAX,
    }
}

/// `sys_exit(regs, result)`: TRANSFER, CONNECT, CONNECTION of what was accepted, and MAPPED; ON_CPU of a thread that was not
/// seen to be. Others cost a lookup in
/// THREADS.
///
/// Cost: 114 ns a run.
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    left(ctx.arg(1));
    0
}

/// `sys_exit` as [`perf_sys_enter`].
#[tracepoint(category = "raw_syscalls", name = "sys_exit")]
pub fn perf_sys_exit(ctx: TracePointContext) -> u32 {
    // SAFETY: as in `perf_sys_enter`.
    left(unsafe { &*ctx.as_ptr().cast::<ExitRecord>() }.result);
    0
}

#[inline(always)]
fn left(result: i64) {
    let ids = Ids::current();
    let Some(entry) = THREADS.get_ptr_mut(&ids.tid) else { return };
    // SAFETY: the kernel keeps an element's memory while a program runs; outside a wait only this thread,
    // which is current, writes to it.
    let thread = unsafe { *entry };
    if thread.op == 0 {
        return;
    }
    // SAFETY: as above.
    unsafe {
        (*entry).op = 0;
        if thread.is_off != 0 {
            schedule::tell_on_cpu(entry, now_ns(), ids);
        }
    }
    let op = thread.op as u8;
    if op >= op::WAIT_ONLY {
        return;
    }
    match op {
        op::RECEIVE..=op::SEND_FILE if thread.sock != 0 && result != -EAGAIN => {
            finish_transfer(&thread, op, result, ids);
        }
        op::CONNECT if thread.sock != 0 => finish_connect(&thread, result, ids),
        op::ACCEPT if thread.sock != 0 && result >= 0 => finish_accept(result as u64, ids),
        op::LISTEN if thread.sock != 0 && result == 0 => socket::remember_listener(thread.sock),
        op::SOCKET if result >= 0 => forget_former(result as u64),
        // An error is a small negative number.
        op::MAP if result > 0 => emit(kind::MAPPED, now_ns(), ids, ()),
        _ => {}
    }
}

#[inline(always)]
fn finish_transfer(thread: &Thread, op: u8, result: i64, ids: Ids) {
    let Some(socket) = connection::find(thread.sock) else { return };
    if socket.connection != thread.connection {
        return;
    }
    let mut done = Done { enter_ns: thread.enter_ns, exit_ns: now_ns(), result, sent: op >= op::SEND };
    let messages = match op {
        op::RECEIVE_MESSAGES if result > 0 => 1,
        op::SEND_MESSAGES if result > 0 => (result as u64).min(MESSAGES),
        op::RECEIVE_MESSAGES | op::SEND_MESSAGES => 0,
        _ => {
            let place = match op {
                op::RECEIVE | op::SEND => Place::buffer(thread.buffer),
                op::RECEIVE_VECTOR | op::SEND_VECTOR => Place::vector(thread.buffer, u64::from(thread.count)),
                op::RECEIVE_MESSAGE | op::SEND_MESSAGE => Place::message(thread.buffer),
                _ => Place::NONE,
            };
            emit_transfer(socket, done, place, ids);
            emit_asking(socket, done, place, ids);
            return;
        }
    };
    for index in 0..MESSAGES {
        if index >= messages {
            break;
        }
        let message = thread.buffer + index * MESSAGE_STRIDE;
        done.result = transfer::moved_of_message(message);
        emit_transfer(socket, done, Place::short_message(message), ids);
    }
}

#[inline(always)]
fn finish_connect(thread: &Thread, result: i64, ids: Ids) {
    let Some(socket) = connection::find(thread.sock) else { return };
    if socket.connection != thread.connection {
        return;
    }
    connection::announce(thread.sock, socket, now_ns(), 0);
    let body = event::Connect { connection: thread.connection, enter_ns: thread.enter_ns, result };
    emit(kind::CONNECT, now_ns(), ids, body);
    // Datagram sockets have no state to tell their failure by, and stay.
    if result < 0 && socket.protocol != UDP && kernel::state(thread.sock) == TCP_CLOSE {
        connection::close(thread.sock);
    }
}

#[inline(always)]
fn finish_accept(descriptor: u64, ids: Ids) {
    let Opened::Socket(sock) = kernel::opened(descriptor) else { return };
    thread_state::tell_context(ids);
    let first_data_ns = connection::take_first_data_ns(sock.address);
    if let Some(socket) = connection::register(&sock, role::ACCEPTED, ids) {
        connection::announce(sock.address, socket, now_ns(), first_data_ns);
    }
}

/// A new socket may have the address of one whose end was not seen.
#[inline(always)]
fn forget_former(descriptor: u64) {
    if let Opened::Socket(sock) = kernel::opened(descriptor) {
        let _ = SOCKETS.remove(&sock.address);
    }
}
