//! Calls over HTTP/2: each is a stream, and many of them share a connection. Of which stream bytes are, plaintext tells;
//! when they passed, the ciphertext around it.
//!
//! Whose a stream is, its first bytes tell by who sends them, as long as nobody else can have left them to be sent: clients
//! collect what all their tasks write, and any of these sends it. What may be another's is nobody's.

use foldhash::HashMap;

use crate::{
    event::{Asked, ConnectionId, Mark, RequestHead, Unknown},
    model::{
        Model,
        connection::{Connection, Taken},
        tls::{Arrived, Plaintext, answer_told},
        traffic::Transfer,
    },
    report::bucket::Bucket,
    request::{
        Call, RequestId,
        call::{HungUp, Place, Span},
        open::Worker,
    },
};

/// Streams of a connection whose end was not seen.
const STREAMS: usize = 4_096;

/// Who has had a stream of its own for this long after may still send what others have left.
const LATER_NS: u64 = 1_000_000_000;

/// What is known of the streams of a connection.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    /// Those whose answers are not whole.
    open: HashMap<u32, Stream>,
    /// Who had answers that were whole lately, and since when.
    ended_ns: HashMap<User, u64>,
    /// What was given to OpenSSL and is not sent yet.
    unsent: Vec<Part>,
}

/// For whom a connection is used: a request, or what is outside of all that are followed.
type User = Option<RequestId>;

#[derive(Clone, Debug)]
struct Stream {
    /// `None`: any of those who share the connection.
    by: Option<(User, Worker)>,
    /// Index of its call, once that was sent.
    call: Option<usize>,
}

/// A part of a request.
#[derive(Clone, Debug)]
struct Part {
    stream: u32,
    bytes: u64,
    head: Option<RequestHead>,
    asked: Option<Asked>,
    stack: Vec<Place>,
}

impl Streams {
    /// The one request that all open calls are for.
    pub fn request(&self) -> Option<RequestId> {
        let mut requests = self.open.values().map(|stream| stream.by?.0);
        let first = requests.next()??;
        requests.all(|request| request == Some(first)).then_some(first)
    }

    /// The calls whose answers are not whole.
    pub fn into_calls(self) -> Vec<(RequestId, usize)> {
        self.open.into_values().filter_map(|stream| Some((stream.by?.0?, stream.call?))).collect()
    }

    /// Whether so many new streams that somebody sends the beginnings of must be their own: nobody else has anything to do
    /// with the connection, or they have not had until now, so that they must have begun one.
    fn begins(&self, user: User, count: usize) -> bool {
        let all_known = self.open.values().all(|stream| stream.by.is_some());
        let open = self.open.values().filter_map(|stream| Some(stream.by?.0));
        let mut users = open.chain(self.ended_ns.keys().copied());
        let is_alone = users.clone().all(|other| other == user);
        all_known && (is_alone || count == 1 && users.all(|other| other != user))
    }

    fn end(&mut self, stream: u32, at_ns: u64) {
        if let Some(Stream { by: Some((user, _)), .. }) = self.open.remove(&stream) {
            self.ended_ns.insert(user, at_ns);
        }
    }
}

impl Model {
    /// OpenSSL took plaintext to send.
    pub(super) fn streams_asked(&mut self, id: ConnectionId, plain: &Plaintext, mut stack: Vec<Place>) {
        let Plaintext { tgid, tid, at_ns, marks, .. } = *plain;
        let (user, worker) = (self.acts_for(tgid, tid), self.worker(tid));
        self.forget_ended(id, at_ns);
        let Some(streams) = self.streams(id) else { return };
        let count = by_stream(marks).filter(|(stream, ..)| !streams.open.contains_key(stream)).count();
        let by = streams.begins(user, count).then_some((user, worker));
        for (stream, bytes, marks) in by_stream(marks) {
            let Some(streams) = self.streams(id) else { return };
            if marks.contains(&Mark::StreamReset) {
                self.stream_reset(id, stream, at_ns, HungUp::Client);
                continue;
            }
            let head = marks.iter().find_map(|mark| match mark {
                Mark::RequestHead { head, .. } => Some(head.clone()),
                _ => None,
            });
            let asked = marks.iter().rev().find_map(|mark| match mark {
                Mark::Asked(asked) => Some(asked.clone()),
                _ => None,
            });
            if streams.open.len() >= STREAMS || streams.unsent.len() >= STREAMS {
                streams.open.clear();
                streams.unsent.clear();
            }
            let is_new = !streams.open.contains_key(&stream);
            streams.open.entry(stream).or_insert(Stream { by, call: None });
            let stack = if is_new { std::mem::take(&mut stack) } else { Vec::new() };
            streams.unsent.push(Part { stream, bytes, head, asked, stack });
            if is_new && by.is_none() {
                self.is_nobodys(tgid);
            }
        }
    }

