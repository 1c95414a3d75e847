//! Stories of calls over HTTP/2, which share a connection.

use super::*;

const SESSION: u64 = 0x55;
/// Another caller, whose requests are served by tasks of their own.
const OTHER: ConnectionId = ConnectionId(3);

impl Story {
    /// A client's session on the vendor's connection has said that it speaks HTTP/2.
    fn http2_begun(&mut self, at_us: u64) -> &mut Self {
        self.at(at_us, Body::TlsStart { session: SESSION })
            .tls_opened(at_us)
            .plain(at_us, Direction::Sent, vec![Mark::Http2])
            .call_sent(at_us + 1)
    }

    fn plain(&mut self, at_us: u64, direction: Direction, marks: Vec<Mark>) -> &mut Self {
        let plain = Body::Plain { session: SESSION, direction, enter_ns: at_us * US, bytes: 100, marks };
        self.at(at_us, plain)
    }

    fn asks(&mut self, at_us: u64, streams: &[u32]) -> &mut Self {
        let head = |path: &u32| RequestHead {
            method: "POST".into(),
            path: format!("/v1/chat/completions/{path}"),
            host: Some("api.openai.com".into()),
            ..RequestHead::default()
        };
        let marks = streams.iter().flat_map(|id| {
            [
                Mark::Stream { id: *id, bytes: 50 },
                Mark::RequestHead { at: 0, head: head(id) },
                Mark::RequestEnd,
            ]
        });
        self.plain(at_us, Direction::Sent, marks.collect()).call_sent(at_us + 1)
    }

    fn answers(&mut self, at_us: u64, stream: u32, mark: Mark) -> &mut Self {
        self.read_bytes += 100;
        let position = self.read_bytes;
        self.arrival(at_us, VENDOR, position).answer_read(at_us, 100).plain(
            at_us + 1,
            Direction::Received,
            vec![Mark::Stream { id: stream, bytes: 100 }, mark],
        )
    }

    /// Another request comes, and is served in a context of its own.
    fn other_begun(&mut self, at_us: u64) -> &mut Self {
        let head = RequestHead { method: "GET".into(), path: "/other".into(), ..RequestHead::default() };
        let marks = vec![Mark::RequestHead { at: 0, head }, Mark::RequestEnd];
        self.opened(at_us, OTHER, Role::Accepted).arrival(at_us, OTHER, 100).enter(at_us, 0xc).transfer(
            (at_us, at_us + 1),
            OTHER,
            Direction::Received,
            100,
            marks,
        )
    }
}

fn response_head() -> Mark {
    Mark::ResponseHead { at: 0, head: ResponseHead { status: 200, ..ResponseHead::default() } }
}

#[test]
fn streams_have_each_their_times() {
    let mut story = Story::new();
    story
        .request_begun()
        .http2_begun(20)
        .asks(30, &[1])
        .asks(40, &[3])
        .exit(50)
        .idle(50, 1_000, 1_000)
        .enter(1_000, 0xa)
        // The second is answered first.
        .answers(1_000, 3, response_head())
        .answers(2_000, 1, response_head())
        .answers(3_000, 1, Mark::ResponseEnd)
        .answers(4_000, 3, Mark::ResponseEnd)
        .answer_sent(5_000);
    let report = story.report(6_000);
    let calls: Vec<_> = report.requests[0]
        .calls
        .iter()
        .map(|call| (call.first_byte_ns.map(|ns| ns / US), call.stream_ns.map(|ns| ns / US)))
        .collect();
    assert_eq!(calls, [(Some(2_000 - 31), Some(1_000)), (Some(1_000 - 41), Some(3_000))]);
}

#[test]
fn what_may_be_anothers_is_nobodys() {
    let mut story = Story::new();
    story
        .request_begun()
        .http2_begun(20)
        .asks(30, &[1])
        .exit(50)
        .other_begun(60)
        // It has not had a call here, so one must be its own.
        .asks(70, &[3])
        // But of two?
        .asks(80, &[5, 7])
        .exit(90)
        .enter(100, 0xa)
        .answers(1_000, 1, response_head())
        .answers(1_100, 5, response_head())
        .answers(1_200, 5, Mark::ResponseEnd)
        .answers(2_000, 1, Mark::ResponseEnd)
        .answer_sent(3_000);
    let report = story.report(6_000);
    let calls = |index: usize| report.requests[index].calls.len();
    assert_eq!((calls(0), calls(1)), (1, 1));
    assert!(report.capture.unknown.iter().any(|unknown| unknown.bucket == "llm.first_byte"));
}

/// As a task does that the server started for itself.
#[test]
fn what_is_of_no_request_is_not_unknown() {
    let mut story = Story::new();
    story.opened(0, CALLER, Role::Accepted).http2_begun(5).asks(6, &[1]);
    story
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
        .asks(70, &[3])
        .answers(1_000, 3, response_head())
        .answer_sent(3_000);
    let report = story.report(6_000);
    assert_eq!(report.requests[0].calls.len(), 1);
    assert!(report.capture.unknown.is_empty(), "{:?}", report.capture.unknown);
}

#[test]
fn a_stream_that_the_client_resets_is_given_up() {
    let mut story = Story::new();
    story
        .request_begun()
        .http2_begun(20)
        .asks(30, &[1])
        .plain(500, Direction::Sent, vec![Mark::Stream { id: 1, bytes: 13 }, Mark::StreamReset])
        .call_sent(501)
        .asks(600, &[3])
        .answers(1_000, 3, response_head())
        .answer_sent(3_000);
    let report = story.report(6_000);
    let calls: Vec<_> = report.requests[0].calls.iter().map(|call| call.first_byte_ns.is_some()).collect();
    assert_eq!(calls, [false, true]);
    assert_eq!(report.requests[0].calls[0].wall_ns / US, 500 - 20);
}
