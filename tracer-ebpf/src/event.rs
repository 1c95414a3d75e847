//! Events as the probes write them into the ring buffer: a [`Header`], then the body of its kind, then, for
//! some kinds, up to a bounded number of copied bytes.

use crate::limits::AWAITED_FRAMES;

/// First in every event.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `CLOCK_MONOTONIC`, by `bpf_ktime_get_ns`.
    pub ts_ns: u64,
    /// Process, as in the root pid namespace.
    pub tgid: u32,
    /// Thread, as in the root pid namespace. For [`kind::ARRIVAL`] and [`kind::ESTABLISHED`] meaningless:
    /// these happen in whatever task the interrupt hit.
    pub tid: u32,
    /// One of [`kind`].
    pub kind: u32,
    pub reserved: u32,
}

/// What an event is. Blocks of ten for each subject leave room.
pub mod kind {
    pub const FORK: u32 = 1;
    pub const EXEC: u32 = 2;
    pub const EXIT: u32 = 3;
    pub const PROCESS_END: u32 = 4;
    /// A file was mapped to be executed: a library was loaded.
    pub const MAPPED: u32 = 5;
    pub const SWITCH_OUT: u32 = 10;
    pub const SWITCH_IN: u32 = 11;
    /// The thread has a CPU, which it was not seen to get.
    pub const ON_CPU: u32 = 12;
    pub const CONNECTION: u32 = 20;
    pub const CONNECT: u32 = 21;
    pub const ESTABLISHED: u32 = 22;
    pub const ARRIVAL: u32 = 23;
    pub const TRANSFER: u32 = 24;
    pub const CLOSE: u32 = 25;
    pub const TLS_START: u32 = 26;
    pub const TLS_END: u32 = 27;
    pub const PLAIN: u32 = 28;
    pub const RESET: u32 = 29;
    pub const CONTEXT_ENTER: u32 = 30;
    pub const CONTEXT_EXIT: u32 = 31;
    pub const CONTEXT_COPY: u32 = 32;
    pub const CONTEXT_END: u32 = 33;
    pub const GREENLET_SWITCH: u32 = 34;
    pub const CONTEXT_READY: u32 = 35;
    /// The thread runs in this context, where that is not the one that was told last.
    pub const CONTEXT_CURRENT: u32 = 36;
    /// What a task waited in that is ready now.
    pub const AWAITED: u32 = 37;
    pub const GC_START: u32 = 40;
    pub const GC_DONE: u32 = 41;
    pub const IMPORT_START: u32 = 42;
    pub const IMPORT_DONE: u32 = 43;
    pub const QUEUE_PUT: u32 = 50;
    pub const QUEUE_GET: u32 = 51;
    pub const QUEUE_GOT: u32 = 52;
    pub const SAMPLE: u32 = 60;
    pub const WAITING: u32 = 61;
    pub const CREATING: u32 = 62;
    pub const ASKING: u32 = 63;
    /// Kinds are below this; the size of the table of drop counters.
    pub const LIMIT: u32 = 64;
}

/// [`kind::FORK`]: a task was made by the header's thread.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fork {
    pub child_tgid: u32,
    pub child_tid: u32,
}

/// [`kind::SWITCH_OUT`]: the header's thread left the CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchOut {
    /// 0 still runnable (preempted), else the kernel's task state bits (include/linux/sched.h).
    pub state: u32,
    /// One of [`wait`]: the syscall it is in.
    pub wait: u32,
    /// The connection waited for; 0 where there is none.
    pub connection: u64,
    /// [`wait::FUTEX`]: the address. [`wait::POLL`], [`wait::EPOLL`]: what is left of the time-out in ns, `u64::MAX` for
    /// none.
    /// [`wait::OTHER`]: the syscall number.
    pub argument: u64,
    /// CPU time of the thread in all, as the kernel accounts it (`task_struct.se.sum_exec_runtime`): without what
    /// a hypervisor stole.
    pub cpu_ns: u64,
}

