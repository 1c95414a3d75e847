//! TLS sessions: which connection each of them is on, and what their plaintext tells of the calls there.
//!
//! Nothing tells OpenSSL's session and the socket of each other. What does is for whom and in which order a thread begins
//! them: the ClientHello on a connection is of the session that the request which connected began first, also where its
//! event loop sends later (uvloop). Without the request, order alone tells. Of a session that began unseen it is the
//! ciphertext that a thread sends next, if that is as long as the plaintext makes it.

use foldhash::HashMap;

use tracer_ebpf::limits;

use crate::{
    event::{Asked, ConnectionId, Direction, Mark, RequestHead, Stream},
    model::{Model, connection::Connection, traffic::Transfer},
    request::{Call, RequestId, call::Place},
};

/// Sessions that a thread has begun whose ClientHello is not sent.
const BEGUN: usize = 1_024;

/// Sessions of a process that are remembered.
const SESSIONS: usize = limits::TLS_SESSIONS as usize;

/// The longest plaintext of a record (RFC 8446, section 5.1), and what encryption adds to one: a header of 5 bytes, a tag of
/// 16, and a type (1.3) or an explicit nonce of 8 (AES-GCM in 1.2).
pub const RECORD_BYTES: u64 = 16 << 10;
pub const LEAST_ADDED: u64 = 21;
pub const MOST_ADDED: u64 = 29;
/// What TLS 1.3 adds, which alone has tickets behind the handshake.
const ADDED_BY_1_3: u64 = 22;

/// Sessions by address, and the connection that each is on, where it is known.
pub type Sessions = HashMap<u64, Option<ConnectionId>>;

/// A session that a thread has begun, and for which request.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    session: u64,
    request: Option<RequestId>,
}

/// Plaintext that a session took or gave.
#[derive(Clone, Copy, Debug)]
pub struct Plaintext<'a> {
    pub tgid: u32,
    pub tid: u32,
    /// When it began to be sent, or was received.
    pub at_ns: u64,
    pub bytes: u64,
    pub marks: &'a [Mark],
}

/// Plaintext that a session took, and whose ciphertext was not seen yet.
#[derive(Clone, Debug)]
pub struct Unsent {
    session: u64,
    bytes: u64,
    marks: Vec<Mark>,
    stack: Vec<Place>,
    on: Option<Stream>,
}

/// A request whose head was given to OpenSSL and is not sent yet.
#[derive(Clone, Debug)]
pub struct Announced {
    pub head: RequestHead,
    pub asked: Asked,
    /// Who gave it to OpenSSL.
    pub stack: Vec<Place>,
}

/// When the ciphertext arrived that was received last.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    pub first_ns: u64,
    pub last_ns: u64,
}

impl Model {
    pub(super) fn session_started(&mut self, tgid: u32, tid: u32, session: u64) {
        let sessions = &mut self.process(tgid).sessions;
        if sessions.len() >= SESSIONS {
            // Their ends were lost.
            sessions.clear();
        }
        sessions.insert(session, None);
        let request = self.acts_for(tgid, tid);
        let begun = &mut self.thread(tgid, tid).begun_sessions;
        if begun.len() >= BEGUN {
            begun.pop_front();
        }
        begun.push_back(Begun { session, request });
    }

    pub(super) fn session_ended(&mut self, tgid: u32, session: u64) {
        let connection = self.process(tgid).sessions.remove(&session).flatten();
        let connection = connection.and_then(|id| self.connections.get_mut(&id));
        if let Some(outbound) = connection.and_then(Connection::outbound) {
            outbound.has_session = false;
        }
    }

