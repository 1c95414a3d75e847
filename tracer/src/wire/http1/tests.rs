use std::sync::Arc;

use crate::event::Direction::{Received, Sent};
use crate::event::{Connection, ConnectionId, Direction, Mark, RequestHead, Role, Transport};
use crate::vendor::VendorTable;
use crate::wire::Wire;

/// One connection, whose marks are written short: `req POST /path`, `req.`, `res 200`, `res.`, `body@N`.
struct Lab {
    wire: Wire,
}

const ID: ConnectionId = ConnectionId(1);

impl Lab {
    fn new(role: Role) -> Self {
        let mut wire = Wire::new(Arc::new(VendorTable::builtin()));
        wire.opened(&Connection::new(ID, role, Transport::Tcp, None));
        Self { wire }
    }

    fn client() -> Self {
        Self::new(Role::Connected)
    }

    fn marks(&mut self, direction: Direction, bytes: &[u8]) -> Vec<Mark> {
        self.wire.reduce(ID, direction, bytes.len() as u64, bytes)
    }

    fn sent(&mut self, text: &str) -> String {
        short(&self.marks(Sent, text.as_bytes()))
    }

    fn received(&mut self, text: &str) -> String {
        short(&self.marks(Received, text.as_bytes()))
    }

    /// A transfer of `length` bytes of which only `copied` were copied.
    fn truncated(&mut self, direction: Direction, length: u64, copied: &str) -> String {
        short(&self.wire.reduce(ID, direction, length, copied.as_bytes()))
    }
}