/// Syscalls by what a thread waits for in them.
pub mod wait {
    /// Not in a syscall.
    pub const NONE: u32 = 0;
    pub const FUTEX: u32 = 1;
    /// nanosleep, clock_nanosleep, select or poll without descriptors.
    pub const SLEEP: u32 = 2;
    pub const POLL: u32 = 3;
    pub const EPOLL: u32 = 4;
    pub const RECEIVE: u32 = 5;
    pub const SEND: u32 = 6;
    pub const CONNECT: u32 = 7;
    pub const ACCEPT: u32 = 8;
    /// read, write and their kin on a file, a directory or a block device; open, fsync.
    pub const FILE: u32 = 9;
    /// wait4, waitid.
    pub const CHILD: u32 = 10;
    pub const OTHER: u32 = 11;
}

/// [`kind::SWITCH_IN`]: the header's thread got a CPU. [`kind::ON_CPU`]: it did some time before.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchIn {
    /// When it was woken; 0 when it was not (it was preempted).
    pub wake_ns: u64,
    /// Thread that woke it; 0 when unknown or an interrupt.
    pub waker_tid: u32,
    pub reserved: u32,
}

/// [`kind::CONNECTION`]: a socket of a traced process was seen first. Its generation number is `connection`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    pub connection: u64,
    /// When the first byte arrived, for an accepted connection that held data by then; else 0.
    pub first_data_ns: u64,
    /// IPv4 addresses are in the first four bytes.
    pub local: [u8; 16],
    pub remote: [u8; 16],
    pub local_port: u16,
    pub remote_port: u16,
    /// `AF_INET` (2), `AF_INET6` (10), `AF_UNIX` (1).
    pub family: u16,
    /// `IPPROTO_TCP` (6), `IPPROTO_UDP` (17).
    pub protocol: u16,
    /// One of [`role`].
    pub role: u32,
    /// TCP sequence number of the next byte to be read (`tcp_sock.copied_seq`).
    pub copied_seq: u32,
}

/// How a connection came about.
pub mod role {
    /// It was there before the tracer, or inherited.
    pub const UNKNOWN: u32 = 0;
    pub const CONNECTED: u32 = 1;
    pub const ACCEPTED: u32 = 2;
}

/// [`kind::CONNECT`]: connect(2) returned.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connect {
    pub connection: u64,
    pub enter_ns: u64,
    /// 0 or a negative errno.
    pub result: i64,
}

/// [`kind::CLOSE`]: only which connection. [`kind::RESET`]: the other side ended it, all at once; CLOSE comes next.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Of {
    pub connection: u64,
}

/// [`kind::ARRIVAL`]: data of a connection became readable in the kernel. [`kind::ESTABLISHED`]: the peer
/// accepted, and `rcv_nxt` numbers the first byte that will arrive.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    pub connection: u64,
    /// TCP sequence number after the last byte that arrived (`tcp_sock.rcv_nxt`); 0 for UDP.
    pub rcv_nxt: u32,
    /// Smoothed round trip in microseconds, times 8 as the kernel keeps it (`tcp_sock.srtt_us`).
    pub srtt_us_x8: u32,
}

/// [`kind::TRANSFER`]: a send or receive syscall on a socket returned. Followed by `copied` bytes from the
/// start of what was transferred; where they are more than [`crate::limits::HEAD_BYTES`] and less than all, those behind
/// are from its end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    pub connection: u64,
    pub enter_ns: u64,
    /// Bytes transferred, or a negative errno.
    pub result: i64,
    pub copied: u32,
    /// 0 received, 1 sent.
    pub sent: u32,
}

/// [`kind::TLS_START`]: a client's TLS session is about to send its first bytes. [`kind::TLS_END`]: it is freed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsSession {
    /// Address of OpenSSL's `SSL`, which another session may get afterwards.
    pub session: u64,
}

/// [`kind::PLAIN`]: a TLS session of a client of HTTP took plaintext, or gave some. Followed by `copied` bytes from its
/// start and end, as of [`kind::TRANSFER`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plain {
    pub session: u64,
    pub enter_ns: u64,
    pub bytes: u64,
    pub copied: u32,
    /// 0 received, 1 sent.
    pub sent: u32,
}

/// [`kind::CONTEXT_ENTER`], [`kind::CONTEXT_EXIT`], [`kind::CONTEXT_COPY`], [`kind::CONTEXT_END`],
/// [`kind::CONTEXT_READY`], [`kind::CONTEXT_CURRENT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Address of the `PyContext`; for [`kind::CONTEXT_COPY`] that of the copy. 0 where it could not be read, or is none.
    pub address: u64,
    /// [`kind::CONTEXT_ENTER`]: the callable that is run; [`kind::CONTEXT_READY`]: the code object of the function that
    /// sets the result. 0 where there is none to see.
    pub callable: u64,
}

