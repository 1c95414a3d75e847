//! What user space tells the probes: kernel field offsets, resolved from `/sys/kernel/btf/vmlinux` at start,
//! because Rust programs carry no CO-RE relocations; and flags.

/// Byte offsets of kernel fields, in the order of use.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelOffsets {
    pub task_tgid: u32,
    pub task_pid: u32,
    pub task_state: u32,
    pub task_cpu_ns: u32,
    /// What user space has for `pthread_self()`.
    pub task_thread_pointer: u32,
    pub task_signal: u32,
    pub signal_live: u32,
    pub task_files: u32,
    pub files_fdt: u32,
    /// `fd` is behind it.
    pub fdtable_max_fds: u32,
    pub file_private_data: u32,
    pub file_inode: u32,
    pub file_count: u32,
    /// What the count holds for one reference: 1 in `f_count`, 0 in `f_ref` (6.13 and later).
    pub file_count_of_one: u32,
    pub inode_mode: u32,
    /// `sk` is behind it.
    pub socket_file: u32,
    pub sock_family: u32,
    pub sock_state: u32,
    pub sock_local_port: u32,
    pub sock_remote_port: u32,
    pub sock_local_v4: u32,
    pub sock_remote_v4: u32,
    pub sock_local_v6: u32,
    pub sock_remote_v6: u32,
    pub sock_protocol: u32,
    /// 1 where `sk_protocol` is an 8-bit field, as before 5.6.
    pub sock_protocol_is_byte: u32,
    pub tcp_sock_copied_seq: u32,
    pub tcp_sock_rcv_nxt: u32,
    pub tcp_sock_srtt_us: u32,
    pub sk_buff_len: u32,
    pub sk_buff_data: u32,
}

impl KernelOffsets {
    /// What the probes are compiled with.
    pub const ZERO: KernelOffsets = KernelOffsets {
        task_tgid: 0,
        task_pid: 0,
        task_state: 0,
        task_cpu_ns: 0,
        task_thread_pointer: 0,
        task_signal: 0,
        signal_live: 0,
        task_files: 0,
        files_fdt: 0,
        fdtable_max_fds: 0,
        file_private_data: 0,
        file_inode: 0,
        file_count: 0,
        file_count_of_one: 0,
        inode_mode: 0,
        socket_file: 0,
        sock_family: 0,
        sock_state: 0,
        sock_local_port: 0,
        sock_remote_port: 0,
        sock_local_v4: 0,
        sock_remote_v4: 0,
        sock_local_v6: 0,
        sock_remote_v6: 0,
        sock_protocol: 0,
        sock_protocol_is_byte: 0,
        tcp_sock_copied_seq: 0,
        tcp_sock_rcv_nxt: 0,
        tcp_sock_srtt_us: 0,
        sk_buff_len: 0,
        sk_buff_data: 0,
    };
}

/// Where a process keeps CPython's threads and frames: an address, and byte offsets of fields, in user memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PythonLayout {
    /// Where the pointer to the main interpreter is.
    pub main_interpreter: u64,
    /// First address of what holds the GIL, and the one behind its last.
    pub runtime_start: u64,
    pub runtime_end: u64,
    /// Where the pointer to the thread is that holds the GIL; 0 where each thread tells by [`PythonLayout::thread_status`].
    pub current_thread: u64,
    /// In an interpreter: the pointer to its first thread.
    pub first_thread: u32,
    /// In a thread: the pointer to the next one, what `pthread_self()` gives there, and the pointer to the innermost
    /// frame, or to what has that.
    pub next_thread: u32,
    pub thread_id: u32,
    pub thread_frame: u32,
    /// In what has the frame: the pointer to it. [`NONE`] where the thread has it itself.
    pub holder_frame: u32,
    /// In a frame: the pointers to the one that it returns to, and to its code.
    pub caller: u32,
    pub code: u32,
    /// In a frame: how far it has come in its code, as the version has it.
    pub instruction: u32,
    /// In an interpreter: 1 while garbage is collected, 32 bits. [`NONE`] where that is not known.
    pub collecting: u32,
    /// In a thread: bits of which [`PythonLayout::ACTIVE`] is set while it holds the GIL, 32 bits.
    pub thread_status: u32,
    /// In a thread: the pointer to the context that it runs in, which the count of its changes follows. [`NONE`] where
    /// that is not known, and probes tell when a context is left.
    pub thread_context: u32,
    pub reserved: u32,
    pub tasks: TaskLayout,
    pub streams: StreamLayout,
}

