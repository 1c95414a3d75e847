use std::{collections::BTreeMap, sync::LazyLock};

use loona_hpack::Encoder;
use proptest::prelude::*;

use super::*;
use crate::event::{
    Asked,
    Direction::{Received, Sent},
    RequestHead, ResponseHead, Told as Telling,
};
use crate::vendor::VendorTable;

static SHARED: LazyLock<Shared> = LazyLock::new(|| Shared::of(VendorTable::builtin().into()));

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const QUESTION: &[u8] = br#"{"model":"gpt-5","stream":true,"messages":[]}"#;

/// Both ends of a connection, and what is made of what passes between them.
struct Conversation {
    http2: Http2,
    client: Encoder<'static>,
    server: Encoder<'static>,
}

impl Conversation {
    fn begun() -> Conversation {
        let (client, server) = (Encoder::new(), Encoder::new());
        let mut this = Conversation { http2: Http2::new(), client, server };
        let hello = [PREFACE, &frame(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])].concat();
        assert_eq!(this.passes(Sent, &hello), [Mark::Http2]);
        assert_eq!(this.passes(Received, &frame(kind::SETTINGS, 0, 0, &[])), []);
        this
    }

    fn passes(&mut self, direction: Direction, bytes: &[u8]) -> Vec<Mark> {
        self.passes_partly(direction, bytes, bytes.len())
    }

    /// Only the beginning is copied.
    fn passes_partly(&mut self, direction: Direction, bytes: &[u8], copied: usize) -> Vec<Mark> {
        let mut marks = Vec::new();
        let mut cursor = Cursor::new(bytes.len() as u64, &bytes[..copied]);
        self.http2.reduce(direction, &mut cursor, &SHARED, &mut marks);
        marks
    }

    fn question(&mut self, stream: u32) -> Vec<u8> {
        let block = self.client.encode([
            (&b":method"[..], &b"POST"[..]),
            (b":authority", b"api.openai.com"),
            (b":scheme", b"https"),
            (b":path", b"/v1/chat/completions?x=1"),
            (b"content-type", b"application/json"),
            (b"x-stainless-retry-count", b"1"),
        ]);
        frame(kind::HEADERS, flag::END_HEADERS, stream, &block)
    }

    fn answer(&mut self, stream: u32, id: &[u8]) -> Vec<u8> {
        let block = self.server.encode([
            (&b":status"[..], &b"200"[..]),
            (b"content-type", b"text/event-stream"),
            (b"x-request-id", id),
        ]);
        frame(kind::HEADERS, flag::END_HEADERS, stream, &block)
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = &(payload.len() as u32).to_be_bytes()[1..];
    [length, &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn request_head(at: u64) -> Mark {
    let (method, path) = ("POST".to_owned(), "/v1/chat/completions".to_owned());
    Mark::RequestHead {
        at,
        head: RequestHead { method, path, host: Some("api.openai.com".to_owned()), traceparent: None },
    }
}

fn response_head(id: &str) -> Mark {
    let head = ResponseHead {
        status: 200,
        stream: true,
        vendor_request_id: Some(id.to_owned()),
        vendor_reported_ns: None,
    };
    Mark::ResponseHead { at: 0, head }
}

/// The head of an answer of which all else refers to what was not seen.
fn only_status(at: u64, stream: bool) -> Mark {
    let head = ResponseHead { status: 200, stream, vendor_request_id: None, vendor_reported_ns: None };
    Mark::ResponseHead { at, head }
}

fn asked() -> Mark {
    Mark::Asked(Asked { model: Some("gpt-5".to_owned()), stream: Some(true), retries: Some(1) })
}

fn stream(id: u32, bytes: usize) -> Mark {
    Mark::Stream { id, bytes: bytes as u64 }
}

#[test]
fn streams_are_told_each_for_itself() {
    let mut all = Conversation::begun();
    let (first, second) = (all.question(1), all.question(3));
    assert_eq!(all.passes(Sent, &first), [stream(1, first.len()), request_head(0)]);
    let body = frame(kind::DATA, flag::END_STREAM, 1, QUESTION);
    let sent = [&second[..], &body].concat();
    assert_eq!(
        all.passes(Sent, &sent),
        [
            stream(3, second.len()),
            request_head(0),
            stream(1, body.len()),
            Mark::Body { at: second.len() as u64 + 9 },
            asked(),
            Mark::RequestEnd,
        ]
    );

    let answer = all.answer(3, b"req_3");
    assert_eq!(all.passes(Received, &answer), [stream(3, answer.len()), response_head("req_3")]);
    let answer = all.answer(1, b"req_1");
    assert_eq!(all.passes(Received, &answer), [stream(1, answer.len()), response_head("req_1")]);
    let content = frame(kind::DATA, 0, 1, b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
    assert_eq!(
        all.passes(Received, &content),
        [stream(1, content.len()), Mark::Body { at: 9 }, Mark::Content]
    );
    let end = frame(kind::DATA, flag::END_STREAM, 1, b"data: [DONE]\n\n");
    let told = Mark::Told(Telling { is_ended: true, ..Telling::default() });
    assert_eq!(
        all.passes(Received, &end),
        [stream(1, end.len()), Mark::Body { at: 9 }, told, Mark::ResponseEnd]
    );
    let reset = frame(kind::RST_STREAM, 0, 3, &[0, 0, 0, 8]);
    assert_eq!(all.passes(Sent, &reset), [stream(3, 13), Mark::StreamReset]);
    assert_eq!(all.passes(Sent, &frame(kind::PING, 0, 0, &[0; 8])), []);
}

#[test]
fn frames_are_read_however_they_are_cut() {
    let mut all = Conversation::begun();
    let sent = [all.question(1), frame(kind::DATA, flag::END_STREAM, 1, QUESTION)].concat();
    let marks: Vec<Mark> = sent.iter().flat_map(|byte| all.passes(Sent, &[*byte])).collect();
    let told: Vec<&Mark> =
        marks.iter().filter(|mark| !matches!(mark, Mark::Stream { .. } | Mark::Body { .. })).collect();
    assert!(matches!(told[..], [Mark::RequestHead { .. }, .., Mark::RequestEnd]), "{told:?}");
    assert!(told.contains(&&asked()));
}

#[test]
fn a_block_in_parts_with_padding_is_one() {
    let mut all = Conversation::begun();
    let block = all.question(1)[9..].to_vec();
    let (before, after) = block.split_at(10);
    let padded = [&[3][..], &[0, 0, 0, 0, 16], before, &[0; 3]].concat();
    let sent = [
        frame(kind::HEADERS, flag::END_STREAM | flag::PADDED | flag::PRIORITY, 1, &padded),
        frame(kind::CONTINUATION, flag::END_HEADERS, 1, after),
    ]
    .concat();
    assert_eq!(all.passes(Sent, &sent), [stream(1, sent.len()), request_head(0), Mark::RequestEnd]);
}

#[test]
fn behind_what_was_not_seen_streams_go_on_and_nothing_is_guessed() {
    let mut all = Conversation::begun();
    let first = all.question(1);
    all.passes(Sent, &first);
    let answer = all.answer(1, b"req_1");
    all.passes(Received, &answer);
    // The header of the second frame is not copied.
    let two = [frame(kind::DATA, 0, 1, &[b'x'; 100]), frame(kind::DATA, 0, 1, &[b'y'; 100])].concat();
    assert_eq!(all.passes_partly(Received, &two, 64), [Mark::Unparsed, stream(1, 109), Mark::Body { at: 9 }]);
    // Something that is no frame of a known stream.
    assert_eq!(all.passes(Received, &[b'z'; 64]), []);
    let again = frame(kind::DATA, 0, 1, b"data: x\n\n");
    assert_eq!(all.passes(Received, &again), [stream(1, again.len()), Mark::Body { at: 9 }]);
    // A name that this block refers to was told before: `x-request-id`.
    let second = all.question(3);
    all.passes(Sent, &second);
    let answer = all.answer(3, b"req_3");
    assert_eq!(all.passes(Received, &answer), [stream(3, answer.len()), only_status(0, true)]);
    let end = frame(kind::DATA, flag::END_STREAM, 3, b"");
    assert_eq!(all.passes(Received, &end), [stream(3, 9), Mark::ResponseEnd]);
}

#[test]
fn a_connection_goes_on_whose_beginning_was_not_seen() {
    let mut all = Conversation::begun();
    let earlier = all.question(1);
    assert!(Http2::in_its_middle(&earlier[9..]).is_none(), "no frame begins here");
    assert!(Http2::in_its_middle(&frame(kind::HEADERS, 0, 2, &earlier[9..])).is_none(), "no client's");
    // Indexed (RFC 7541, section 6.1): POST, https, and four fields of before.
    let head = frame(kind::HEADERS, flag::END_HEADERS, 3, &[0x83, 0x87, 0xc1, 0xc0, 0xbf, 0xbe]);
    let question = [&head[..], &frame(kind::DATA, flag::END_STREAM, 3, QUESTION)].concat();
    all.http2 = Http2::in_its_middle(&question).expect("it begins with the head of a request");
    let asked = Asked { model: Some("gpt-5".to_owned()), stream: Some(true), retries: None };
    assert_eq!(
        all.passes(Sent, &question),
        [Mark::Http2, stream(3, question.len()), Mark::Body { at: 0 }, Mark::Asked(asked), Mark::RequestEnd]
    );

    // Of a stream that began before nothing is told; behind its frames is another's.
    let earlier = frame(kind::DATA, 0, 1, b"data: x\n\n");
    let answer = frame(kind::HEADERS, flag::END_HEADERS, 3, &[0x88, 0xbf, 0xbe]);
    let received = [&earlier[..], &answer].concat();
    let marks =
        [stream(1, earlier.len()), Mark::Body { at: 9 }, stream(3, answer.len()), only_status(18, false)];
    assert_eq!(all.passes(Received, &received), marks);
    let content = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let content = frame(kind::DATA, 0, 3, content);
    assert_eq!(
        all.passes(Received, &content),
        [stream(3, content.len()), Mark::Body { at: 9 }, only_status(9, true), Mark::Content]
    );
}

#[test]
fn a_head_that_is_not_copied_whole_is_a_request_all_the_same() {
    let mut all = Conversation::begun();
    let first = all.question(1);
    assert_eq!(
        all.passes_partly(Sent, &first, first.len() - 1),
        [stream(1, first.len()), Mark::Body { at: 0 }]
    );
}

/// What both sides say of two exchanges, as transfers.
fn conversation() -> Vec<(Direction, Vec<u8>)> {
    let mut all = Conversation::begun();
    let content = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let hello = [PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat();
    let asked = [all.question(1), frame(kind::DATA, flag::END_STREAM, 1, QUESTION), all.question(3)].concat();
    let answered =
        [all.answer(3, b"req_3"), all.answer(1, b"req_1"), frame(kind::DATA, 0, 1, content)].concat();
    let reset = frame(kind::RST_STREAM, 0, 3, &[0; 4]);
    let ended = frame(kind::DATA, flag::END_STREAM, 1, b"data: [DONE]\n\n");
    vec![(Sent, hello), (Sent, asked), (Received, answered), (Sent, reset), (Received, ended)]
}

/// What is told of each stream, in order, without places and counts of bytes.
fn told(
    http2: &mut Http2,
    transfers: impl IntoIterator<Item = (Direction, Vec<u8>)>,
) -> BTreeMap<u32, Vec<Mark>> {
    let mut told: BTreeMap<u32, Vec<Mark>> = BTreeMap::new();
    for (direction, bytes) in transfers {
        let mut marks = Vec::new();
        let mut cursor = Cursor::new(bytes.len() as u64, &bytes);
        http2.reduce(direction, &mut cursor, &SHARED, &mut marks);
        let mut stream = 0;
        for mark in marks {
            match mark {
                Mark::Stream { id, .. } => stream = id,
                Mark::Body { .. } => {}
                Mark::RequestHead { head, .. } => {
                    told.entry(stream).or_default().push(Mark::RequestHead { at: 0, head });
                }
                Mark::ResponseHead { head, .. } => {
                    told.entry(stream).or_default().push(Mark::ResponseHead { at: 0, head });
                }
                mark => told.entry(stream).or_default().push(mark),
            }
        }
    }
    // What a question says is told again as more of it is known.
    told.values_mut().for_each(|marks| {
        let last = marks.iter().rposition(|mark| matches!(mark, Mark::Asked(_)));
        let mut index = 0;
        marks.retain(|mark| {
            index += 1;
            !matches!(mark, Mark::Asked(_)) || Some(index - 1) == last
        });
    });
    told
}

proptest! {
    #[test]
    fn streams_mean_the_same_however_they_are_cut(cuts in prop::collection::vec(1..300_usize, 1..8)) {
        let whole = told(&mut Http2::new(), conversation());
        prop_assert_eq!(whole.keys().copied().collect::<Vec<_>>(), [0, 1, 3]);
        let mut lengths = cuts.iter().cycle();
        let cut = conversation().into_iter().flat_map(|(direction, mut rest)| {
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                let after = rest.split_off(rest.len().min(*lengths.next().unwrap()));
                pieces.push((direction, std::mem::replace(&mut rest, after)));
            }
            pieces
        });
        let cut: Vec<_> = cut.collect();
        prop_assert_eq!(told(&mut Http2::new(), cut), whole);
    }

    #[test]
    fn no_bytes_panic(
        transfers in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(any::<u8>(), 0..80), 0..4_u64, 0..80_usize), 0..20),
        flipped in any::<prop::sample::Index>(),
        bits in any::<u8>(),
    ) {
        let mut http2 = Http2::new();
        let mut real = conversation();
        for (_, bytes) in &mut real {
            let at = flipped.index(bytes.len());
            bytes[at] ^= bits;
        }
        told(&mut http2, real);
        for (is_sent, bytes, hidden, copied) in transfers {
            let mut cursor = Cursor::new(bytes.len() as u64 + hidden * 100, &bytes[..copied.min(bytes.len())]);
            http2.reduce(if is_sent { Sent } else { Received }, &mut cursor, &SHARED, &mut Vec::new());
        }
    }
}