/// [`kind::GREENLET_SWITCH`]: from here on the header's thread runs another greenlet. Those that a thread makes are
/// told by [`kind::CONTEXT_COPY`], their end by [`kind::CONTEXT_END`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Greenlet {
    /// Address of the C++ object; 0 for the thread's own stack, which is its main greenlet.
    pub address: u64,
}

/// [`kind::QUEUE_PUT`], [`kind::QUEUE_GOT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// Address of the item, which is in at most one queue.
    pub item: u64,
}

/// [`kind::IMPORT_START`]: followed by `copied` bytes of the module's name.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Import {
    pub copied: u32,
    pub reserved: u32,
}

/// [`kind::SAMPLE`]: what a thread ran when a timer of its CPU went off. [`kind::WAITING`]: what sleeps in a futex that
/// is not the GIL, for a while, or for a file; its innermost frames alone. [`kind::CREATING`]: the innermost frames of what
/// makes a thread or a greenlet, which [`kind::FORK`] or [`kind::CONTEXT_COPY`] tells next. Followed by `copied` bytes:
/// addresses of the code objects of its Python frames, the innermost first. Of [`kind::SAMPLE`] alone that of the
/// instruction which the thread had come to is before them, and [`MORE_FRAMES`] behind them, where there are more.
/// [`kind::ASKING`]: what sends the head of a request, which is told next; followed by [`Place`]s. A [`Stream`] comes before
/// the bytes of [`kind::ASKING`] and [`kind::WAITING`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub copied: u32,
    /// Of [`kind::SAMPLE`]: not 0 where the thread collects garbage.
    pub collects: u32,
}

/// Stands in a [`kind::SAMPLE`] for the frames further out than [`crate::limits::STACK_FRAMES`]: the address of nothing.
pub const MORE_FRAMES: u64 = 1;

/// [`kind::AWAITED`]: the coroutines of a task that await each other, the last of them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Awaited {
    /// Address of the context that the task runs in.
    pub context: u64,
    pub stream: Stream,
    /// How many there are, or as many as were gone through.
    pub count: u32,
    pub reserved: u32,
    /// Addresses of their code objects, a ring: that of the n-th, counted from the outermost, is at n modulo its length.
    pub codes: [u64; AWAITED_FRAMES],
}

/// For which stream of HTTP/2 somebody works, as the client has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Address of the object that is the connection for the client; 0 where nobody works for a stream.
    pub client: u64,
    /// 0 where it has none yet.
    pub number: u64,
}

/// A frame of [`kind::ASKING`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Address of the code object.
    pub code: u64,
    /// How far it has come in it, as the frame has it: up to 3.10 in the lower half, an offset that counts bytes and in
    /// 3.10 pairs of them; later an address within the code.
    pub instruction: u64,
}

const _: () = {
    assert!(size_of::<Sample>() == 8);
    assert!(size_of::<Place>() == 16);
    assert!(size_of::<Stream>() == 16);
    assert!(size_of::<Awaited>() == 32 + 8 * AWAITED_FRAMES);
    assert!(size_of::<Header>() == 24);
    assert!(size_of::<Fork>() == 8);
    assert!(size_of::<SwitchOut>() == 32);
    assert!(size_of::<SwitchIn>() == 16);
    assert!(size_of::<Connection>() == 64);
    assert!(size_of::<Connect>() == 24);
    assert!(size_of::<Arrival>() == 16);
    assert!(size_of::<Transfer>() == 32);
    assert!(size_of::<TlsSession>() == 8);
    assert!(size_of::<Plain>() == 32);
    assert!(size_of::<Context>() == 16);
    assert!(size_of::<Greenlet>() == 8);
    assert!(size_of::<Queued>() == 8);
    assert!(size_of::<Import>() == 8);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_keeps_eight_byte_alignment() {
        assert_eq!(size_of::<Header>() % 8, 0);
        assert_eq!(align_of::<Transfer>(), 8);
    }
}
