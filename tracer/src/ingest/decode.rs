//! Bytes of one ring record to an event. Total: any bytes give an event or an error.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use tracer_ebpf::{
    event::{kind, role, wait},
    limits::AWAITED_FRAMES,
};

use super::Raw;
use crate::event::{
    Body, Connection, ConnectionId, Direction, Event, OffState, Role, Stream, Transport, Wait,
};

/// Why a record is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the record is cut: {bytes} bytes")]
    Cut { bytes: usize },
    #[error("kind {0} is unknown")]
    Kind(u32),
    #[error("kind {kind} holds {value} in `{field}`, which means nothing")]
    Value { kind: u32, field: &'static str, value: u64 },
}

/// `AF_INET`, `AF_INET6`, `AF_UNIX`, include/linux/socket.h.
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// `IPPROTO_TCP`, `IPPROTO_UDP`, include/uapi/linux/in.h.
const TCP: u16 = 6;
const UDP: u16 = 17;

/// `TASK_UNINTERRUPTIBLE`, include/linux/sched.h.
const UNINTERRUPTIBLE: u32 = 2;

/// `TASK_DEAD`, include/linux/sched.h.
const DEAD: u32 = 0x80;

/// The event in a record, which may be longer than the event, as the ring rounds up.
pub fn decode(record: &[u8]) -> Result<Raw, DecodeError> {
    let cut = DecodeError::Cut { bytes: record.len() };
    let mut fields = Fields { rest: record };
    let (ts_ns, tgid, tid, kind, _reserved) = fields.header().ok_or(cut)?;
    let event = |body| Event { ts_ns, tgid, tid, body };
    match kind {
        kind::TRANSFER => {
            let (body, copied) = fields.transfer().ok_or(cut)??;
            Ok(Raw { copied, ..event(body).into() })
        }
        kind::PLAIN => {
            let (body, copied) = fields.plain().ok_or(cut)??;
            Ok(Raw { copied, ..event(body).into() })
        }
        kind::CONTEXT_ENTER => {
            let (context, callable) = fields.u64().zip(fields.u64()).ok_or(cut)?;
            Ok(Raw { callable, ..event(Body::ContextEnter { context }).into() })
        }
        kind::ASKING => {
            let (stream, copied) = fields.copied_on_stream().ok_or(cut)?;
            Ok(Raw { copied, stream, ..event(Body::Asking { places: Vec::new() }).into() })
        }
        kind::WAITING => {
            let (stream, copied) = fields.copied_on_stream().ok_or(cut)?;
            Ok(Raw { stream, ..event(Body::Waiting { frames: words(&copied) }).into() })
        }
        kind::AWAITED => {
            let (context, stream) = fields.u64().zip(fields.stream()).ok_or(cut)?;
            let frames = fields.awaited().ok_or(cut)?;
            Ok(Raw { stream, ..event(Body::Awaited { context, frames }).into() })
        }
        kind::CONTEXT_READY => {
            let (context, callable) = fields.u64().zip(fields.u64()).ok_or(cut)?;
            Ok(Raw { callable, ..event(Body::ContextReady { context }).into() })
        }
        _ => Ok(event(body(kind, &mut fields).ok_or(cut)??).into()),
    }
}

/// Name of a kind, for counts of lost events.
pub fn kind_name(kind: u32) -> &'static str {
    match kind {
        kind::FORK => "fork",
        kind::EXEC => "exec",
        kind::EXIT => "exit",
        kind::PROCESS_END => "process_end",
        kind::MAPPED => "mapped",
        kind::SWITCH_OUT => "switch_out",
        kind::SWITCH_IN => "switch_in",
        kind::ON_CPU => "on_cpu",
        kind::CONNECTION => "connection",
        kind::CONNECT => "connect",
        kind::ESTABLISHED => "established",
        kind::ARRIVAL => "arrival",
        kind::TRANSFER => "transfer",
        kind::CLOSE => "close",
        kind::TLS_START => "tls_start",
        kind::TLS_END => "tls_end",
        kind::PLAIN => "plain",
        kind::RESET => "reset",
        kind::CONTEXT_ENTER => "context_enter",
        kind::CONTEXT_EXIT => "context_exit",
        kind::CONTEXT_COPY => "context_copy",
        kind::CONTEXT_END => "context_end",
        kind::GREENLET_SWITCH => "greenlet_switch",
        kind::CONTEXT_READY => "context_ready",
        kind::CONTEXT_CURRENT => "context_current",
        kind::AWAITED => "awaited",
        kind::GC_START => "gc_start",
        kind::GC_DONE => "gc_done",
        kind::IMPORT_START => "import_start",
        kind::IMPORT_DONE => "import_done",
        kind::QUEUE_PUT => "queue_put",
        kind::QUEUE_GET => "queue_get",
        kind::QUEUE_GOT => "queue_got",
        kind::SAMPLE => "sample",
        kind::WAITING => "waiting",
        kind::CREATING => "creating",
        kind::ASKING => "asking",
        _ => "unknown",
    }
}