fn short(marks: &[Mark]) -> String {
    let words: Vec<String> = marks
        .iter()
        .map(|mark| match mark {
            Mark::RequestHead { at, head } => format!("req@{at} {} {}", head.method, head.path),
            Mark::RequestEnd => "req.".to_owned(),
            Mark::ResponseHead { at, head } => {
                format!("res@{at} {}{}", head.status, if head.stream { " stream" } else { "" })
            }
            Mark::ResponseEnd => "res.".to_owned(),
            Mark::Body { at } => format!("body@{at}"),
            Mark::Tunnel { host, port } => format!("tunnel {host} {port}"),
            Mark::ClientHello { .. } => "hello".to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    words.join(", ")
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn request_and_response_with_content_length() {
    let mut lab = Lab::client();
    assert_eq!(lab.sent("POST /v1/x?k=1 HTTP/1.1\r\nContent-Length: 4\r\n\r\n"), "req@0 POST /v1/x");
    assert_eq!(lab.sent("abcd"), "body@0, req.");
    assert_eq!(lab.received("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc"), "res@0 200, body@38");
    assert_eq!(lab.received("def"), "body@0, res.");
    assert_eq!(lab.sent(GET), "req@0 GET /, req.");
    assert_eq!(lab.received("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), "res@0 200, res.");
}

#[test]
fn heads_are_reduced_to_what_is_kept() {
    let mut lab = Lab::client();
    let marks = lab.marks(
        Sent,
        b"POST http://u:p@API.openai.com/v1/chat/completions?key=s HTTP/1.1\r\nHost: API.openai.com:8080\r\n\
          Authorization: Bearer s\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
    );
    let head = RequestHead {
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        host: Some("api.openai.com".to_owned()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    };
    assert_eq!(marks, [Mark::RequestHead { at: 0, head }, Mark::RequestEnd]);
    let marks = lab.marks(
        Received,
        b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nX-Request-Id: req_1\r\n\
          openai-processing-ms: 412\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let [Mark::ResponseHead { head, .. }] = &marks[..] else { panic!("{marks:?}") };
    assert!(head.stream);
    assert_eq!(head.vendor_request_id.as_deref(), Some("req_1"));
    assert_eq!(head.vendor_reported_ns, Some(412_000_000));
}

#[test]
fn chunked_bodies_end_with_their_trailers() {
    let mut lab = Lab::client();
    lab.sent(GET);
    assert_eq!(
        lab.received(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        "res@0 200 stream"
    );
    assert_eq!(lab.received("5;name=\"v\"\r\nhello\r\n"), "body@12");
    assert_eq!(lab.received("A \r\n01234"), "body@4");
    assert_eq!(lab.received("56789"), "body@0");
    assert_eq!(lab.received("\r\n0\r\nServer-Timing: dur=1\r\n"), "");
    assert_eq!(lab.received("\r\n"), "res.");
    assert_eq!(lab.sent(GET), "req@0 GET /, req.");
}

#[test]
fn chunk_data_are_skipped_where_they_were_not_copied() {
    let mut lab = Lab::client();
    lab.sent(GET);
    lab.received("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(lab.truncated(Received, 1000, "1000\r\nabc"), "body@6");
    assert_eq!(lab.truncated(Received, 4096 - 994 + 2, ""), "body@0");
    assert_eq!(lab.received("0\r\n\r\n"), "res.");
}

#[test]
fn chunk_boundaries_are_found_again() {
    for (transfer, length, expected) in [
        ("0\r\n\r\n", 5, "res."),
        ("3\r\nabc\r\n0\r\n\r\n", 13, "body@3, res."),
        ("3\r\nabc\r\n", 8, "body@3"),
        ("64\r\nabc", 106, "body@4"),
        // No whole chunk: these may be content.
        ("64\r\nabc", 100, "body@0"),
        ("3\r\nabcdefgh", 11, "body@0"),
        ("hello", 5, "body@0"),
    ] {
        let mut lab = Lab::client();
        lab.sent(GET);
        lab.received("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(lab.truncated(Received, 500, "64\r\nabc"), "body@4");
        assert_eq!(lab.truncated(Received, length, transfer), expected, "{transfer:?}");
    }
}

#[test]
fn a_lost_response_is_given_up_when_the_next_request_begins() {
    let mut lab = Lab::client();
    lab.sent(GET);
    lab.received("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(lab.truncated(Received, 500, "64\r\nabc"), "body@4");
    assert_eq!(lab.sent("G"), "");
    assert_eq!(lab.sent(&GET[1..]), "Unparsed, req@0 GET /, req.");
    assert_eq!(lab.received("HTTP/1.1 204 No Content\r\n\r\n"), "res@0 204, res.");
}

#[test]
fn responses_without_a_body() {
    for (method, response, expected) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "res@0 200, res."),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "res@0 200, res."),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", "res@0 204, res."),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "res@0 304, res."),
        ("GET", "HTTP/1.1 200 OK\r\n\r\n", "res@0 200"),
    ] {
        let mut lab = Lab::client();
        lab.sent(&format!("{method} / HTTP/1.1\r\n\r\n"));
        assert_eq!(lab.received(response), expected, "{response:?}");
    }
}

#[test]
fn interim_responses_are_not_final() {
    let mut lab = Lab::client();
    lab.sent("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(lab.received("HTTP/1.1 100 Continue\r\n\r\n"), "");
    assert_eq!(lab.sent("ab"), "body@0, req.");
    let both = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(lab.received(both), "res@37 200, body@75, res.");
}

#[test]
fn upgraded_connections_are_one_request() {
    let mut lab = Lab::new(Role::Accepted);
    lab.received("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(lab.sent("HTTP/1.1 101 Switching Protocols\r\n\r\n\u{1}x"), "res@0 101, Upgraded");
    assert_eq!(lab.received("GET / HTTP/1.1\r\n\r\n"), "");
}

#[test]
fn pipelined_requests_and_responses() {
    let mut lab = Lab::new(Role::Accepted);
    let two = "POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nxyGET /b HTTP/1.1\r\n\r\n";
    assert_eq!(lab.received(two), "req@0 POST /a, body@39, req., req@41 GET /b, req.");
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(lab.sent(&response.repeat(2)), "res@0 200, body@38, res., res@39 200, body@77, res.");
}

#[test]
fn a_tunnel_starts_afresh() {
    let mut lab = Lab::client();
    assert_eq!(lab.sent("CONNECT api.openai.com:443 HTTP/1.1\r\nHost: x\r\n\r\n"), "");
    assert_eq!(lab.received("HTTP/1.1 200 Connection established\r\n\r\n"), "tunnel api.openai.com 443");
    // A ClientHello without extensions.
    let mut hello = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03".to_vec();
    hello.extend([7; 32]);
    hello.extend(b"\x00\x00\x02\x13\x01\x01\x00");
    assert_eq!(short(&lab.marks(Sent, &hello)), "hello");
}

#[test]
fn a_refused_tunnel_is_a_response_only() {
    let mut lab = Lab::client();
    lab.sent("CONNECT api.openai.com:443 HTTP/1.1\r\n\r\n");
    assert_eq!(
        lab.received("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno"),
        "res@0 407, body@65, res."
    );
    assert_eq!(lab.sent("CONNECT api.openai.com:443 HTTP/1.1\r\nProxy-Authorization: x\r\n\r\n"), "");
    assert_eq!(lab.received("HTTP/1.1 200 OK\r\n\r\n"), "tunnel api.openai.com 443");
}

#[test]
fn heads_may_be_split_anywhere() {
    let mut lab = Lab::client();
    assert_eq!(lab.sent("G"), "");
    assert_eq!(lab.sent("ET /a HTTP/1.1\r\nHo"), "");
    assert_eq!(lab.sent("st: a\r\n\r"), "");
    assert_eq!(lab.sent("\n"), "req@0 GET /a, req.");
    assert_eq!(lab.received("HTTP/1.1 2"), "");
    assert_eq!(lab.received("00 OK\r\ncontent-length: 1\r\n\r\nx"), "res@0 200, body@28, res.");
}

#[test]
fn a_request_head_past_the_copied_bytes_ends_with_its_answer() {
    let copied = format!("GET /a HTTP/1.1\r\nHost: a\r\nCookie: {}", "c".repeat(2000));
    let mut lab = Lab::new(Role::Accepted);
    assert_eq!(lab.truncated(Received, 1 << 20, &copied), "req@0 GET /a");
    assert_eq!(lab.received("what follows may be head or body"), "");
    assert_eq!(lab.sent("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "res@0 200, res.");
    assert_eq!(lab.received(GET), "req@0 GET /, req.");

    let long_target = format!("GET /{} ", "p".repeat(3000));
    let mut lab = Lab::new(Role::Accepted);
    let expected = format!("req@0 GET /{}", "p".repeat(255));
    assert_eq!(lab.truncated(Received, 9000, &long_target[..2048]), expected);
}

#[test]
fn a_response_head_past_the_copied_bytes_has_no_end() {
    let pad = "p".repeat(2000);
    let mut lab = Lab::client();
    lab.sent(GET);
    let copied = format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Pad: {pad}");
    assert_eq!(lab.truncated(Received, 3000, &copied), "res@0 200, Unparsed");
    assert_eq!(lab.received("abc"), "");
    assert_eq!(lab.sent(GET), "req@0 GET /, req.");
    let copied = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Pad: {pad}");
    assert_eq!(lab.truncated(Received, 3000, &copied), "res@0 200");
    assert_eq!(lab.received("3\r\nabc\r\n0\r\n\r\n"), "body@3, res.");
}

#[test]
fn connections_seen_in_the_middle_wait_for_a_head() {
    let mut lab = Lab::new(Role::Unknown);
    assert_eq!(lab.received("the rest of a body"), "");
    assert_eq!(lab.sent("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "");
    assert_eq!(lab.received("P"), "");
    assert_eq!(lab.received(GET), "req@0 GET /, req.");
    assert_eq!(lab.sent("HTTP/1.1 204 No Content\r\n\r\n"), "res@0 204, res.");

    let mut lab = Lab::new(Role::Unknown);
    let said: Vec<String> = (0..300).map(|_| lab.received("*1\r\n$4\r\nPING\r\n")).collect();
    assert_eq!(said.concat(), "Unparsed");
}

#[test]
fn other_protocols_are_unparsed_once() {
    for bytes in
        ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "*1\r\n$4\r\nPING\r\n", "\0\0\0\u{8}", "HTTP/1.1 200 OK\r\n\r\n"]
    {
        let mut lab = Lab::client();
        assert_eq!(lab.sent(bytes), "Unparsed", "{bytes:?}");
        assert_eq!(lab.sent(GET), "", "{bytes:?}");
    }
}

#[test]
fn hostile_requests_are_unparsed() {
    for request in [
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nA\0: b\r\n\r\n",
        "GET / RTSP/1.0\r\n\r\n",
        "GET \0\0\0\r\n\r\n",
        "CONNECT / HTTP/1.1\r\n\r\n",
    ] {
        let mut lab = Lab::client();
        assert_eq!(lab.sent(request), "Unparsed", "{request:?}");
    }
}

#[test]
fn hostile_chunks_are_unparsed() {
    for chunk in [
        "-1\r\n",
        "\r\n",
        "x\r\n",
        "0x5\r\n",
        "5\nhello",
        "ffffffffffffffff\r\n",
        "10000000000000000\r\n",
        "5\r\nhelloXX",
        "0\r\nA\0",
    ] {
        let mut lab = Lab::client();
        lab.sent("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
        let said = lab.sent(chunk);
        assert!(said.ends_with("Unparsed") && !said.contains("req."), "{chunk:?}: {said}");
    }
}

#[test]
fn a_response_without_a_request_is_unparsed() {
    let mut lab = Lab::client();
    lab.sent(GET);
    lab.received("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(lab.received("HTTP/1.1 408 Request Timeout\r\n\r\n"), "Unparsed");
}

#[test]
fn after_an_unseen_transfer_the_next_request_starts_afresh() {
    let mut lab = Lab::new(Role::Accepted);
    lab.received(GET);
    // The head of the answer went unseen.
    assert_eq!(lab.sent("{}"), "Unparsed");
    assert_eq!(lab.sent("more"), "");
    // A request that is not recognised, and content of it that looks like one.
    assert_eq!(lab.received("PO"), "");
    assert_eq!(lab.received(GET), "");
    assert_eq!(lab.sent("HTTP/1.1 204 No Content\r\n\r\n"), "");
    assert_eq!(lab.received(GET), "req@0 GET /, req.");
    assert_eq!(lab.sent("HTTP/1.1 204 No Content\r\n\r\n"), "res@0 204, res.");
}

#[test]
fn a_head_longer_than_is_kept_ends_with_its_answer() {
    let mut lab = Lab::new(Role::Accepted);
    assert_eq!(lab.received("GET /a HTTP/1.1\r\nX: "), "");
    let said: Vec<String> = (0..80).map(|_| lab.received(&"x".repeat(1024))).collect();
    assert_eq!(said.concat(), "req@0 GET /a");
    assert_eq!(lab.sent("HTTP/1.1 204 No Content\r\n\r\n"), "res@0 204, res.");
}
