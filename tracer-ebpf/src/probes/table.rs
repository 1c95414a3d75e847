//! Which syscalls matter, and as what.

use tracer_ebpf::event::wait;

use crate::arch::HANDLED;

/// How a syscall is handled. 0 is not at all.
pub mod op {
    pub const RECEIVE: u8 = 1;
    pub const RECEIVE_VECTOR: u8 = 2;
    pub const RECEIVE_MESSAGE: u8 = 3;
    pub const RECEIVE_MESSAGES: u8 = 4;
    pub const SEND: u8 = 5;
    pub const SEND_VECTOR: u8 = 6;
    pub const SEND_MESSAGE: u8 = 7;
    pub const SEND_MESSAGES: u8 = 8;
    pub const SEND_FILE: u8 = 9;
    pub const CONNECT: u8 = 10;
    pub const ACCEPT: u8 = 11;
    pub const LISTEN: u8 = 12;
    pub const CLOSE: u8 = 13;
    pub const SOCKET: u8 = 14;
    pub const MAP: u8 = 15;
    /// From here on nothing is done at exit.
    pub const WAIT_ONLY: u8 = 20;
    pub const EPOLL_MS: u8 = 20;
    pub const EPOLL_TIMESPEC: u8 = 21;
    pub const POLL_MS: u8 = 22;
    pub const POLL_TIMESPEC: u8 = 23;
    pub const SELECT_TIMEVAL: u8 = 24;
    pub const SELECT_TIMESPEC: u8 = 25;
    pub const SLEEP: u8 = 26;
    pub const FUTEX: u8 = 27;
    pub const CHILD: u8 = 28;
    pub const FILE: u8 = 29;
    pub const OTHER: u8 = 30;
}

/// Syscall numbers that the table has room for; those above are handled as [`op::OTHER`].
const NUMBERS: usize = 512;

/// By syscall number.
static OPS: [u8; NUMBERS] = ops();

/// How a syscall is handled.
#[inline(always)]
pub fn op_of(number: u64) -> u8 {
    if number < NUMBERS as u64 { OPS[number as usize] } else { op::OTHER }
}

/// What a thread waits for in a syscall; sockets, files and empty sets of descriptors are told apart later.
#[inline(always)]
pub fn wait_of(op: u8) -> u32 {
    match op {
        op::RECEIVE..=op::RECEIVE_MESSAGES => wait::RECEIVE,
        op::SEND..=op::SEND_FILE => wait::SEND,
        op::CONNECT => wait::CONNECT,
        op::ACCEPT => wait::ACCEPT,
        op::EPOLL_MS | op::EPOLL_TIMESPEC => wait::EPOLL,
        op::POLL_MS..=op::SELECT_TIMESPEC => wait::POLL,
        op::SLEEP => wait::SLEEP,
        op::FUTEX => wait::FUTEX,
        op::CHILD => wait::CHILD,
        op::FILE => wait::FILE,
        _ => wait::OTHER,
    }
}

const fn ops() -> [u8; NUMBERS] {
    let mut ops = [op::OTHER; NUMBERS];
    let mut group = 0;
    while group < HANDLED.len() {
        let (op, numbers) = HANDLED[group];
        let mut index = 0;
        while index < numbers.len() {
            ops[numbers[index]] = op;
            index += 1;
        }
        group += 1;
    }
    ops
}