/// The body of every kind that is nothing but an event; `None` when the bytes end early.
fn body(kind: u32, fields: &mut Fields) -> Option<Result<Body, DecodeError>> {
    let body = match kind {
        kind::FORK => Body::Fork { child_tgid: fields.u32()?, child_tid: fields.u32()? },
        kind::EXEC => Body::Exec,
        kind::EXIT => Body::Exit,
        kind::PROCESS_END => Body::ProcessEnd,
        kind::MAPPED => Body::Mapped,
        kind::SWITCH_OUT => return fields.switch_out(),
        kind::SWITCH_IN => Body::SwitchIn { wake_ns: fields.u64()?, waker_tid: fields.u32()? },
        kind::ON_CPU => Body::OnCpu { wake_ns: fields.u64()?, waker_tid: fields.u32()? },
        kind::CONNECTION => return fields.connection(),
        kind::CONNECT => {
            Body::Connect { connection: fields.id()?, enter_ns: fields.u64()?, result: fields.i64()? }
        }
        kind::ESTABLISHED => Body::Established { connection: fields.id()?, rcv_nxt: fields.u32()? },
        kind::ARRIVAL => Body::Arrival {
            connection: fields.id()?,
            rcv_nxt: fields.u32()?,
            rtt_ns: u64::from(fields.u32()?) * 1_000 / 8,
        },
        kind::CLOSE => Body::Close { connection: fields.id()? },
        kind::RESET => Body::Reset { connection: fields.id()? },
        kind::TLS_START => Body::TlsStart { session: fields.u64()? },
        kind::TLS_END => Body::TlsEnd { session: fields.u64()? },
        kind::CONTEXT_EXIT => Body::ContextExit { context: fields.u64()? },
        kind::CONTEXT_COPY => Body::ContextCopy { context: fields.u64()? },
        kind::CONTEXT_END => Body::ContextEnd { context: fields.u64()? },
        kind::CONTEXT_CURRENT => Body::ContextCurrent { context: fields.u64()? },
        kind::GREENLET_SWITCH => Body::GreenletSwitch { greenlet: fields.u64()? },
        kind::GC_START => Body::GcStart,
        kind::GC_DONE => Body::GcDone,
        kind::IMPORT_START => {
            let (copied, _reserved) = (fields.u32()?, fields.u32()?);
            let name = fields.bytes(copied as usize)?;
            Body::ImportStart { module: String::from_utf8_lossy(name).into_owned() }
        }
        kind::IMPORT_DONE => Body::ImportDone,
        kind::QUEUE_PUT => Body::QueuePut { item: fields.u64()? },
        kind::QUEUE_GET => Body::QueueGet,
        kind::QUEUE_GOT => Body::QueueGot { item: fields.u64()? },
        kind::SAMPLE => fields.sample()?,
        kind::CREATING => Body::Creating { frames: fields.frames()? },
        _ => return Some(Err(DecodeError::Kind(kind))),
    };
    Some(Ok(body))
}

