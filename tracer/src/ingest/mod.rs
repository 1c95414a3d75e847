//! From the ring buffer to decoded events in order of time.

pub mod decode;
pub mod order;
mod reader;

use bytes::Bytes;

pub use reader::Reader;

use crate::event::{Event, Stream};

/// An event as the probes wrote it. A transfer has no marks yet, but the bytes they are found in.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    pub event: Event,
    /// Of a transfer or of plaintext: bytes of it; of who asks: places, as `tracer_ebpf::event::Place`. Empty for every
    /// other event.
    pub copied: Bytes,
    /// Of the entry of a context: the address of the callable that is run in it; of one that is ready: that of the code
    /// object which made it so. 0 for every other event, and where it does not show.
    pub callable: u64,
    /// Of who asks, and of what a thread or a task waits in: the stream of HTTP/2 that it works for. `None` for every other event.
    pub stream: Option<Stream>,
}

impl From<Event> for Raw {
    fn from(event: Event) -> Raw {
        Raw { event, copied: Bytes::new(), callable: 0, stream: None }
    }
}
