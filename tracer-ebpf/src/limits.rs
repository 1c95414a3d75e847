//! Sizes of maps and copies. Every map has a limit, and what happens when it is reached.

/// Bytes of the ring buffer; a power of two and a multiple of the page size. When it is full, events are
/// dropped and counted by kind.
pub const RING_BYTES: u32 = 8 << 20;

/// Traced processes at once; one more is not traced.
pub const PROCESSES: u32 = 8_192;

/// Threads of traced processes that are inside a syscall or off CPU; the least recently used is evicted.
pub const THREADS: u32 = 16_384;

/// Samples of a CPU in a second that it is used, unless another number is asked for: no divisor of how often programs do
/// things themselves.
pub const SAMPLES_PER_SECOND: u32 = 199;

/// Python frames of a sample; that there are more is told.
pub const STACK_FRAMES: usize = 128;

/// Python frames of a thread that makes another one or a greenlet: between what makes the workers of a pool and what makes
/// the greenlet are three.
pub const CREATING_FRAMES: usize = 8;

/// Python frames of a thread that is about to wait: as far out as the application is that had a library do it.
pub const WAITING_FRAMES: usize = 16;

/// Coroutines of a waiting task that are told, the innermost: as far out as the application is that awaits what a library
/// does. A power of two.
pub const AWAITED_FRAMES: usize = 32;

/// Coroutines that are gone through to get there: a web framework with its middleware has some 20 before the application's.
pub const COROUTINES: usize = 64;

/// How often a thread tells what tasks waited in, where it goes on and on: that takes 0.3 µs for each coroutine, 8 µs within a
/// web framework, and some loops end a wait in each step. And how many more it may tell at once: as many as a loop has
/// requests whose sleeps end together.
pub const AWAITED_EVERY_NS: u64 = 500_000;
pub const AWAITED_AT_ONCE: u64 = 1_024;

/// The same where a client speaks HTTP/2: whose calls are that share a connection, nothing else tells, and its tasks wait for
/// each other with each part of an answer.
pub const AWAITED_OF_STREAMS_EVERY_NS: u64 = 100_000;

/// Threads of an interpreter that are looked through for the one that runs; of another one the stack is not seen.
pub const INTERPRETER_THREADS: usize = 512;

/// Sockets of traced processes; the least recently used is evicted, and gets a new generation when seen again.
pub const SOCKETS: u32 = 32_768;

/// Sockets that hold data but were not yet accepted; the least recently used is evicted.
pub const EARLY_SOCKETS: u32 = 8_192;

/// Ports on which traced processes accept.
pub const LISTEN_PORTS: u32 = 1_024;

/// Bytes copied from the start of a transfer that may hold a head: an HTTP head, a ClientHello, a DNS message.
pub const HEAD_BYTES: usize = 2_048;

/// Bytes copied of a transfer that begins with the head of a request on a stream of HTTP/2, where it is longer than a head and a
/// tail: clients send the heads of what waits at once. A power of two; a longer one is copied as others are.
pub const HEADS_BYTES: usize = 16_384;

/// Bytes copied from the end of a transfer of a client of HTTP of which not all is copied: what an answer of a model says of
/// its tokens stands there.
pub const TAIL_BYTES: usize = 1_024;

/// Transfers of a client of HTTP in one direction that are longer than a head and a tail and copied as far as these; of
/// those behind, up to the next in the other direction, no more is copied than of any other: an answer of a model is
/// shorter, and a download would fill the ring.
pub const LONG_TRANSFERS: u32 = 64;

/// TLS sessions of traced processes; the least recently used is evicted, and is one that began unseen.
pub const TLS_SESSIONS: u32 = 16_384;

/// Bytes copied from the start of any other transfer: enough for an HTTP chunk size or a TLS record header.
pub const FRAME_BYTES: usize = 64;

/// Bytes of each direction of a connection that count as its beginning, where whole TLS flights are copied.
pub const BEGINNING_BYTES: u64 = 8_192;

/// Bytes copied from a module name at `import__find__load__start`.
pub const MODULE_BYTES: usize = 64;

/// Functions of all processes that are counted, each line in which they are entered or return on its own: 13 MB where that is
/// asked for. How often others are entered is lost, and that is counted.
pub const FUNCTIONS: u32 = 32_768;

/// How many entries into functions are counted in all, before counting ends by itself.
pub const COUNTED: u64 = 10_000_000;
