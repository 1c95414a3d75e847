//! Ordered events as the model reads them and as a capture stores them.
//!
//! They differ from what the probes write ([`tracer_ebpf::event`]) in one thing: the copied bytes of a
//! transfer are reduced to [`Mark`]s, so nothing after [`crate::wire`] ever holds plaintext.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::report::bucket::Bucket;

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
    /// The thread makes a greenlet, which comes next: its innermost code objects.
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

/// A socket of a traced process, when it was seen first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    pub id: ConnectionId,
    pub role: Role,
    pub transport: Transport,
    /// `None` for Unix sockets.
    pub local: Option<(IpAddr, u16)>,
    pub remote: Option<(IpAddr, u16)>,
    /// When the first byte arrived, if that was before the connection was accepted.
    pub first_data_ns: Option<u64>,
    /// TCP sequence number of the next byte to be read.
    pub copied_seq: u32,
}

impl Connection {
    /// One on which nothing came yet, with no address of its own.
    pub fn new(
        id: ConnectionId,
        role: Role,
        transport: Transport,
        remote: Option<(IpAddr, u16)>,
    ) -> Connection {
        Connection { id, role, transport, local: None, remote, first_data_ns: None, copied_seq: 0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// It was there before the tracer, or inherited.
    Unknown,
    Connected,
    Accepted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    Tcp,
    Udp,
    Unix,
    Other,
}

/// What a transfer meant on the wire. `at` is the offset of its first byte within the transfer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Mark {
    /// A TLS ClientHello is complete.
    ClientHello {
        sni: Option<String>,
        alpn: Option<String>,
    },
    /// The client's last handshake flight went out: what follows is application data.
    HandshakeDone,
    /// TLS application data of the application's own, session tickets left out.
    Ciphertext {
        at: u64,
    },
    /// Encrypted records from the server that look like TLS 1.3 session tickets: few, small, of one size, and
    /// before any application data. Where no [`Mark::Ciphertext`] follows, they were a small answer.
    Ticket {
        at: u64,
    },
    /// A proxy granted the tunnel it was asked for. The `CONNECT` request has no other mark, and an answer that
    /// refuses it is a response without a request.
    Tunnel {
        host: String,
        port: u16,
    },
    RequestHead {
        at: u64,
        head: RequestHead,
    },
    /// The request that was open is whole: its last byte is in this transfer. Missing where the end lay beyond
    /// the copied bytes; then the response shows that it was whole.
    RequestEnd,
    ResponseHead {
        at: u64,
        head: ResponseHead,
    },
    /// The response that was open is whole.
    ResponseEnd,
    /// Body bytes of the open request or response.
    Body {
        at: u64,
    },
    /// The connection changed protocol (101): it is one request until it is closed.
    Upgraded,
    DnsQuery {
        id: u16,
        name: String,
    },
    DnsAnswer {
        id: u16,
        name: String,
        addresses: Vec<IpAddr>,
    },
    /// The bytes are no protocol we know, or we lost the thread of it: the exchange that is open is incomplete. A
    /// later [`Mark::RequestHead`] starts afresh.
    Unparsed,
    /// What the open request asks a model for, as far as it is known by now.
    Asked(Asked),
    /// What the open answer tells of itself, as far as it is known by now.
    Told(Told),
    /// Output of a model: of this transfer, the first.
    Content,
    /// Of the head of the open answer.
    Limits(Limits),
    /// Encrypted records from the server that are no answer: alerts, frames of control.
    Control,
    /// A connection of HTTP/2 begins: each of its requests is a stream.
    Http2,
    /// What follows, up to the next of these, is of one stream of HTTP/2.
    Stream {
        id: u32,
        /// So much of the transfer is of it.
        bytes: u64,
    },
    /// The stream ends before its answer.
    StreamReset,
}

/// What a request asks a model for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub model: Option<String>,
    /// Whether the answer shall be streamed.
    pub stream: Option<bool>,
    /// How many attempts there were before, as the client counts them.
    pub retries: Option<u32>,
}

/// What an answer of a model tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub model: Option<String>,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    /// The model was done.
    pub is_ended: bool,
    /// There is an error in it.
    pub is_failed: bool,
}

/// What an answer says of the limits of the caller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// When to try again.
    pub retry_after_ns: Option<u64>,
    pub requests_left: Option<u64>,
    pub tokens_left: Option<u64>,
}

/// Metadata of an HTTP request head: all that is ever kept of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestHead {
    pub method: String,
    /// Without query string.
    pub path: String,
    /// Without port, in lower case.
    pub host: Option<String>,
    pub traceparent: Option<String>,
}

/// Metadata of an HTTP response head.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResponseHead {
    pub status: u16,
    /// `text/event-stream` or another streaming type.
    pub stream: bool,
    /// The vendor's own name for the request, from the headers that the vendor table lists.
    pub vendor_request_id: Option<String>,
    /// The vendor's own figure of its time.
    pub vendor_reported_ns: Option<u64>,
}

/// The file that native code is said to be in, whose function is the name of its real one.
pub const NATIVE: &str = "<native>";

