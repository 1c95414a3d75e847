use super::Tls;
use crate::event::Direction::{self, Received, Sent};
use crate::event::Mark;
use crate::wire::cursor::Cursor;

const TLS12: &str = include_str!("../testdata/tls12.hex");
const TLS13: &str = include_str!("../testdata/tls13.hex");
const TLS13_RETRY: &str = include_str!("../testdata/tls13_retry.hex");

/// The recorded writes, as the client sees them.
fn transfers(recording: &str) -> Vec<(Direction, Vec<u8>)> {
    let line = |line: &str| {
        let direction = if line.starts_with('>') { Sent } else { Received };
        let bytes = line.as_bytes()[2..]
            .chunks_exact(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        (direction, bytes)
    };
    recording.lines().map(line).collect()
}

fn short(marks: &[Mark]) -> String {
    let words: Vec<String> = marks
        .iter()
        .map(|mark| match mark {
            Mark::ClientHello { sni, alpn } => {
                format!("hello {} {}", sni.as_deref().unwrap_or("-"), alpn.as_deref().unwrap_or("-"))
            }
            Mark::HandshakeDone => "done".to_owned(),
            Mark::Ciphertext { at } => format!("data@{at}"),
            Mark::Control => "control".to_owned(),
            Mark::Ticket { at } => format!("ticket@{at}"),
            other => format!("{other:?}"),
        })
        .collect();
    words.join(", ")
}

/// What each transfer means, `copied_bytes` of each being copied.
fn reduce(
    tls: &mut Tls,
    transfers: impl IntoIterator<Item = (Direction, Vec<u8>)>,
    copied_bytes: usize,
) -> Vec<String> {
    let one = |(direction, bytes): (Direction, Vec<u8>)| {
        let copied = &bytes[..bytes.len().min(copied_bytes)];
        let mut marks = Vec::new();
        tls.reduce(direction, &mut Cursor::new(bytes.len() as u64, copied), &mut marks);
        short(&marks)
    };
    transfers.into_iter().map(one).collect()
}

const WHOLE: usize = usize::MAX;
const HELLO: &str = "hello api.openai.com http/1.1";

#[test]
fn tls_1_2_is_done_with_the_finished_of_the_client() {
    let marks = reduce(&mut Tls::handshake(Sent, false), transfers(TLS12), WHOLE);
    assert_eq!(marks, [HELLO, "", "done", "control", "data@0", "data@0", "data@0", ""]);
}

#[test]
fn tls_1_3_leaves_tickets_and_close_notify_out() {
    let marks = reduce(&mut Tls::handshake(Sent, false), transfers(TLS13), WHOLE);
    assert_eq!(marks, [HELLO, "", "done", "ticket@0", "data@0", "data@0", "data@0", ""]);
}

#[test]
fn a_second_client_hello_is_no_finished() {
    let marks = reduce(&mut Tls::handshake(Sent, false), transfers(TLS13_RETRY), WHOLE);
    assert_eq!(marks, [HELLO, "", "", "", "done", "ticket@0", "data@0", "data@0", "data@0", ""]);
}

#[test]
fn a_server_sees_the_same_with_directions_swapped() {
    let swapped = transfers(TLS13).into_iter().map(|(direction, bytes)| match direction {
        Sent => (Received, bytes),
        Received => (Sent, bytes),
    });
    let marks = reduce(&mut Tls::handshake(Received, false), swapped, WHOLE);
    assert_eq!(marks, [HELLO, "", "done", "ticket@0", "data@0", "data@0", "data@0", ""]);
}

#[test]
fn the_request_may_go_out_with_the_finished_and_the_answer_come_with_the_tickets() {
    let mut joined = transfers(TLS13);
    let (_, request) = joined.remove(4);
    joined[2].1.extend(request);
    let (_, answer) = joined.remove(4);
    joined[3].1.extend(answer);
    let marks = reduce(&mut Tls::handshake(Sent, false), joined, WHOLE);
    assert_eq!(marks, [HELLO, "", "done, data@80", "ticket@0, data@510", "data@0", ""]);
}

#[test]
fn synchronous_reads_of_header_and_body_are_both_marked() {
    let split = transfers(TLS13).into_iter().flat_map(|(direction, bytes)| {
        let mut parts = Vec::new();
        let mut rest = &bytes[..];
        while let [_, _, _, high, low, ..] = *rest {
            let end = 5 + usize::from(u16::from_be_bytes([high, low]));
            parts.extend([(direction, rest[..5].to_vec()), (direction, rest[5..end].to_vec())]);
            rest = &rest[end..];
        }
        parts
    });
    let marks = reduce(&mut Tls::handshake(Sent, false), split, WHOLE);
    let said: Vec<&str> = marks.iter().map(String::as_str).filter(|marks| !marks.is_empty()).collect();
    let mut expected = vec![HELLO, "done"];
    expected.extend(["ticket@0"; 4]);
    expected.extend(["data@0"; 6]);
    assert_eq!(said, expected);
}

#[test]
fn record_bodies_need_no_copy() {
    // 600 bytes hold the ClientHello and, of the server's flight, not all record headers.
    let marks = reduce(&mut Tls::handshake(Sent, false), transfers(TLS13), 600);
    assert_eq!(marks, [HELLO, "", "done", "ticket@0", "data@0", "data@0", "data@0", ""]);
    let marks = reduce(&mut Tls::handshake(Sent, false), transfers(TLS12), 600);
    assert_eq!(marks, [HELLO, "", "done", "control", "data@0", "data@0", "data@0", ""]);
}

#[test]
fn after_a_lost_boundary_every_transfer_is_data() {
    let mut tls = Tls::established(Sent);
    let mut record = b"\x17\x03\x03\x00\x40".to_vec();
    record.extend([0; 200]);
    assert_eq!(reduce(&mut tls, [(Received, record)], 64), ["data@0"]);
    assert_eq!(reduce(&mut tls, [(Received, vec![1; 30])], 64), ["data@0"]);
    assert_eq!(reduce(&mut tls, [(Sent, b"\x17\x03\x03\x00\x01x".to_vec())], 64), ["data@0"]);
}

#[test]
fn a_client_hello_over_two_records_and_one_cut_off() {
    let (_, hello) = transfers(TLS13).remove(0);
    let mut parts = b"\x16\x03\x01\x00\x64".to_vec();
    parts.extend(&hello[5..105]);
    let mut second = vec![0x16, 3, 1, ((hello.len() - 105) >> 8) as u8, (hello.len() - 105) as u8];
    second.extend(&hello[105..]);
    let split = [(Sent, parts), (Sent, second)];
    assert_eq!(reduce(&mut Tls::handshake(Sent, false), split, WHOLE), ["", HELLO]);
    // Padding comes last: the names are within the first 300 bytes.
    assert_eq!(reduce(&mut Tls::handshake(Sent, false), [(Sent, hello)], 300), [HELLO]);
}

#[test]
fn a_handshake_seen_from_the_server_hello_has_no_name() {
    let marks = reduce(&mut Tls::handshake(Sent, true), transfers(TLS13).into_iter().skip(1), WHOLE);
    assert_eq!(marks, ["", "done", "ticket@0", "data@0", "data@0", "data@0", ""]);
}
