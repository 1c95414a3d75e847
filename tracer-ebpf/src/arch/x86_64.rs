//! x86-64.

use core::mem::offset_of;

use aya_ebpf::{bindings::pt_regs, helpers::bpf_probe_read_kernel};

use crate::probes::op;

/// The registers of user space where a probe was reached, or a system call entered.
#[repr(transparent)]
pub struct Registers(pt_regs);

impl Registers {
    /// An argument of the function that is entered, counted from 0 (System V ABI); of those in registers the first three.
    #[inline(always)]
    pub fn argument(&self, index: u8) -> u64 {
        match index {
            0 => self.0.rdi,
            1 => self.0.rsi,
            2 => self.0.rdx,
            _ => 0,
        }
    }

    /// The first five arguments of the system call that is entered.
    #[inline(always)]
    pub fn system_call(&self) -> [u64; 5] {
        [self.0.rdi, self.0.rsi, self.0.rdx, self.0.r10, self.0.r8]
    }

    #[inline(always)]
    pub fn stack(&self) -> u64 {
        self.0.rsp
    }

    /// Address of the probed instruction.
    #[inline(always)]
    pub fn instruction(&self) -> u64 {
        self.0.rip
    }

    /// The same as [`Registers::numbered`] for one of the 16 that there are, by a helper: for a program that reads several, of
    /// which the compiler would make a read at a computed place, which the verifier refuses.
    #[inline(always)]
    pub fn read(&self, register: u8) -> u64 {
        let place = PLACES[usize::from(register & 0xf)];
        let from = core::ptr::from_ref(self).cast::<u8>().wrapping_add(usize::from(place));
        // SAFETY: the helper reads any address.
        unsafe { bpf_probe_read_kernel(from.cast::<u64>()) }.unwrap_or(0)
    }

    /// A register by the number that instructions have for it, as in [`tracer_ebpf::cookie::Operand`]; 0 for one that there
    /// is not.
    #[inline(always)]
    pub fn numbered(&self, register: u8) -> u64 {
        match register {
            0 => self.0.rax,
            1 => self.0.rcx,
            2 => self.0.rdx,
            3 => self.0.rbx,
            4 => self.0.rsp,
            5 => self.0.rbp,
            6 => self.0.rsi,
            7 => self.0.rdi,
            8 => self.0.r8,
            9 => self.0.r9,
            10 => self.0.r10,
            11 => self.0.r11,
            12 => self.0.r12,
            13 => self.0.r13,
            14 => self.0.r14,
            15 => self.0.r15,
            _ => 0,
        }
    }
}

/// Where the registers are, by the numbers that instructions have for them.
static PLACES: [u8; 16] = [
    offset_of!(pt_regs, rax) as u8,
    offset_of!(pt_regs, rcx) as u8,
    offset_of!(pt_regs, rdx) as u8,
    offset_of!(pt_regs, rbx) as u8,
    offset_of!(pt_regs, rsp) as u8,
    offset_of!(pt_regs, rbp) as u8,
    offset_of!(pt_regs, rsi) as u8,
    offset_of!(pt_regs, rdi) as u8,
    offset_of!(pt_regs, r8) as u8,
    offset_of!(pt_regs, r9) as u8,
    offset_of!(pt_regs, r10) as u8,
    offset_of!(pt_regs, r11) as u8,
    offset_of!(pt_regs, r12) as u8,
    offset_of!(pt_regs, r13) as u8,
    offset_of!(pt_regs, r14) as u8,
    offset_of!(pt_regs, r15) as u8,
];

/// The number of `read`.
pub const READ: u64 = 0;

/// How system calls are handled, by [`op`], and their numbers (arch/x86/entry/syscalls/syscall_64.tbl).
pub const HANDLED: &[(u8, &[usize])] = &[
    // read, recvfrom
    (op::RECEIVE, &[0, 45]),
    // readv
    (op::RECEIVE_VECTOR, &[19]),
    // recvmsg
    (op::RECEIVE_MESSAGE, &[47]),
    // recvmmsg
    (op::RECEIVE_MESSAGES, &[299]),
    // write, sendto
    (op::SEND, &[1, 44]),
    // writev
    (op::SEND_VECTOR, &[20]),
    // sendmsg
    (op::SEND_MESSAGE, &[46]),
    // sendmmsg
    (op::SEND_MESSAGES, &[307]),
    // sendfile
    (op::SEND_FILE, &[40]),
    // connect
    (op::CONNECT, &[42]),
    // accept, accept4
    (op::ACCEPT, &[43, 288]),
    // listen
    (op::LISTEN, &[50]),
    // close
    (op::CLOSE, &[3]),
    // socket
    (op::SOCKET, &[41]),
    // mmap
    (op::MAP, &[9]),
    // epoll_wait, epoll_pwait
    (op::EPOLL_MS, &[232, 281]),
    // epoll_pwait2
    (op::EPOLL_TIMESPEC, &[441]),
    // poll
    (op::POLL_MS, &[7]),
    // ppoll
    (op::POLL_TIMESPEC, &[271]),
    // select
    (op::SELECT_TIMEVAL, &[23]),
    // pselect6
    (op::SELECT_TIMESPEC, &[270]),
    // nanosleep, clock_nanosleep
    (op::SLEEP, &[35, 230]),
    // futex
    (op::FUTEX, &[202]),
    // wait4, waitid
    (op::CHILD, &[61, 247]),
    // open, pread64, pwrite64, fsync, fdatasync, openat, preadv, pwritev, sync_file_range, syncfs,
    // preadv2, pwritev2
    (op::FILE, &[2, 17, 18, 74, 75, 257, 295, 296, 277, 306, 327, 328]),
    // Those that hardly ever wait, and of which there are many: fstat, lseek, mprotect, brk,
    // rt_sigaction, rt_sigprocmask, ioctl, getpid, gettid, clock_gettime, gettimeofday, set_robust_list,
    // getsockopt, setsockopt, getsockname, getpeername, epoll_ctl, timerfd_settime, rseq
    (0, &[5, 8, 10, 12, 13, 14, 16, 39, 186, 228, 96, 273, 55, 54, 51, 52, 233, 286, 334]),
];