/// Where a task of asyncio keeps what it waits in: byte offsets of fields.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskLayout {
    /// The type of code objects, which tells coroutines and generators from others.
    pub code_type: u64,
    /// In any object: the pointer to its type.
    pub object_type: u32,
    /// In a tuple: its first item. In a list: the pointer to its items.
    pub tuple_items: u32,
    pub list_items: u32,
    /// In what a future calls to wake a task: the pointer to the task.
    pub waker_task: u32,
    /// In a task: the pointers to its coroutine and its context. [`NONE`] where tasks are not known.
    pub task_coroutine: u32,
    pub task_context: u32,
    /// In a coroutine: its frame, or the pointer to it.
    pub coroutine_frame: u32,
    /// In a frame: its stack, or the pointer to it; and how many values there are, 32 bits.
    pub stack: u32,
    pub stack_depth: u32,
    /// How far before the end of the stack the value is that a coroutine awaits.
    pub awaited: u32,
    pub reserved: u32,
    /// All bits set where frames are apart from their coroutines, and stacks from their frames, and where these are pointed to
    /// by their beginning; else none.
    pub frame_is_apart: u64,
    pub stack_is_apart: u64,
    pub has_depth: u64,
}

/// Where the methods of a client keep for which stream of HTTP/2 they work: byte offsets of fields.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamLayout {
    pub methods: [StreamMethod; STREAM_METHODS],
    /// In a frame: the pointer to the object whose method it is.
    pub first_local: u32,
    /// In an int: its last 30 bits.
    pub digit: u32,
}

impl StreamLayout {
    /// Whether there is any.
    #[inline(always)]
    pub fn is_used(&self) -> bool {
        self.methods[0].code != 0
    }
}

/// A method that makes one exchange, on a stream of its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamMethod {
    /// Address of its code object; 0 where there is none.
    pub code: u64,
    /// In its frame: the pointer to the number of the stream; NULL until it has one.
    pub stream: u32,
    pub reserved: u32,
}

impl PythonLayout {
    /// `_status.active` of PyThreadState (Include/cpython/pystate.h, 3.12 to 3.15).
    pub const ACTIVE: u32 = 1 << 4;

    /// Whether it tells where the context is that a thread runs in.
    #[inline(always)]
    pub fn has_contexts(&self) -> bool {
        self.thread_context != NONE
    }
}

/// Methods of a process that work for streams: one for clients of tasks, and one for clients of threads.
pub const STREAM_METHODS: usize = 2;

/// No offset.
pub const NONE: u32 = u32::MAX;

/// Flags of a traced process.
pub mod traced {
    /// Its events are wanted.
    pub const EMIT: u32 = 1;
    /// Processes that it makes are traced with the same flags.
    pub const INHERIT: u32 = 2;
}

/// What is told of processes that are not traced.
pub mod watch {
    /// [`crate::event::kind::EXEC`] of every process.
    pub const EXEC: u32 = 1;
}

/// How much is copied of the plaintext of calls; each holds what the one before does.
pub mod reading {
    /// Nothing within TLS. What passes sockets in plain is copied as far as it may be a head, as of any connection.
    pub const LENGTHS: u32 = 0;
    /// Heads of HTTP, and of anything else what may be its framing.
    pub const HEADS: u32 = 1;
    /// Of bodies, too, beginnings and ends.
    pub const BODIES: u32 = 2;
}