    /// A session took plaintext, or gave some.
    pub(super) fn plain(&mut self, session: u64, direction: Direction, plain: &Plaintext) {
        let Plaintext { tgid, tid, at_ns, bytes, marks } = *plain;
        let begins = |mark: &Mark| matches!(mark, Mark::RequestHead { .. } | Mark::Body { .. });
        let asks = direction == Direction::Sent && marks.iter().any(begins);
        let stack = if asks { std::mem::take(&mut self.thread(tgid, tid).asking) } else { Vec::new() };
        let on = self.take_stream(tgid, tid, at_ns);
        match (self.process(tgid).sessions.get(&session).copied().flatten(), direction) {
            (Some(id), Direction::Sent) => self.plain_sent(id, plain, stack, on),
            (Some(id), Direction::Received) => self.plain_received(id, plain),
            (None, Direction::Sent) => {
                let unsent = Unsent { session, bytes, marks: marks.to_vec(), stack, on };
                self.thread(tgid, tid).unsent = Some(unsent);
            }
            (None, Direction::Received) => {}
        }
    }

    /// Before what a transfer means: whether it tells of a session that it is on its connection.
    pub(super) fn joins_session(&mut self, id: ConnectionId, transfer: &Transfer) {
        let is_hello = |mark: &Mark| matches!(mark, Mark::ClientHello { .. });
        let is_data = |mark: &Mark| matches!(mark, Mark::Ciphertext { .. });
        if transfer.marks.iter().any(is_hello) {
            if let Some(session) = self.session_that_sends_first(id, transfer) {
                self.join_session(id, transfer.tgid, session);
            }
        } else if transfer.marks.iter().any(is_data) && self.has_no_session(id) {
            let unsent = self.thread(transfer.tgid, transfer.tid).unsent.take();
            if let Some(unsent) = unsent.filter(|unsent| unsent.fits(transfer.bytes)) {
                self.join_session(id, transfer.tgid, unsent.session);
                let Transfer { tgid, tid, enter_ns: at_ns, .. } = *transfer;
                let plain = Plaintext { tgid, tid, at_ns, bytes: unsent.bytes, marks: &unsent.marks };
                self.plain_sent(id, &plain, unsent.stack, unsent.on);
            }
        }
    }

    /// Of what the thread has begun and not sent. Clients send at once, or after a turn of the loop: those of one request
    /// may overtake those of another.
    fn session_that_sends_first(&mut self, id: ConnectionId, transfer: &Transfer) -> Option<u64> {
        let outbound = self.connections.get_mut(&id).and_then(Connection::outbound)?;
        let connected = outbound.opened_by.map(|(request, _)| request);
        let mut begun = std::mem::take(&mut self.thread(transfer.tgid, transfer.tid).begun_sessions);
        let sessions = &self.process(transfer.tgid).sessions;
        begun.retain(|begun| sessions.get(&begun.session) == Some(&None));
        let of = |request| begun.iter().position(|begun| begun.request == request);
        let first = of(connected).or_else(|| of(None)).or(connected.is_none().then_some(0));
        let session = first.and_then(|first| begun.remove(first)).map(|begun| begun.session);
        self.thread(transfer.tgid, transfer.tid).begun_sessions = begun;
        session
    }

    fn has_no_session(&mut self, id: ConnectionId) -> bool {
        let outbound = self.connections.get_mut(&id).and_then(Connection::outbound);
        outbound.is_some_and(|outbound| !outbound.has_session)
    }

    fn join_session(&mut self, id: ConnectionId, tgid: u32, session: u64) {
        let outbound = self.connections.get_mut(&id).and_then(Connection::outbound);
        if let Some(outbound) = outbound.filter(|outbound| !outbound.has_session) {
            outbound.has_session = true;
            self.process(tgid).sessions.insert(session, Some(id));
        }
    }

