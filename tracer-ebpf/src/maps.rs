//! State of the probes. Every map has a limit in [`tracer_ebpf::limits`], which also says what happens there.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_F_MMAPABLE},
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};
use tracer_ebpf::{
    event::kind,
    function::{FunctionKey, total},
    limits,
    settings::PythonLayout,
};

/// Events on their way to user space.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(limits::RING_BYTES, 0);

/// One element: events that found the ring full, by kind. User space maps it into its memory.
#[map]
pub static DROPS: Array<[u64; kind::LIMIT as usize]> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Traced processes, by tgid: [`tracer_ebpf::settings::traced`] flags. Written by user space and at fork.
#[map]
pub static TRACED: HashMap<u32, u32> = HashMap::with_max_entries(limits::PROCESSES, 0);

/// One element, [`tracer_ebpf::settings::watch`] flags.
#[map]
pub static WATCH: Array<u32> = Array::with_max_entries(1, 0);

/// What threads of traced processes are doing, by tid.
#[map]
pub static THREADS: LruHashMap<u32, Thread> = LruHashMap::with_max_entries(limits::THREADS, 0);

/// Known sockets of traced processes, by address of `struct sock`.
#[map]
pub static SOCKETS: LruHashMap<u64, Socket> = LruHashMap::with_max_entries(limits::SOCKETS, 0);

/// When the first data came for sockets that nobody accepted yet, by address of `struct sock`.
#[map]
pub static EARLY: LruHashMap<u64, u64> = LruHashMap::with_max_entries(limits::EARLY_SOCKETS, 0);

/// Ports on which a traced process listens.
#[map]
pub static LISTEN_PORTS: HashMap<u16, u8> = HashMap::with_max_entries(limits::LISTEN_PORTS, 0);

/// Where an event with copied bytes is put together: too large for the stack of a program (512 bytes).
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Where traced processes keep CPython's frames, by tgid. Written by user space and at fork.
#[map]
pub static LAYOUTS: HashMap<u32, PythonLayout> = HashMap::with_max_entries(limits::PROCESSES, 0);

/// CPython's states of threads, by tid.
#[map]
pub static THREAD_STATES: LruHashMap<u32, ThreadState> = LruHashMap::with_max_entries(limits::THREADS, 0);

/// Where a sample is put together; apart from [`SCRATCH`], whose users a timer's interrupt may come between.
#[map]
pub static STACK: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// The same for a thread that is about to sleep.
#[map]
pub static LOCK: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// TLS sessions of clients.
#[map]
pub static TLS_SESSIONS: LruHashMap<TlsKey, TlsSession> =
    LruHashMap::with_max_entries(limits::TLS_SESSIONS, 0);

/// What a thread has called OpenSSL for, by tid.
#[map]
pub static TLS_CALLS: LruHashMap<u32, TlsCall> = LruHashMap::with_max_entries(limits::THREADS, 0);

/// How often functions were entered. User space makes it as large as that only where functions are counted.
#[map]
pub static FUNCTIONS: HashMap<FunctionKey, u64> = HashMap::with_max_entries(limits::FUNCTIONS, 0);

/// One element: what was counted in all. User space maps it into its memory.
#[map]
pub static FUNCTION_TOTALS: Array<[u64; total::LIMIT]> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Writes what a thread has of its own: over what is there, which costs half of a replacement. A full table evicts another.
#[inline(always)]
pub fn put<T: Copy>(map: &LruHashMap<u32, T>, tid: u32, value: T) {
    match map.get_ptr_mut(tid) {
        // SAFETY: the kernel keeps an element's memory while a program runs; only this thread, which is current, writes to it
        // while it runs.
        Some(entry) => unsafe { *entry = value },
        None => {
            let _ = map.insert(tid, value, BPF_ANY as u64);
        }
    }
}

/// What a thread is doing. `op` is 0 outside syscalls; then only `wake_ns`, `waker_tid` and `is_off` mean something.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Thread {
    pub enter_ns: u64,
    pub wake_ns: u64,
    pub connection: u64,
    /// As in [`tracer_ebpf::event::SwitchOut`].
    pub argument: u64,
    /// Address of `struct sock`; 0 where the syscall is on none that we follow.
    pub sock: u64,
    /// User address of what is transferred, in the form that `op` tells.
    pub buffer: u64,
    pub waker_tid: u32,
    pub wait: u32,
    /// One of [`crate::probes::op`].
    pub op: u32,
    /// Entries of an iovec.
    pub count: u32,
    /// 1 from when it left the CPU until it is seen to be back.
    pub is_off: u32,
    pub reserved: u32,
}

