//! Calls over HTTP/2: each is a stream, and many of them share a connection. Of which stream bytes are, plaintext tells;
//! when they passed, the ciphertext around it; and whose they are, [`Sharing`].

use foldhash::HashMap;

use crate::{
    event::{Asked, ConnectionId, Mark, RequestHead, Stream},
    model::{
        Model,
        connection::{Connection, Taken},
        records::Records,
        sharing::{Sending, Sharing, User},
        tls::{Arrived, Plaintext, answer_told},
        traffic::Transfer,
    },
    report::bucket::Bucket,
    request::{
        Call, FunctionId, RequestId,
        call::{HungUp, Place, Span},
        open::Worker,
    },
};

/// Streams of a connection whose end was not seen.
const STREAMS: usize = 4_096;

/// Clients of a process whose end is not seen.
const CLIENTS: usize = 4_096;

/// Why a call is nobody's.
const SHARED: &str = "some calls went out together with those of other requests, on one connection of HTTP/2, so whose they are \
                      can't be told: with a client for each request, or by HTTP/1.1, it can";

/// What is known of the streams of a connection.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    sharing: Sharing,
    calls: HashMap<u32, Exchange>,
    /// What was given to OpenSSL and is not sent yet.
    unsent: Vec<Part>,
    /// Who makes the calls that are nobody's yet, where that is known.
    makers: HashMap<u32, Maker>,
    records: Records,
}

/// Who makes a call.
#[derive(Clone, Debug)]
struct Maker {
    worker: Worker,
    /// Empty where that is not known.
    stack: Vec<Place>,
}

/// A call whose answer is not whole.
#[derive(Clone, Debug)]
enum Exchange {
    /// Whose it is is not known.
    Open(Box<Call>),
    /// The request's, by its index there.
    Owned(RequestId, usize),
}

/// A part of a request.
#[derive(Clone, Debug)]
struct Part {
    stream: u32,
    bytes: u64,
    head: Option<RequestHead>,
    asked: Option<Asked>,
}

impl Streams {
    /// The one request that all open calls are for.
    pub fn request(&self) -> Option<RequestId> {
        let mut requests = self.calls.values().map(|call| match call {
            Exchange::Owned(request, _) => Some(*request),
            Exchange::Open(_) => None,
        });
        let first = requests.next()??;
        requests.all(|request| request == Some(first)).then_some(first)
    }

    /// The calls whose answers are not whole, of which it is known whose they are.
    pub fn owned(&self) -> Vec<(RequestId, usize)> {
        let owned = self.calls.values().filter_map(|call| match call {
            Exchange::Owned(request, index) => Some((*request, *index)),
            Exchange::Open(_) => None,
        });
        owned.collect()
    }

    /// Whether any of them is nobody's.
    pub fn has_unknown(&self) -> bool {
        self.calls.keys().any(|stream| self.sharing.owner(*stream).is_none())
    }

    fn keep_few(&mut self) {
        if self.calls.len().max(self.unsent.len()).max(self.makers.len()) >= STREAMS {
            let records = std::mem::take(&mut self.records);
            *self = Streams { records, ..Streams::default() };
        }
    }
}