/// What is left of a record. Each method takes the next field, in the order of `tracer_ebpf::event`.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn header(&mut self) -> Option<(u64, u32, u32, u32, u32)> {
        Some((self.u64()?, self.u32()?, self.u32()?, self.u32()?, self.u32()?))
    }

    fn switch_out(&mut self) -> Option<Result<Body, DecodeError>> {
        let (state, wait) = (self.u32()?, self.u32()?);
        let (connection, argument, cpu_ns) = (self.u64()?, self.u64()?, self.u64()?);
        let known = (connection != 0).then_some(ConnectionId(connection));
        let timeout_ns = (argument != u64::MAX).then_some(argument);
        let other = Wait::Other { syscall: argument };
        let wait = match wait {
            wait::NONE => Wait::None,
            wait::FUTEX => Wait::Futex { address: argument },
            wait::SLEEP => Wait::Sleep,
            wait::POLL => Wait::Poll { connection: known, timeout_ns },
            wait::EPOLL => Wait::Epoll { timeout_ns },
            wait::RECEIVE => known.map_or(other, |connection| Wait::Receive { connection }),
            wait::SEND => known.map_or(other, |connection| Wait::Send { connection }),
            wait::CONNECT => known.map_or(other, |connection| Wait::Connect { connection }),
            wait::ACCEPT => Wait::Accept,
            wait::FILE => Wait::File,
            wait::CHILD => Wait::Child,
            wait::OTHER => other,
            value => {
                return Some(Err(DecodeError::Value {
                    kind: kind::SWITCH_OUT,
                    field: "wait",
                    value: u64::from(value),
                }));
            }
        };
        let state = if state == 0 {
            OffState::Runnable
        } else if state & DEAD != 0 {
            OffState::Dead
        } else if state & UNINTERRUPTIBLE != 0 {
            OffState::Blocked
        } else {
            OffState::Sleeping
        };
        Some(Ok(Body::SwitchOut { state, wait, cpu_ns }))
    }

    fn connection(&mut self) -> Option<Result<Body, DecodeError>> {
        let id = self.id()?;
        let first_data_ns = self.u64()?;
        let (local, remote) = (self.array::<16>()?, self.array::<16>()?);
        let (local_port, remote_port) = (self.u16()?, self.u16()?);
        let (family, protocol) = (self.u16()?, self.u16()?);
        let (role, copied_seq) = (self.u32()?, self.u32()?);
        let role = match role {
            role::UNKNOWN => Role::Unknown,
            role::CONNECTED => Role::Connected,
            role::ACCEPTED => Role::Accepted,
            value => {
                return Some(Err(DecodeError::Value {
                    kind: kind::CONNECTION,
                    field: "role",
                    value: u64::from(value),
                }));
            }
        };
        let transport = match (family, protocol) {
            (AF_UNIX, _) => Transport::Unix,
            (_, TCP) => Transport::Tcp,
            (_, UDP) => Transport::Udp,
            _ => Transport::Other,
        };
        Some(Ok(Body::Connection(Box::new(Connection {
            id,
            role,
            transport,
            local: address(family, local).map(|address| (address, local_port)),
            remote: address(family, remote).map(|address| (address, remote_port)),
            first_data_ns: (first_data_ns != 0).then_some(first_data_ns),
            copied_seq,
        }))))
    }

    fn transfer(&mut self) -> Option<Result<(Body, Bytes), DecodeError>> {
        let (connection, enter_ns, result) = (self.id()?, self.u64()?, self.i64()?);
        let (direction, copied) = match self.copied(kind::TRANSFER)? {
            Ok(copied) => copied,
            Err(error) => return Some(Err(error)),
        };
        let marks = Vec::new();
        Some(Ok((Body::Transfer { connection, direction, enter_ns, result, marks }, copied)))
    }

    fn plain(&mut self) -> Option<Result<(Body, Bytes), DecodeError>> {
        let (session, enter_ns, bytes) = (self.u64()?, self.u64()?, self.u64()?);
        let (direction, copied) = match self.copied(kind::PLAIN)? {
            Ok(copied) => copied,
            Err(error) => return Some(Err(error)),
        };
        let marks = Vec::new();
        Some(Ok((Body::Plain { session, direction, enter_ns, bytes, marks }, copied)))
    }

    /// Which way bytes went, and those of them that were copied.
    fn copied(&mut self, kind: u32) -> Option<Result<(Direction, Bytes), DecodeError>> {
        let (copied, sent) = (self.u32()?, self.u32()?);
        let direction = match sent {
            0 => Direction::Received,
            1 => Direction::Sent,
            value => {
                return Some(Err(DecodeError::Value { kind, field: "sent", value: u64::from(value) }));
            }
        };
        Some(Ok((direction, Bytes::copy_from_slice(self.bytes(copied as usize)?))))
    }

    /// `None` within for none.
    fn stream(&mut self) -> Option<Option<Stream>> {
        let (client, number) = (self.u64()?, self.u64()?);
        let number = u32::try_from(number).ok().filter(|number| *number != 0);
        Some((client != 0).then_some(Stream { client, number }))
    }

    /// A stream is between a `Sample` and its bytes.
    fn copied_on_stream(&mut self) -> Option<(Option<Stream>, Bytes)> {
        let (copied, _collects) = (self.u32()?, self.u32()?);
        let stream = self.stream()?;
        Some((stream, Bytes::copy_from_slice(self.bytes(copied as usize)?)))
    }

    /// The bytes that follow a `Sample`.
    fn copied_behind(&mut self) -> Option<Bytes> {
        let (copied, _collects) = (self.u32()?, self.u32()?);
        self.bytes(copied as usize).map(Bytes::copy_from_slice)
    }

    fn frames(&mut self) -> Option<Vec<u64>> {
        self.copied_behind().map(|copied| words(&copied))
    }

    /// Out of the ring that they are told in, the innermost first.
    fn awaited(&mut self) -> Option<Vec<u64>> {
        let (count, _reserved) = (self.u32()? as usize, self.u32()?);
        let (codes, _rest) = self.bytes(8 * AWAITED_FRAMES)?.as_chunks();
        let innermost = (count.saturating_sub(AWAITED_FRAMES)..count).rev();
        Some(
            innermost
                .filter_map(|index| codes.get(index % AWAITED_FRAMES))
                .map(|code| u64::from_ne_bytes(*code))
                .collect(),
        )
    }

    fn sample(&mut self) -> Option<Body> {
        let collects = Fields { rest: self.rest.get(4..)? }.u32()? != 0;
        let frames = self.frames()?;
        Some(if collects { Body::Collecting { frames } } else { Body::Sample { frames } })
    }

    fn id(&mut self) -> Option<ConnectionId> {
        self.u64().map(ConnectionId)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_ne_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_ne_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*first)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(first)
    }
}

fn words(bytes: &[u8]) -> Vec<u64> {
    let (words, _rest) = bytes.as_chunks();
    words.iter().map(|word| u64::from_ne_bytes(*word)).collect()
}

/// An IPv4 address that is mapped into IPv6, as a dual-stack socket has it, is given as what it is.
fn address(family: u16, bytes: [u8; 16]) -> Option<IpAddr> {
    let [a, b, c, d, ..] = bytes;
    match family {
        AF_INET => Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
        AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()),
        _ => None,
    }
}