    /// Who was answered itself has nothing more to send.
    fn forget_ended(&mut self, id: ConnectionId, at_ns: u64) {
        let Some(streams) = self.streams(id) else { return };
        let mut ended_ns = std::mem::take(&mut streams.ended_ns);
        ended_ns.retain(|user, ended_ns| {
            let may_send = user.is_none_or(|request| self.requests.is_open(request));
            may_send && at_ns.saturating_sub(*ended_ns) < LATER_NS
        });
        if let Some(streams) = self.streams(id) {
            streams.ended_ns = ended_ns;
        }
    }

    /// Ciphertext goes out: what was given before is sent.
    pub(super) fn streams_sent(&mut self, id: ConnectionId, transfer: &Transfer) {
        let sent = Span { start_ns: transfer.enter_ns, end_ns: transfer.exit_ns };
        let parts = self.streams(id).map(|streams| std::mem::take(&mut streams.unsent)).unwrap_or_default();
        for part in parts {
            match self.call_on(id, part.stream) {
                Some(call) => {
                    if call.first_byte_ns.is_none() {
                        call.sent(sent, part.bytes);
                    }
                    if let Some(asked) = part.asked {
                        call.asked = asked;
                    }
                }
                None => self.stream_begins(id, transfer, sent, part),
            }
        }
    }

    fn stream_begins(&mut self, id: ConnectionId, transfer: &Transfer, sent: Span, part: Part) {
        let Part { stream, bytes, head, asked, stack } = part;
        let by = self.streams(id).and_then(|streams| streams.open.get(&stream)?.by);
        let Some((Some(request), worker)) = by else {
            // What it took to open the connection is not the next one's.
            if let Some(outbound) = self.connections.get_mut(&id).and_then(Connection::outbound) {
                outbound.n_calls += 1;
            }
            return;
        };
        let mut call = Call::new(id, 0, sent);
        call.request = head;
        call.asked = asked.unwrap_or_default();
        call.stack = stack;
        call.bytes_out = bytes;
        self.describe(id, transfer.tgid, request, &mut call);
        self.begin(id, request, transfer.tid, worker, call);
        let Some(outbound) = self.connections.get_mut(&id).and_then(Connection::outbound) else { return };
        if let (Some((_, index)), Some(streams)) = (outbound.call, &mut outbound.streams)
            && let Some(stream) = streams.open.get_mut(&stream)
        {
            stream.call = Some(index);
        }
    }

    /// Whether the connection's plaintext is read and is of HTTP/2.
    pub(super) fn speaks_http2(&mut self, id: ConnectionId) -> bool {
        self.streams(id).is_some()
    }

    /// Ciphertext was read, whose plaintext comes next.
    pub(super) fn ciphertext_arrived(&mut self, id: ConnectionId, transfer: &Transfer, taken: &Taken) {
        let is_data = |mark: &&Mark| matches!(mark, Mark::Ciphertext { .. });
        let Some(Mark::Ciphertext { at }) = transfer.marks.iter().find(is_data) else { return };
        let first_ns = taken.arrival_ns(*at).unwrap_or(transfer.exit_ns);
        let last_ns = taken.last_arrival_ns().unwrap_or(first_ns);
        if let Some(outbound) = self.connections.get_mut(&id).and_then(Connection::outbound) {
            outbound.arrived = Some(Arrived { first_ns, last_ns });
        }
    }