/// A function of Python code, or native code of one file that Python calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Function {
    /// Qualified from 3.11 on.
    pub name: String,
    pub file: String,
    /// Where it begins.
    pub line: u32,
}

impl Function {
    /// Native code of a library.
    pub fn native(library: String) -> Function {
        Function { name: library, file: NATIVE.to_owned(), line: 0 }
    }

    pub fn is_native(&self) -> bool {
        self.file == NATIVE
    }

    /// Whether it is the user's own: no library's, not of the standard library, and not made from text.
    pub fn is_of_application(&self) -> bool {
        is_of_application(&self.file)
    }
}

/// Whether the functions of a file are the user's own.
pub fn is_of_application(file: &str) -> bool {
    let of_libraries = ["/site-packages/", "/dist-packages/", "/lib/python3"];
    !file.starts_with('<')
        && !of_libraries.iter().any(|folder| file.contains(folder))
        && !bundled(file).is_some_and(is_of_standard_library)
}

/// The path of a file within a program that was made of an application: PyInstaller's tell no other, Nuitka's folder is
/// called after the program.
fn bundled(file: &str) -> Option<&str> {
    if !file.starts_with('/') {
        return Some(file);
    }
    file.rsplit_once(".dist/").map(|(_folder, within)| within)
}

/// Whether it is the file of a module of the standard library, by the name that this begins with.
fn is_of_standard_library(within: &str) -> bool {
    let module = within.split('/').next().unwrap_or_default();
    let module = module.strip_suffix(".py").unwrap_or(module);
    include_str!("../data/standard_library.txt").lines().any(|name| name == module)
}

/// What is known of a process that runs Python.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// Since the epoch.
    pub start_unix_ns: u64,
    pub exe: String,
    /// Arguments, shortened; values that look like secrets are not kept.
    pub cmdline: String,
    /// `3.11.2`, or `3.11` where only that is known.
    pub python: Option<String>,
    pub container_id: Option<String>,
    /// First address of `_PyRuntime` in the process, and the one behind its last: a futex inside is the GIL.
    pub runtime: Option<(u64, u64)>,
    /// Buckets that no probe can see in this process, with the reason.
    pub unknown: Vec<Unknown>,
    /// Those that samples tell of instead, as [`Body::Sampled`] says.
    #[serde(skip)]
    pub sampled: Vec<Unknown>,
}

impl ProcessFacts {
    /// Samples tell of a bucket that no probe can see.
    pub fn is_sampled(&mut self, bucket: &str) {
        self.sampled.extend(self.unknown.extract_if(.., |unknown| unknown.bucket == bucket));
    }

    /// Whether only samples tell of a bucket.
    pub fn samples(&self, bucket: Bucket) -> bool {
        self.sampled.iter().any(|sampled| sampled.bucket == bucket.name())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unknown {
    /// A bucket's name, as in the report.
    pub bucket: String,
    pub reason: String,
}

/// A container, as its runtime or Kubernetes knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// As in [`ProcessFacts::container_id`].
    pub id: String,
    /// The name of what it was made of.
    pub image: Option<String>,
    pub pod: Option<Pod>,
}

/// A container's place in Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    #[serde(default)]
    pub uid: Option<String>,
    /// The container's name within the pod.
    pub container: String,
    pub node: Option<String>,
    /// What made it; a Deployment rather than its ReplicaSet.
    #[serde(default)]
    pub owner: Option<Owner>,
    /// Those of its labels that the configuration asks for.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// An object of Kubernetes that makes pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Owner {
    pub kind: String,
    pub name: String,
}

impl Container {
    /// Takes in what else became known. Who knows less takes nothing back.
    pub fn learn(&mut self, newer: &Container) {
        if newer.image.is_some() {
            self.image.clone_from(&newer.image);
        }
        let Some(newer) = &newer.pod else { return };
        let pod = self.pod.get_or_insert_with(|| newer.clone());
        let Pod { namespace, name, uid, container, node, owner, labels } = newer.clone();
        let (node, owner, uid) =
            (node.or(pod.node.take()), owner.or(pod.owner.take()), uid.or(pod.uid.take()));
        let labels = if labels.is_empty() { std::mem::take(&mut pod.labels) } else { labels };
        *pod = Pod { namespace, name, uid, container, node, owner, labels };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_of_the_application_or_of_a_library() {
        for (file, is_it) in [
            ("/srv/app.py", true),
            ("/srv/ssl.py", true),
            ("/srv/venv/lib/python3.13/site-packages/httpx/_client.py", false),
            ("/usr/lib/python3.11/ssl.py", false),
            ("<frozen importlib._bootstrap>", false),
            // Of PyInstaller, and of Nuitka in one file.
            ("app.py", true),
            ("routes/chat.py", true),
            ("ssl.py", false),
            ("http/client.py", false),
            // Of Nuitka in a folder.
            ("/opt/chat.dist/chat.py", true),
            ("/opt/chat.dist/http/client.py", false),
        ] {
            assert_eq!(is_of_application(file), is_it, "{file}");
        }
    }
}
