//! What holds for every stream, however it is cut into transfers and however little of them is copied.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use tracer_ebpf::limits::HEAD_BYTES;

use super::Wire;
use crate::event::Direction::{self, Received, Sent};
use crate::event::{Connection, ConnectionId, Mark, Role, Transport};
use crate::vendor::VendorTable;

static VENDORS: LazyLock<Arc<VendorTable>> = LazyLock::new(|| Arc::new(VendorTable::builtin()));

const ID: ConnectionId = ConnectionId(7);

/// A part of a conversation: whole messages in one direction.
type Turn = (Direction, Vec<u8>);

fn wire(role: Role, transport: Transport, port: u16) -> Wire {
    let mut wire = Wire::new(VENDORS.clone());
    wire.opened(&Connection::new(ID, role, transport, Some(([127, 0, 0, 1].into(), port))));
    wire
}

/// Cuts each turn into transfers, whose lengths are those of `cuts` in turn.
fn cut(turns: &[Turn], cuts: &[usize]) -> Vec<Turn> {
    let mut lengths = cuts.iter().cycle();
    let mut transfers = Vec::new();
    for (direction, bytes) in turns {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (transfer, after) = rest.split_at(rest.len().min(*lengths.next().unwrap()));
            transfers.push((*direction, transfer.to_vec()));
            rest = after;
        }
    }
    transfers
}

/// The marks of each transfer, of which so many bytes are copied.
fn reduce(transfers: &[Turn], copied_bytes: usize) -> Vec<Vec<Mark>> {
    let mut wire = wire(Role::Connected, Transport::Tcp, 80);
    let one = |(direction, bytes): &Turn| {
        wire.reduce(ID, *direction, bytes.len() as u64, &copied(bytes, copied_bytes))
    };
    transfers.iter().map(one).collect()
}

/// As the probes copy a transfer: its beginning, and of more than a head's length its end.
fn copied(bytes: &[u8], count: usize) -> Vec<u8> {
    let count = bytes.len().min(count);
    let head = count.min(HEAD_BYTES);
    [&bytes[..head], &bytes[bytes.len() - (count - head)..]].concat()
}

/// The marks without their positions, and of those that are made once per transfer the first of a run.
fn meaning(marks: Vec<Vec<Mark>>) -> Vec<Mark> {
    let mut meaning: Vec<Mark> = marks.into_iter().flatten().collect();
    for mark in &mut meaning {
        match mark {
            Mark::RequestHead { at, .. }
            | Mark::ResponseHead { at, .. }
            | Mark::Body { at }
            | Mark::Ciphertext { at }
            | Mark::Ticket { at } => *at = 0,
            _ => {}
        }
    }
    meaning.dedup();
    meaning
}

/// Content that looks like protocol, to be told from it by framing alone.
const LIKE_PROTOCOL: &[u8] = b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n5\r\n";

/// The same without a last chunk, which ends a response whose chunk boundaries were lost.
const LIKE_CHUNKS: &[u8] = b"3\r\nabc\r\nGET / HTTP/1.1\r\n\r\n5\r\n";

fn body(content: &[u8], chunks: Option<Vec<usize>>, length: usize) -> Vec<u8> {
    let content = |length: usize| content.iter().copied().cycle().take(length);
    let Some(chunks) = chunks else {
        let mut message = format!("Content-Length: {length}\r\n\r\n").into_bytes();
        message.extend(content(length));
        return message;
    };
    let mut message = b"Transfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in chunks {
        message.extend(format!("{chunk:x}\r\n").into_bytes());
        message.extend(content(chunk));
        message.extend(b"\r\n");
    }
    message.extend(b"0\r\nX-Trailer: t\r\n\r\n");
    message
}

prop_compose! {
    fn message(content: &'static [u8])(
        chunks in prop::option::of(prop::collection::vec(1..3000_usize, 0..6)),
        length in 0..3000_usize,
        pad in prop_oneof![Just(0_usize), 0..3000_usize],
    ) -> Vec<u8> {
        let mut message = format!("X-Pad: {}\r\n", "p".repeat(pad)).into_bytes();
        message.extend(body(content, chunks, length));
        message
    }
}

prop_compose! {
    fn exchange(content: &'static [u8])(request in message(content), response in message(content), interim in any::<bool>()) -> Vec<Turn> {
        let request = [&b"POST /v1/chat/completions?q HTTP/1.1\r\nHost: api.openai.com\r\n"[..], &request].concat();
        let interim = if interim { &b"HTTP/1.1 100 Continue\r\n\r\n"[..] } else { &[] };
        let response = [interim, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n", &response].concat();
        vec![(Sent, request), (Received, response)]
    }
}

fn conversation(content: &'static [u8]) -> impl Strategy<Value = Vec<Turn>> {
    prop::collection::vec(exchange(content), 1..4).prop_map(|exchanges| exchanges.concat())
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        prop::collection::vec(1..20_usize, 1..8),
        prop::collection::vec(1..4000_usize, 1..8),
        Just(vec![usize::MAX]),
    ]
}