    /// OpenSSL gave plaintext, out of ciphertext that had arrived before.
    pub(super) fn streams_answered(&mut self, id: ConnectionId, plain: &Plaintext) {
        let Plaintext { at_ns, marks, .. } = *plain;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let rtt_ns = connection.rtt_ns;
        let Some(outbound) = connection.outbound() else { return };
        let arrived = outbound.arrived.unwrap_or(Arrived { first_ns: at_ns, last_ns: at_ns });
        // What else comes out of the same ciphertext came at its end at the latest.
        outbound.arrived = Some(Arrived { first_ns: arrived.last_ns, ..arrived });
        for (stream, bytes, marks) in by_stream(marks) {
            if marks.contains(&Mark::StreamReset) {
                self.stream_reset(id, stream, arrived.first_ns, HungUp::Peer);
                continue;
            }
            if let Some(call) = self.call_on(id, stream) {
                call.rtt_ns = rtt_ns.or(call.rtt_ns);
                call.received(arrived.first_ns, arrived.last_ns, at_ns, 1, bytes);
                answer_told(call, marks, arrived.first_ns);
            }
            if marks.contains(&Mark::ResponseEnd)
                && let Some(streams) = self.streams(id)
            {
                streams.end(stream, at_ns);
            }
        }
        if marks.contains(&Mark::Unparsed) {
            self.streams_lost(id);
        }
    }

    /// Frames passed that could not be told from each other: of whose answers they were is not known.
    fn streams_lost(&mut self, id: ConnectionId) {
        let streams = self.streams(id).cloned().unwrap_or_default();
        for (request, _) in streams.into_calls() {
            if let Some(request) = self.requests.get_mut(request) {
                request.complete = false;
            }
        }
    }

    fn stream_reset(&mut self, id: ConnectionId, stream: u32, at_ns: u64, by: HungUp) {
        if let Some(call) = self.call_on(id, stream) {
            call.hang_up(at_ns, by);
        }
        if let Some(streams) = self.streams(id) {
            streams.end(stream, at_ns);
        }
    }

    /// A call may be of any of the requests that share the connection.
    fn is_nobodys(&mut self, tgid: u32) {
        let known = self.facts.get_mut(&tgid).map(|known| &mut known.facts);
        let process = self.processes.get_mut(&tgid).and_then(|process| process.facts.as_mut());
        for facts in known.into_iter().chain(process) {
            for bucket in [Bucket::LlmFirstByte, Bucket::LlmStream] {
                let reason = SHARED.to_owned();
                let unknown = Unknown { bucket: bucket.name().to_owned(), reason };
                if !facts.unknown.contains(&unknown) {
                    facts.unknown.push(unknown);
                }
            }
        }
    }

    fn streams(&mut self, id: ConnectionId) -> Option<&mut Streams> {
        self.connections.get_mut(&id).and_then(Connection::outbound)?.streams.as_deref_mut()
    }

    fn call_on(&mut self, id: ConnectionId, stream: u32) -> Option<&mut Call> {
        let stream = self.streams(id)?.open.get(&stream)?;
        let ((Some(request), _), index) = (stream.by?, stream.call?) else { return None };
        self.requests.get_mut(request)?.calls.get_mut(index)
    }
}

const SHARED: &str = "some calls went out together with those of other requests, on one connection of HTTP/2: whose they are \
                      can't be told (a client for each request, or HTTP/1.1, shows it)";

/// Number, bytes and marks of each stream.
fn by_stream(marks: &[Mark]) -> impl Iterator<Item = (u32, u64, &[Mark])> {
    marks.chunk_by(|_, next| !matches!(next, Mark::Stream { .. })).filter_map(|marks| match marks {
        [Mark::Stream { id, bytes }, of_stream @ ..] => Some((*id, *bytes, of_stream)),
        _ => None,
    })
}