impl Model {
    /// OpenSSL took plaintext to send.
    pub(super) fn streams_asked(
        &mut self,
        id: ConnectionId,
        plain: &Plaintext,
        stack: Vec<Place>,
        on: Option<Stream>,
    ) {
        let Plaintext { tgid, tid, at_ns, marks, .. } = *plain;
        if let Some(Stream { client, .. }) = on {
            let clients = &mut self.process(tgid).clients;
            if clients.len() >= CLIENTS {
                clients.clear();
            }
            clients.insert(client, id);
        }
        let user = self.acts_for(tgid, tid);
        let is_only = !self.requests.has_others(tgid, user);
        let Some(mut streams) = self.take_streams(id) else { return };
        streams.keep_few();
        streams.records.takes(plain.bytes);
        streams.sharing.forget(|request| self.requests.is_open(request));
        let begun = |marks: &[Mark]| {
            marks.iter().any(|mark| matches!(mark, Mark::RequestHead { .. } | Mark::Body { .. }))
        };
        let new = by_stream(marks).filter(|(id, _, marks)| begun(marks) && !streams.sharing.knows(*id));
        let new: Vec<u32> = new.map(|(id, ..)| id).collect();
        let besides = by_stream(marks).any(|(id, ..)| !new.contains(&id));
        if on.is_some() {
            streams.sharing.set_told();
        }
        let works_on = on.and_then(|on| on.number);
        let own = streams.sharing.sends(&Sending { user, new: &new, besides, is_only, works_on });
        // These have lines, which those of a task that waited have not.
        if let Some(first) = works_on.or(own.first().copied())
            && !matches!(streams.calls.get(&first), Some(Exchange::Owned(..)))
        {
            streams.makers.insert(first, Maker { worker: self.worker(tid), stack });
        }
        let mut reset = Vec::new();
        for (stream, bytes, marks) in by_stream(marks) {
            if marks.contains(&Mark::StreamReset) {
                reset.push(stream);
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
            streams.unsent.push(Part { stream, bytes, head, asked });
        }
        self.put_streams(id, streams);
        reset
            .into_iter()
            .for_each(|stream| self.stream_ended(id, tgid, stream, Some((at_ns, HungUp::Client))));
        own.into_iter().for_each(|stream| self.stream_owned(id, tid, stream));
    }

    /// For which stream somebody works, where that was told as of this time.
    pub(super) fn take_stream(&mut self, tgid: u32, tid: u32, at_ns: u64) -> Option<Stream> {
        let told = self.thread(tgid, tid).on_stream.take();
        told.filter(|(told_ns, _)| *told_ns == at_ns).map(|(_, stream)| stream)
    }

    /// Who waits, or did, works for a stream; what they run, if that tells who makes its call. Whether that has begun.
    pub(super) fn works_on_stream(
        &mut self,
        (tgid, tid): (u32, u32),
        user: User,
        on: Stream,
        worker: Worker,
        functions: &[FunctionId],
    ) -> bool {
        let Stream { client, number: Some(stream) } = on else { return false };
        let Some(&id) = self.process(tgid).clients.get(&client) else { return false };
        let Some(streams) = self.streams(id) else { return false };
        streams.keep_few();
        if streams.sharing.is_of(user, stream) {
            let places = functions.iter().map(|function| Place { function: *function, line: None });
            streams.makers.insert(stream, Maker { worker, stack: places.collect() });
            self.stream_owned(id, tid, stream);
        }
        self.call_on(id, stream).is_some()
    }

    /// Ciphertext goes out: what was given before is sent.
    pub(super) fn streams_sent(&mut self, id: ConnectionId, transfer: &Transfer) {
        let Transfer { tgid, tid, enter_ns, exit_ns, .. } = *transfer;
        let sent = Span { start_ns: enter_ns, end_ns: exit_ns };
        let Some(streams) = self.streams(id) else { return };
        streams.records.sent(transfer.bytes);
        let parts = std::mem::take(&mut streams.unsent);
        for Part { stream, bytes, head, asked } in parts {
            if let Some(call) = self.call_on(id, stream) {
                if call.first_byte_ns.is_none() {
                    call.sent(sent, bytes);
                }
                call.asked = asked.unwrap_or_else(|| call.asked.clone());
                continue;
            }
            let mut call = Call::new(id, 0, sent);
            call.request = head;
            call.asked = asked.unwrap_or_default();
            call.bytes_out = bytes;
            self.describe(id, tgid, self.acts_for(tgid, tid), &mut call);
            let Some(streams) = self.streams(id) else { return };
            streams.calls.insert(stream, Exchange::Open(Box::new(call)));
            self.stream_owned(id, tid, stream);
        }
    }

    /// Whose a stream is may be known by now. Where it is not known who makes its call, whoever works on this thread does.
    fn stream_owned(&mut self, id: ConnectionId, tid: u32, stream: u32) {
        let maker = Maker { worker: self.worker(tid), stack: Vec::new() };
        let Some(streams) = self.streams(id) else { return };
        let Some(owner) = streams.sharing.owner(stream) else { return };
        match (owner, streams.calls.remove(&stream)) {
            (Some(request), Some(Exchange::Open(mut call))) => {
                let maker = streams.makers.remove(&stream).unwrap_or(maker);
                call.stack = maker.stack;
                if let Some(index) = self.begin(id, request, tid, maker.worker, *call)
                    && let Some(streams) = self.streams(id)
                {
                    streams.calls.insert(stream, Exchange::Owned(request, index));
                }
            }
            (_, Some(exchange)) => drop(streams.calls.insert(stream, exchange)),
            (_, None) => {}
        }
    }

    /// Whether the connection's plaintext is read and is of HTTP/2.
    pub(super) fn speaks_http2(&mut self, id: ConnectionId) -> bool {
        self.streams(id).is_some()
    }

    /// Ciphertext was read, whose plaintext comes next.
    pub(super) fn ciphertext_arrived(&mut self, id: ConnectionId, transfer: &Transfer, taken: &Taken) {
        if let Some(streams) = self.streams(id) {
            streams.records.read(taken, transfer.bytes);
        }
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
        let Plaintext { tgid, tid, at_ns, marks, .. } = *plain;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let rtt_ns = connection.rtt_ns;
        let Some(outbound) = connection.outbound() else { return };
        let arrived = outbound.arrived.unwrap_or(Arrived { first_ns: at_ns, last_ns: at_ns });
        // What else comes out of the same ciphertext came at its end at the latest.
        outbound.arrived = Some(Arrived { first_ns: arrived.last_ns, ..arrived });
        let known_ns = outbound.streams.as_mut().and_then(|streams| streams.records.gives(plain.bytes));
        let arrived = known_ns.map_or(arrived, |at_ns| Arrived { first_ns: at_ns, last_ns: at_ns });
        // What reads for nobody's request is a callback of the loop, for all.
        let reader = self.acts_for(tgid, tid).filter(|request| self.requests.is_open(*request));
        let own = match (reader, self.streams(id)) {
            (Some(reader), Some(streams)) => streams.sharing.reads(Some(reader)),
            _ => Vec::new(),
        };
        own.into_iter().for_each(|stream| self.stream_owned(id, tid, stream));
        for (stream, bytes, marks) in by_stream(marks) {
            if marks.contains(&Mark::StreamReset) {
                self.stream_ended(id, tgid, stream, Some((arrived.first_ns, HungUp::Peer)));
                continue;
            }
            if let Some(call) = self.call_on(id, stream) {
                call.rtt_ns = rtt_ns.or(call.rtt_ns);
                call.received(arrived.first_ns, arrived.last_ns, at_ns, 1, bytes);
                answer_told(call, marks, arrived.first_ns);
            }
            if marks.contains(&Mark::ResponseEnd) {
                self.stream_ended(id, tgid, stream, None);
            }
        }
        if marks.contains(&Mark::Unparsed) {
            self.streams_lost(id);
        }
    }

    /// Frames passed that could not be told from each other: of whose answers they were is not known.
    fn streams_lost(&mut self, id: ConnectionId) {
        let calls = self.streams(id).map(|streams| streams.owned()).unwrap_or_default();
        for (request, _) in calls {
            if let Some(request) = self.requests.get_mut(request) {
                request.complete = false;
            }
        }
    }

    /// A stream is over: answered, or before that, by one side. Whose it was will not be known any more.
    fn stream_ended(&mut self, id: ConnectionId, tgid: u32, stream: u32, reset: Option<(u64, HungUp)>) {
        if let (Some((at_ns, by)), Some(call)) = (reset, self.call_on(id, stream)) {
            call.hang_up(at_ns, by);
        }
        let Some(streams) = self.streams(id) else { return };
        streams.calls.remove(&stream);
        streams.makers.remove(&stream);
        if !streams.sharing.ends(stream) {
            self.hide_calls(tgid);
        }
    }

    /// A call of this process stays nobody's.
    pub(super) fn hide_calls(&mut self, tgid: u32) {
        self.hide(tgid, &[Bucket::LlmFirstByte, Bucket::LlmStream], SHARED);
    }

    fn streams(&mut self, id: ConnectionId) -> Option<&mut Streams> {
        self.connections.get_mut(&id).and_then(Connection::outbound)?.streams.as_deref_mut()
    }

    fn take_streams(&mut self, id: ConnectionId) -> Option<Streams> {
        self.streams(id).map(std::mem::take)
    }

    fn put_streams(&mut self, id: ConnectionId, streams: Streams) {
        if let Some(place) = self.streams(id) {
            *place = streams;
        }
    }

    fn call_on(&mut self, id: ConnectionId, stream: u32) -> Option<&mut Call> {
        // Once for each of them: what is borrowed in one arm would be so in the other.
        match self.streams(id)?.calls.get(&stream)? {
            Exchange::Owned(request, index) => {
                let call = (*request, *index);
                self.requests.call_mut(call)
            }
            Exchange::Open(_) => match self.streams(id)?.calls.get_mut(&stream)? {
                Exchange::Open(call) => Some(call),
                Exchange::Owned(..) => None,
            },
        }
    }
}

/// Number, bytes and marks of each stream.
fn by_stream(marks: &[Mark]) -> impl Iterator<Item = (u32, u64, &[Mark])> {
    marks.chunk_by(|_, next| !matches!(next, Mark::Stream { .. })).filter_map(|marks| match marks {
        [Mark::Stream { id, bytes }, of_stream @ ..] => Some((*id, *bytes, of_stream)),
        _ => None,
    })
}