/// The ends, and the transfer that each is in.
fn ends(marks: &[Vec<Mark>]) -> Vec<(usize, &Mark)> {
    let numbered = marks.iter().enumerate();
    let flat = numbered.flat_map(|(transfer, marks)| marks.iter().map(move |mark| (transfer, mark)));
    flat.filter(|(_, mark)| matches!(mark, Mark::RequestEnd | Mark::ResponseEnd)).collect()
}

fn recorded(text: &str) -> Vec<Turn> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.lines()
        .map(|line| {
            let direction = if line.starts_with('>') { Sent } else { Received };
            (direction, line.as_bytes()[2..].chunks_exact(2).map(byte).collect())
        })
        .collect()
}

const RECORDINGS: [&str; 3] = [
    include_str!("testdata/tls12.hex"),
    include_str!("testdata/tls13.hex"),
    include_str!("testdata/tls13_retry.hex"),
];

proptest! {
    #[test]
    fn http_means_the_same_however_it_is_cut(turns in conversation(LIKE_PROTOCOL), cuts in cuts()) {
        let whole = meaning(reduce(&turns, usize::MAX));
        prop_assert!(!whole.contains(&Mark::Unparsed), "{whole:?}");
        prop_assert_eq!(meaning(reduce(&cut(&turns, &cuts), usize::MAX)), whole);
    }

    #[test]
    fn tls_means_the_same_however_it_is_cut(recording in 0..RECORDINGS.len(), cuts in cuts()) {
        let turns = recorded(RECORDINGS[recording]);
        let whole = meaning(reduce(&turns, usize::MAX));
        prop_assert_eq!(meaning(reduce(&cut(&turns, &cuts), usize::MAX)), whole);
    }

    /// An end that is said is a true one; one that is not said is a request whose head ran past the copied bytes,
    /// a response still open, or given up as unparsed.
    #[test]
    fn truncated_copies_give_no_wrong_end(
        turns in conversation(LIKE_CHUNKS),
        cuts in cuts(),
        copied_bytes in prop_oneof![0..100_usize, 0..3000_usize],
    ) {
        let transfers = cut(&turns, &cuts);
        let whole = reduce(&transfers, usize::MAX);
        let marks = reduce(&transfers, copied_bytes);
        let (truth, found) = (ends(&whole), ends(&marks));
        for end in &found {
            prop_assert!(truth.contains(end), "{end:?} is not in {truth:?}: {marks:?}");
        }
        if !marks.iter().flatten().any(|mark| *mark == Mark::Unparsed) {
            let responses = |ends: &[(usize, &Mark)]| {
                ends.iter().map(|(transfer, mark)| (*transfer, **mark == Mark::ResponseEnd)).filter(|end| end.1).collect::<Vec<_>>()
            };
            let (mut truth, found) = (responses(&truth), responses(&found));
            prop_assert!(truth.len() - found.len() <= 1, "only the last may be open: {marks:?}");
            truth.truncate(found.len());
            prop_assert_eq!(found, truth);
        }
    }

    #[test]
    fn no_bytes_panic(
        transfers in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(any::<u8>(), 0..64), any::<Option<u64>>(), 0..12_usize), 0..20),
        role in prop_oneof![Just(Role::Unknown), Just(Role::Connected), Just(Role::Accepted)],
        udp in any::<bool>(),
    ) {
        const BEGINNINGS: [&[u8]; 12] = [
            b"", b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03",
            b"\x17\x03\x03", b"\x14\x03\x03\x00\x01\x01", b"\r\n\r\n", b"ffffffffffff\r\n", b"0\r\n",
        ];
        let transport = if udp { Transport::Udp } else { Transport::Tcp };
        let mut wire = wire(role, transport, 53);
        for (sent, bytes, length, beginning) in transfers {
            let bytes = [BEGINNINGS[beginning], &bytes].concat();
            let length = length.unwrap_or(bytes.len() as u64);
            wire.reduce(ID, if sent { Sent } else { Received }, length, &bytes);
        }
    }

    #[test]
    fn a_flipped_byte_does_not_panic(
        turns in conversation(LIKE_PROTOCOL),
        cuts in cuts(),
        at in any::<prop::sample::Index>(),
        bits in 1..=255_u8,
    ) {
        let mut transfers = cut(&turns, &cuts);
        let transfer = at.index(transfers.len());
        let bytes = &mut transfers[transfer].1;
        let byte = at.index(bytes.len());
        bytes[byte] ^= bits;
        reduce(&transfers, usize::MAX);
    }
}