impl Thread {
    pub const IDLE: Thread = Thread {
        enter_ns: 0,
        wake_ns: 0,
        connection: 0,
        argument: 0,
        sock: 0,
        buffer: 0,
        waker_tid: 0,
        wait: 0,
        op: 0,
        count: 0,
        is_off: 0,
        reserved: 0,
    };
}

/// CPython's state of a thread, as it was found last.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ThreadState {
    pub address: u64,
    /// Where it has the context that the thread runs in, and behind it the count of its changes; 0 where that is not
    /// known.
    pub context_place: u64,
    /// The context that user space believes the thread to be in.
    pub context: u64,
    /// CPython's count of the thread's changes of context (`context_ver`) when that was told.
    pub context_version: u64,
    /// Not 0 where it received something in the context that it is in, or just before it entered that.
    pub received: u64,
    /// Up to when it has used what it may tell of what tasks waited in.
    pub awaited_ns: u64,
}

/// Which TLS session of a process.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TlsKey {
    /// Address of OpenSSL's `SSL`.
    pub address: u64,
    pub tgid: u32,
    /// 0: keys are compared with their padding.
    pub reserved: u32,
}

/// A TLS session.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TlsSession {
    /// Of [`session`].
    pub flags: u32,
    pub long: LongTransfers,
}

/// Counts long transfers in one direction.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LongTransfers {
    sent: u16,
    count: u16,
}

impl LongTransfers {
    pub const NONE: LongTransfers = LongTransfers { sent: 0, count: 0 };

    /// Whether so many bytes are copied as a head and a tail.
    #[inline(always)]
    pub fn takes(&mut self, bytes: u64, sent: bool) -> bool {
        if self.sent != u16::from(sent) {
            *self = LongTransfers { sent: u16::from(sent), count: 0 };
        }
        if bytes <= (limits::HEAD_BYTES + limits::TAIL_BYTES) as u64 {
            return true;
        }
        if u32::from(self.count) >= limits::LONG_TRANSFERS {
            return false;
        }
        self.count += 1;
        true
    }
}

/// Flags of a [`TlsSession`].
pub mod session {
    /// It is a client's.
    pub const CLIENT: u32 = 1;
    /// TLS_START is out.
    pub const STARTED: u32 = 2;
    /// It carries requests of HTTP.
    pub const HTTP: u32 = 4;
    /// It began with the preface of HTTP/2.
    pub const HTTP2: u32 = 8;
}

/// A call of OpenSSL that transfers plaintext.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TlsCall {
    pub enter_ns: u64,
    /// Address of the session; 0 when the call is over.
    pub session: u64,
    pub buffer: u64,
    /// Where it puts how many bytes it transferred; 0 where it returns that.
    pub count_place: u64,
}

/// A known socket.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Socket {
    pub connection: u64,
    pub received: u64,
    pub sent: u64,
    /// Process and thread that used it first: events in interrupts carry them.
    pub tgid: u32,
    pub tid: u32,
    pub role: u32,
    pub protocol: u16,
    /// Of [`flag`].
    pub flags: u16,
    /// Of a client of HTTP.
    pub long: LongTransfers,
    pub reserved: u32,
}

/// Flags of a [`Socket`].
pub mod flag {
    /// Its CONNECTION event is out.
    pub const ANNOUNCED: u16 = 1;
    /// A TLS handshake record was transferred.
    pub const TLS: u16 = 2;
    /// It carries requests of a client of HTTP.
    pub const HTTP: u16 = 4;
}

/// Room for the copied bytes; twice their limit, so that a mask proves the bound to the verifier.
pub const SCRATCH_BYTES: usize = 2 * limits::HEAD_BYTES;

#[repr(C)]
pub struct Scratch {
    pub header: tracer_ebpf::event::Header,
    pub body: [u64; 4],
    pub bytes: [u8; SCRATCH_BYTES],
}