    fn plain_sent(&mut self, id: ConnectionId, plain: &Plaintext, mut stack: Vec<Place>, on: Option<Stream>) {
        let Some(outbound) = self.connections.get_mut(&id).and_then(Connection::outbound) else { return };
        if plain.marks.contains(&Mark::Http2) {
            outbound.is_http = true;
            outbound.streams = Some(Box::default());
        }
        if outbound.streams.is_some() {
            return self.streams_asked(id, plain, stack, on);
        }
        for mark in plain.marks {
            let Some(outbound) = self.connections.get_mut(&id).and_then(Connection::outbound) else { return };
            match (mark, &mut outbound.announced) {
                (Mark::RequestHead { head, .. }, announced) => {
                    outbound.is_http = true;
                    let stack = std::mem::take(&mut stack);
                    *announced = Some(Announced { head: head.clone(), asked: Asked::default(), stack });
                }
                (Mark::Asked(asked), Some(announced)) => announced.asked = asked.clone(),
                (Mark::Asked(asked), None) => {
                    if let Some(call) = self.call_of(id) {
                        call.asked = asked.clone();
                    }
                }
                _ => {}
            }
        }
    }

    fn plain_received(&mut self, id: ConnectionId, plain: &Plaintext) {
        let Some(outbound) = self.connections.get_mut(&id).and_then(Connection::outbound) else { return };
        if outbound.streams.is_some() {
            return self.streams_answered(id, plain);
        }
        self.were_no_tickets(id, plain);
        let outbound = self.connections.get_mut(&id).and_then(Connection::outbound);
        let Some(arrived) = outbound.and_then(|outbound| outbound.arrived.as_mut()) else { return };
        let arrival_ns = arrived.first_ns;
        // What else comes out of the same ciphertext came at its end at the latest.
        arrived.first_ns = arrived.last_ns;
        if let Some(call) = self.call_of(id) {
            answer_told(call, plain.marks, arrival_ns);
        }
    }

    /// Nothing comes out of tickets: what looked like some is of an answer, where plaintext does.
    fn were_no_tickets(&mut self, id: ConnectionId, plain: &Plaintext) {
        let Some(call) = self.call_of(id) else { return };
        let Some(arrival_ns) = call.ticket_ns.take() else { return };
        call.received(arrival_ns, arrival_ns, plain.at_ns, 1, plain.bytes.saturating_add(ADDED_BY_1_3));
        if let Some(outbound) = self.connections.get_mut(&id).and_then(Connection::outbound) {
            outbound.arrived = Some(Arrived { first_ns: arrival_ns, last_ns: arrival_ns });
        }
    }
}

/// Takes in what the bytes of an answer, which arrived by then, tell of it.
pub fn answer_told(call: &mut Call, marks: &[Mark], arrival_ns: u64) {
    for mark in marks {
        match mark {
            Mark::ResponseHead { head, .. } => call.response = Some(head.clone()),
            Mark::Told(told) => {
                // Of whom it was asked may not be known, but who counts tokens is a model.
                call.to_llm |= call.request.is_none() && told.output_tokens.is_some();
                call.told = told.clone();
            }
            Mark::Limits(limits) => call.limits = Some(limits.clone()),
            Mark::Content => drop(call.first_content_ns.get_or_insert(arrival_ns)),
            Mark::ResponseEnd => call.answered = true,
            _ => {}
        }
    }
}

impl Unsent {
    fn fits(&self, sent_bytes: u64) -> bool {
        let n_records = self.bytes.div_ceil(RECORD_BYTES);
        let added = sent_bytes.checked_sub(self.bytes);
        added.is_some_and(|added| (n_records * LEAST_ADDED..=n_records * MOST_ADDED).contains(&added))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ciphertext_fits_its_plaintext() {
        let unsent = |bytes| Unsent { session: 1, bytes, marks: Vec::new(), stack: Vec::new(), on: None };
        assert!(unsent(121).fits(143), "TLS 1.3");
        assert!(unsent(121).fits(150), "AES-GCM in TLS 1.2");
        assert!(unsent(20_000).fits(20_044), "two records");
        assert!(!unsent(121).fits(121), "plaintext");
        assert!(!unsent(121).fits(300), "something else");
        assert!(!unsent(121).fits(100), "something shorter");
    }
}
