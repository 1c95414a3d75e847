//! Stories of calls that a request makes.

use super::*;
use crate::{event::Asked, report::types::End};

#[test]
fn a_lookup_in_a_pool_thread_is_joined_by_host() {
    let (pool, resolver) = (PID + 1, ConnectionId(9));
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .request_read(10)
        .out(20, Wait::Futex { address: 0x9000 });
    story
        .on(pool)
        .back(22, 22)
        .at(
            100,
            Body::Connection(Box::new(Connection::new(
                resolver,
                Role::Connected,
                Transport::Udp,
                Some(([127, 0, 0, 53].into(), 53)),
            ))),
        )
        .at(100, Body::Connect { connection: resolver, enter_ns: 100 * US, result: 0 });
    let name = || "api.openai.com".to_owned();
    let query = Mark::DnsQuery { id: 7, name: name() };
    let answer = Mark::DnsAnswer { id: 7, name: name(), addresses: vec![[127, 0, 0, 1].into()] };
    story
        .transfer((100, 101), resolver, Direction::Sent, 32, vec![query])
        .transfer((390, 400), resolver, Direction::Received, 48, vec![answer])
        .on(PID)
        .back(400, 400)
        .tls_opened(410)
        .call_sent(420)
        .answer_sent(450);
    let report = story.report(1_000);
    assert_eq!(report.requests[0].calls[0].dns_ns, Some(300 * US));
    assert_eq!(report.requests[0].buckets.get(Bucket::NetOther), Some(0));
}

#[test]
fn tickets_that_are_read_before_the_answer_are_not_its_first_byte() {
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .request_read(10)
        .tls_opened(20)
        .call_sent(31)
        .arrival(40, VENDOR, 500)
        .transfer((50, 51), VENDOR, Direction::Received, 500, vec![Mark::Ticket { at: 0 }])
        .out(60, Wait::Poll { connection: Some(VENDOR), timeout_ns: None })
        .arrival(900, VENDOR, 600)
        .back(900, 910)
        .answer_read(920, 100)
        .answer_sent(950);
    let report = story.report(1_000);
    assert_eq!(report.requests[0].calls[0].first_byte_ns, Some(869 * US));
}

/// An answer may be as short as a ticket is, and its connection is closed after it.
#[test]
fn what_looks_like_a_ticket_is_the_answer_where_plaintext_comes_out_of_it() {
    let head = ResponseHead { status: 200, stream: false, vendor_request_id: None, vendor_reported_ns: None };
    let marks = vec![Mark::ResponseHead { at: 0, head }, Mark::ResponseEnd];
    let answer =
        Body::Plain { session: 0xaa, direction: Direction::Received, enter_ns: 910 * US, bytes: 250, marks };
    let hello = vec![Mark::ClientHello { sni: Some("api.openai.com".into()), alpn: None }];
    let ticket = || vec![Mark::Ticket { at: 0 }];
    let mut story = Story::new();
    story
        .opened(0, CALLER, Role::Accepted)
        .arrival(10, CALLER, 100)
        .request_read(10)
        .opened(20, VENDOR, Role::Connected)
        .at(20, Body::Connect { connection: VENDOR, enter_ns: 20 * US, result: 0 })
        .at(21, Body::TlsStart { session: 0xaa })
        .transfer((22, 23), VENDOR, Direction::Sent, 517, hello)
        .transfer((24, 25), VENDOR, Direction::Sent, 80, vec![Mark::HandshakeDone])
        .call_sent(31)
        .arrival(40, VENDOR, 255)
        .transfer((50, 51), VENDOR, Direction::Received, 255, ticket())
        .arrival(900, VENDOR, 527)
        .transfer((905, 906), VENDOR, Direction::Received, 272, ticket())
        .at(910, answer)
        .at(920, Body::Close { connection: VENDOR })
        .answer_sent(950);
    let report = story.report(1_000);
    let call = &report.requests[0].calls[0];
    assert_eq!((call.status, call.end), (Some(200), Some(End::Complete)));
    assert_eq!((call.first_byte_ns, call.bytes_in), (Some(869 * US), 272));
}

/// A task of the request is ready while another step of it blocks the loop with a call.
#[test]
fn a_loop_that_ones_own_step_blocks_is_not_waited_for() {
    let mut story = Story::new();
    story
        .task_begun()
        .exit(30)
        .enter(30, 0xb)
        .at(40, Body::ContextCopy { context: 0xc })
        .tls_opened(50)
        .call_sent(61)
        .out(70, Wait::Receive { connection: VENDOR })
        .arrival(800, VENDOR, 50)
        .back(800, 800)
        .answer_read(810, 50)
        .exit(900)
        .enter(910, 0xc)
        .answer_sent(950)
        .exit(960);
    let report = story.report(1_000);
    assert_eq!(buckets(&report, 0), [("llm.first_byte", 730), ("python.cpu", 200), ("wait.loop", 10)]);
}

