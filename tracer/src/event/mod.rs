//! Ordered events as the model reads them and as a capture stores them.
//!
//! They differ from what the probes write ([`tracer_ebpf::event`]) in one thing: the copied bytes of a
//! transfer are reduced to [`Mark`]s, so nothing after [`crate::wire`] ever holds plaintext.

mod connection;
mod container;
mod function;
mod mark;
mod process;

use serde::{Deserialize, Serialize};

pub use connection::{Connection, Role, Transport};
pub use container::{Container, Owner, Pod};
pub use function::{Function, NATIVE, is_of_application};
pub use mark::{Asked, Limits, Mark, RequestHead, ResponseHead, Told};
pub use process::{ProcessFacts, Unknown};

/// A socket with its generation number: a new one for every socket, never reused within a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConnectionId(pub u64);

/// Something that happened in a traced process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `CLOCK_MONOTONIC`.
    pub ts_ns: u64,
    pub tgid: u32,
    pub tid: u32,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// Facts about a process, read when it was found to run Python.
    Process(Box<ProcessFacts>),
    Fork {
        child_tgid: u32,
        child_tid: u32,
    },
    Exec,
    /// The thread ended.
    Exit,
    SwitchOut {
        state: OffState,
        wait: Wait,
        /// CPU time of the thread in all, without what a hypervisor stole; 0 when unknown.
        cpu_ns: u64,
    },
    SwitchIn {
        /// 0 when it was not woken (it had been preempted).
        wake_ns: u64,
        /// 0 when unknown, or an interrupt.
        waker_tid: u32,
    },
    Connection(Box<Connection>),
    Connect {
        connection: ConnectionId,
        enter_ns: u64,
        /// 0 or a negative errno.
        result: i64,
    },
    Established {
        connection: ConnectionId,
        /// TCP sequence number of the first byte that will arrive.
        rcv_nxt: u32,
    },
    /// Data became readable in the kernel.
    Arrival {
        connection: ConnectionId,
        /// TCP sequence number after the last byte that arrived; 0 for UDP.
        rcv_nxt: u32,
        /// Smoothed round trip; 0 when unknown.
        rtt_ns: u64,
    },
    Transfer {
        connection: ConnectionId,
        direction: Direction,
        enter_ns: u64,
        /// Bytes transferred, or a negative errno.
        result: i64,
        marks: Vec<Mark>,
    },
    Close {
        connection: ConnectionId,
    },
    ContextEnter {
        context: u64,
    },
    ContextExit {
        context: u64,
    },
    /// The running context was copied to this one.
    ContextCopy {
        context: u64,
    },
    /// What was at this address is gone, or an empty context is there.
    ContextEnd {
        context: u64,
    },
    GcStart,
    GcDone,
    ImportStart {
        module: String,
    },
    ImportDone,
    /// `count` events of this kind were lost between `since_ns` and this event's time.
    Loss {
        kind: String,
        count: u64,
        since_ns: u64,
    },
    /// The step that the thread just entered is the end of an `asyncio.sleep`.
    SleepEnded,
    /// The thread puts an item into a queue that hands work to other threads.
    QueuePut {
        item: u64,
    },
    /// It asks such a queue for an item, so it is done with the one before.
    QueueGet,
    /// It got this one.
    QueueGot {
        item: u64,
    },
    /// The last thread of the process ended.
    ProcessEnd,
    /// From here on this is the code object at an address of the process.
    Code {
        address: u64,
        function: Function,
    },
    /// What the thread ran when its CPU's timer went off: addresses of code objects, the innermost first. Where that one had
    /// called native code, that comes before it.
    Sample {
        frames: Vec<u64>,
    },
    /// What the thread sleeps in: its innermost code objects. Comes before it sleeps in a futex that is not the GIL, for a
    /// while, or for a file.
    Waiting {
        frames: Vec<u64>,
    },
    /// From here on the steps of the process are not followed: they are too many.
    Unfollowed,
    /// The process loaded a library.
    Mapped,
    /// The thread turns to another greenlet; 0 is its main one. Greenlets are made as contexts are copied.
    GreenletSwitch {
        greenlet: u64,
    },
    /// The thread makes another one, or a greenlet, which comes next: its innermost code objects.
    Creating {
        frames: Vec<u64>,
    },
    /// The running step sets the result that this context waits for.
    ContextReady {
        context: u64,
    },
    /// The thread runs in this context by now: in another one than it was in when it entered one last. Nothing else tells
    /// that a context was left, where [`Body::ContextExit`] does not.
    ContextCurrent {
        context: u64,
    },
    /// A client's TLS session is about to send its first bytes on a connection.
    TlsStart {
        /// Address of OpenSSL's `SSL`, which is used again.
        session: u64,
    },
    /// It is freed.
    TlsEnd {
        session: u64,
    },
    /// A TLS session of an HTTP client took plaintext to send, or gave some that it received.
    Plain {
        session: u64,
        direction: Direction,
        enter_ns: u64,
        bytes: u64,
        marks: Vec<Mark>,
    },
    /// The other side ended a connection, all at once; it is closed next.
    Reset {
        connection: ConnectionId,
    },
    /// The running step sets a result, which [`Body::ContextReady`] tells next: the innermost code object that does.
    Setting {
        frames: Vec<u64>,
    },
    /// The thread sends the head of a request, which comes next: where its code objects have come to, the innermost first.
    Asking {
        places: Vec<Place>,
    },
    /// What is known of a container. It may be told before a process of it, after one, and again with more.
    Container(Box<Container>),
    /// As [`Body::Sample`], of a thread that collected garbage then.
    Collecting {
        frames: Vec<u64>,
    },
    /// Of this process only samples tell how long it was in this bucket.
    Sampled {
        bucket: String,
    },
    /// From here on each CPU is sampled so often in a second that it is used. Until that is told:
    /// [`tracer_ebpf::limits::SAMPLES_PER_SECOND`].
    Sampling {
        per_second: u32,
    },
    /// What the task of this context waited in until now: the innermost code objects of its coroutines.
    Awaited {
        context: u64,
        frames: Vec<u64>,
    },
    /// For which stream of HTTP/2 those work that [`Body::Asking`], [`Body::Waiting`] or [`Body::Awaited`] tells of next.
    OnStream(Stream),
    /// The thread has a CPU, and was not seen to get it. Its wake-up as of [`Body::SwitchIn`].
    OnCpu {
        wake_ns: u64,
        waker_tid: u32,
    },
}

/// A stream of HTTP/2 as a client has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Address of the object that is the connection, which may be used again.
    pub client: u64,
    /// `None` until it has one.
    pub number: Option<u32>,
}

/// How far a code object has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its address.
    pub code: u64,
    /// `None` where its line table says none, or could not be read.
    pub line: Option<u32>,
}

/// Why a thread is off CPU, by the kernel's task state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OffState {
    Runnable,
    Sleeping,
    /// Uninterruptible: block devices, page faults.
    Blocked,
    /// It ended, and never comes back.
    Dead,
}

/// The syscall that a thread left the CPU in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    None,
    Futex {
        address: u64,
    },
    Sleep,
    /// The time-out is what is left of it as the thread leaves the CPU.
    Poll {
        connection: Option<ConnectionId>,
        timeout_ns: Option<u64>,
    },
    Epoll {
        timeout_ns: Option<u64>,
    },
    Receive {
        connection: ConnectionId,
    },
    Send {
        connection: ConnectionId,
    },
    Connect {
        connection: ConnectionId,
    },
    Accept,
    File,
    Child,
    Other {
        syscall: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    Received,
    Sent,
}
