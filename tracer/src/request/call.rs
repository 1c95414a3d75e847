//! One outbound exchange while it is being followed.

use crate::{
    event::{Asked, ConnectionId, Limits, RequestHead, ResponseHead, Told},
    request::{
        FunctionId,
        claim::{Claim, Rank},
    },
};

/// A stretch of time, in `CLOCK_MONOTONIC` ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start_ns: u64,
    pub end_ns: u64,
}

impl Span {
    pub fn length_ns(self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

/// A function, and the line that it has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub function: FunctionId,
    pub line: Option<u32>,
}

/// Who ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HungUp {
    Client,
    Peer,
}

/// One outbound exchange on a connection: what was sent until the first byte of the answer, and the answer.
#[derive(Clone, Debug)]
pub struct Call {
    pub connection: ConnectionId,
    /// Context that sent it, numbered within the request.
    pub context: u32,
    /// Name of the peer: SNI, tunnel or `Host`; an address where there is none.
    pub host: Option<String>,
    pub port: Option<u16>,
    /// It speaks HTTP, as seen or (TLS) as assumed.
    pub is_http: bool,
    /// The peer is an LLM vendor.
    pub to_llm: bool,
    /// It may be another request's, and is reported as nobody's.
    pub is_disowned: bool,
    pub request: Option<RequestHead>,
    pub response: Option<ResponseHead>,
    /// What bodies tell, of a call to a model.
    pub asked: Asked,
    /// Who sent the head of its request, the innermost first; empty where that was not seen.
    pub stack: Vec<Place>,
    pub told: Told,
    pub limits: Option<Limits>,
    /// Arrival of the first output of a model.
    pub first_content_ns: Option<u64>,
    pub connection_reused: bool,
    /// 1 for the first.
    pub attempt: u32,
    pub dns: Option<Span>,
    pub connect: Option<Span>,
    pub tls: Option<Span>,
    /// From the first request byte to the last.
    pub send: Span,
    /// The system calls that sent them: in between the application did something else.
    pub sends: Vec<Span>,
    /// Arrival of the first and of the last byte of the answer.
    pub first_byte_ns: Option<u64>,
    pub last_byte_ns: Option<u64>,
    /// When the application had read the last byte it read.
    pub last_read_ns: Option<u64>,
    /// Arrival of the last bytes that look like TLS session tickets: the answer, if nothing else follows, or plaintext comes
    /// out of them.
    pub ticket_ns: Option<u64>,
    /// The answer is known to be whole.
    pub answered: bool,
    /// Who ended its connection first, where that ended before the answer.
    pub hung_up: Option<HungUp>,
    /// Bytes read of a record or head that is not whole, and when the first of them arrived.
    pub pending_in: u64,
    pub pending_since_ns: Option<u64>,
    /// Waits for bytes of the answer.
    pub waits: Vec<Span>,
    pub read_delay_ns: u64,
    /// The longest between two arrivals of its answer, and between two reads.
    pub longest_gap_ns: u64,
    pub longest_read_gap_ns: u64,
    pub rtt_ns: Option<u64>,
    pub chunks: u32,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Call {
    /// A call whose first request bytes went out in `send`.
    pub fn new(connection: ConnectionId, context: u32, send: Span) -> Self {
        Call {
            connection,
            context,
            host: None,
            port: None,
            is_http: false,
            to_llm: false,
            is_disowned: false,
            request: None,
            response: None,
            asked: Asked::default(),
            stack: Vec::new(),
            told: Told::default(),
            limits: None,
            first_content_ns: None,
            connection_reused: true,
            attempt: 1,
            dns: None,
            connect: None,
            tls: None,
            send,
            sends: vec![send],
            first_byte_ns: None,
            last_byte_ns: None,
            last_read_ns: None,
            ticket_ns: None,
            answered: false,
            hung_up: None,
            pending_in: 0,
            pending_since_ns: None,
            waits: Vec::new(),
            read_delay_ns: 0,
            longest_gap_ns: 0,
            longest_read_gap_ns: 0,
            rtt_ns: None,
            chunks: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// The beginning: name lookup, connect or the first request byte, whichever was first.
    pub fn start_ns(&self) -> u64 {
        [self.dns, self.connect, self.tls]
            .into_iter()
            .flatten()
            .map(|span| span.start_ns)
            .fold(self.send.start_ns, u64::min)
    }

    /// The last thing seen of it.
    pub fn end_ns(&self) -> u64 {
        self.last_read_ns.or(self.last_byte_ns).unwrap_or(self.send.end_ns).max(self.send.end_ns)
    }

    /// More request bytes went out.
    pub fn sent(&mut self, send: Span, bytes: u64) {
        self.send.end_ns = send.end_ns;
        self.sends.push(send);
        self.bytes_out = self.bytes_out.saturating_add(bytes);
    }

    /// Bytes of the answer that arrived at `arrival_ns` were read at `read_ns`.
    pub fn received(
        &mut self,
        arrival_ns: u64,
        last_arrival_ns: u64,
        read_ns: u64,
        arrivals: u32,
        bytes: u64,
    ) {
        let waiting_since_ns = self.last_read_ns.unwrap_or(self.send.end_ns);
        if arrival_ns > waiting_since_ns {
            self.waits.push(Span { start_ns: waiting_since_ns, end_ns: arrival_ns });
        }
        if let (Some(last_byte_ns), Some(last_read_ns)) = (self.last_byte_ns, self.last_read_ns) {
            self.longest_gap_ns = self.longest_gap_ns.max(arrival_ns.saturating_sub(last_byte_ns));
            self.longest_read_gap_ns = self.longest_read_gap_ns.max(read_ns.saturating_sub(last_read_ns));
        }
        self.first_byte_ns.get_or_insert(arrival_ns);
        self.last_byte_ns = Some(last_arrival_ns);
        self.last_read_ns = Some(read_ns);
        self.read_delay_ns = self.read_delay_ns.saturating_add(read_ns.saturating_sub(arrival_ns));
        self.chunks = self.chunks.saturating_add(arrivals);
        self.bytes_in = self.bytes_in.saturating_add(bytes);
    }

    /// Nothing more will come: what looked like tickets was the answer if nothing else came, and a wait for an
    /// answer that never began ends at `end_ns`.
    pub fn finish(&mut self, end_ns: u64) {
        if self.first_byte_ns.is_some() || self.answered || self.last_read_ns.is_some() {
            return;
        }
        match self.ticket_ns {
            Some(arrival_ns) => self.received(arrival_ns, arrival_ns, arrival_ns, 1, 0),
            None if end_ns > self.send.end_ns => {
                self.waits.push(Span { start_ns: self.send.end_ns, end_ns });
                self.last_read_ns = Some(end_ns);
            }
            None => {}
        }
    }

    /// Its connection is closed at `end_ns`: what looked like tickets was no answer, but the call was given up.
    pub fn hang_up(&mut self, end_ns: u64, by: HungUp) {
        self.hung_up = Some(by);
        self.ticket_ns = None;
        self.finish(end_ns);
        // Also where it lasted no time: it must not go on.
        self.last_read_ns.get_or_insert(end_ns);
    }

    /// What the call claims of its request's time.
    pub fn claims(&self) -> Vec<Claim> {
        let rank = |rank| if self.to_llm { rank } else { Rank::Network };
        let claim = |span: Span, of| Claim { start_ns: span.start_ns, end_ns: span.end_ns, rank: rank(of) };
        let phases = [(self.dns, Rank::Dns), (self.connect, Rank::Connect), (self.tls, Rank::Tls)];
        let mut claims: Vec<Claim> =
            phases.into_iter().filter_map(|(span, of)| span.map(|span| claim(span, of))).collect();
        claims.extend(self.sends.iter().map(|send| claim(*send, Rank::Send)));
        claims.extend(self.waits.iter().map(|wait| {
            let first = self.first_byte_ns.is_none_or(|first_byte_ns| wait.end_ns <= first_byte_ns);
            claim(*wait, if first { Rank::FirstByte } else { Rank::Stream })
        }));
        claims
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call::new(ConnectionId(1), 0, Span { start_ns: 100, end_ns: 110 })
    }

    #[test]
    fn the_vendor_is_charged_until_arrival_and_not_until_the_read() {
        let mut call = call();
        call.received(200, 200, 500, 1, 10);
        call.received(600, 600, 610, 1, 10);
        call.to_llm = true;
        let claims = call.claims();
        assert!(claims.contains(&Claim { start_ns: 110, end_ns: 200, rank: Rank::FirstByte }));
        assert!(claims.contains(&Claim { start_ns: 500, end_ns: 600, rank: Rank::Stream }));
        assert_eq!(call.read_delay_ns, 310);
        assert_eq!((call.longest_gap_ns, call.longest_read_gap_ns), (400, 110));
    }

    #[test]
    fn a_call_without_answer_waits_until_the_end() {
        let mut call = call();
        call.finish(1000);
        assert_eq!(call.claims().last(), Some(&Claim { start_ns: 110, end_ns: 1000, rank: Rank::Network }));
    }

    #[test]
    fn a_call_that_is_given_up_has_no_answer() {
        let mut call = call();
        call.ticket_ns = Some(120);
        call.hang_up(160, HungUp::Client);
        call.finish(1000);
        assert_eq!((call.first_byte_ns, call.end_ns()), (None, 160));
    }

    #[test]
    fn a_call_that_ends_as_it_begins_waits_for_nothing() {
        let mut call = call();
        call.hang_up(110, HungUp::Client);
        call.finish(1000);
        assert_eq!((call.waits.len(), call.end_ns()), (0, 110));
    }

    #[test]
    fn lone_tickets_are_the_answer() {
        let mut call = call();
        call.ticket_ns = Some(150);
        call.finish(1000);
        assert_eq!(call.first_byte_ns, Some(150));
    }
}