/// A pool whose only connection the first request has until 500.
#[test]
fn a_connection_that_another_request_has_is_waited_for() {
    let second = ConnectionId(3);
    let mut story = Story::new();
    let head = RequestHead { method: "GET".into(), path: "/second".into(), ..RequestHead::default() };
    let marks = vec![Mark::RequestHead { at: 0, head }, Mark::RequestEnd];
    story
        .opened(0, CALLER, Role::Accepted)
        .opened(0, second, Role::Accepted)
        .arrival(10, CALLER, 100)
        .enter(10, 0xa)
        .request_read(10)
        .at(20, Body::ContextCopy { context: 0xb })
        .exit(20)
        .enter(20, 0xb)
        .tls_opened(30)
        .call_sent(41)
        .exit(50)
        .arrival(50, second, 100)
        .enter(50, 0xe)
        .transfer((50, 51), second, Direction::Received, 100, marks)
        .at(60, Body::ContextCopy { context: 0xf })
        .exit(60)
        .enter(60, 0xf)
        .exit(100)
        .idle(100, 500, 500)
        .arrival(500, VENDOR, 50)
        .enter(500, 0xb)
        .answer_read(500, 50)
        .exit(520)
        .enter(520, 0xf)
        .call_sent(530)
        .exit(540)
        .idle(540, 900, 900)
        .arrival(900, VENDOR, 100)
        .enter(900, 0xf)
        .answer_read(900, 50)
        .transfer((909, 910), second, Direction::Sent, 100, vec![Mark::ResponseEnd])
        .exit(910);
    let report = story.report(1_000);
    assert_eq!(report.requests[1].path.as_deref(), Some("/second"));
    let buckets = buckets(&report, 1);
    assert!(buckets.contains(&("wait.lock", 400)), "{buckets:?}");
    assert!(!buckets.iter().any(|(bucket, _)| *bucket == "unattributed"), "{buckets:?}");
}

const OTHER_VENDOR: ConnectionId = ConnectionId(4);

fn hello() -> Vec<Mark> {
    vec![Mark::ClientHello { sni: Some("api.openai.com".into()), alpn: None }]
}

fn connect(connection: ConnectionId) -> Body {
    Body::Connect { connection, enter_ns: 0, result: 0 }
}

/// A session takes the head of a request, and its body.
fn asks(session: u64, at_us: u64, model: &str) -> Body {
    let asked = Asked { model: Some(model.into()), ..Asked::default() };
    let head = RequestHead { method: "POST".into(), ..RequestHead::default() };
    let marks = vec![Mark::RequestHead { at: 0, head }, Mark::Asked(asked), Mark::RequestEnd];
    Body::Plain { session, direction: Direction::Sent, enter_ns: at_us * US, bytes: 278, marks }
}

/// A client that is closed leaves its session's address to the next, whose end may not have been seen.
#[test]
fn a_session_at_an_address_used_before_is_another() {
    for ends in [true, false] {
        let mut story = Story::new();
        story.request_begun();
        for (connection, at_us, model) in [(VENDOR, 20, "first"), (OTHER_VENDOR, 40, "second")] {
            story
                .opened(at_us, connection, Role::Connected)
                .at(at_us, connect(connection))
                .at(at_us + 1, Body::TlsStart { session: 0xaa })
                .transfer((at_us + 2, at_us + 2), connection, Direction::Sent, 517, hello())
                .transfer((at_us + 3, at_us + 3), connection, Direction::Sent, 80, vec![Mark::HandshakeDone])
                .at(at_us + 4, asks(0xaa, at_us + 4, model))
                .transfer(
                    (at_us + 5, at_us + 5),
                    connection,
                    Direction::Sent,
                    300,
                    vec![Mark::Ciphertext { at: 0 }],
                );
            if ends {
                story.at(at_us + 6, Body::TlsEnd { session: 0xaa });
            }
        }
        story.exit(60);
        let report = story.report(1_000);
        let calls = report.requests.iter().flat_map(|request| &request.calls);
        let models: Vec<_> = calls.map(|call| call.model.as_deref()).collect();
        assert_eq!(models, [Some("first"), Some("second")], "ends: {ends}");
    }
}

/// A client that sends its hello at once overtakes one that gives others a turn before, as httpx does.
#[test]
fn a_session_is_on_the_connection_of_its_request() {
    const OTHER: ConnectionId = ConnectionId(3);
    let mut story = Story::new();
    for (caller, context, at_us) in [(CALLER, 0xa, 10), (OTHER, 0xb, 20)] {
        let head = RequestHead { method: "GET".into(), path: "/".into(), ..RequestHead::default() };
        let marks = vec![Mark::RequestHead { at: 0, head }, Mark::RequestEnd];
        story
            .opened(at_us, caller, Role::Accepted)
            .enter(at_us, context)
            .transfer((at_us, at_us), caller, Direction::Received, 100, marks)
            .at(at_us + 1, Body::ContextCopy { context: context + 0x10 })
            .exit(at_us + 2);
    }
    story
        .enter(30, 0x1a)
        .opened(30, VENDOR, Role::Connected)
        .at(30, connect(VENDOR))
        .at(31, Body::TlsStart { session: 0xaa })
        .exit(32)
        .enter(40, 0x1b)
        .opened(40, OTHER_VENDOR, Role::Connected)
        .at(40, connect(OTHER_VENDOR))
        .at(41, Body::TlsStart { session: 0xbb })
        .transfer((42, 42), OTHER_VENDOR, Direction::Sent, 517, hello())
        .transfer((43, 43), OTHER_VENDOR, Direction::Sent, 80, vec![Mark::HandshakeDone])
        .at(44, asks(0xbb, 44, "second"))
        .transfer((45, 45), OTHER_VENDOR, Direction::Sent, 300, vec![Mark::Ciphertext { at: 0 }])
        .exit(46)
        .enter(50, 0x1a)
        .transfer((50, 50), VENDOR, Direction::Sent, 517, hello())
        .transfer((51, 51), VENDOR, Direction::Sent, 80, vec![Mark::HandshakeDone])
        .at(52, asks(0xaa, 52, "first"))
        .call_sent(54)
        .exit(60);
    let report = story.report(1_000);
    let models = report.requests.iter().flat_map(|request| &request.calls).map(|call| call.model.as_deref());
    assert_eq!(models.collect::<Vec<_>>(), [Some("first"), Some("second")]);
}
