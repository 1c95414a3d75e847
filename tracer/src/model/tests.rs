//! Whole stories in events: what a server, a loop or a script does, and the buckets that must come of it.
//! Times are in microseconds here, to be readable.

mod background;
mod calls;
mod cpu;
mod greenlets;
mod hand_out;
mod lifecycle;
mod queue;
mod samples;
mod serving;
mod streams;
mod timers;

use std::sync::Arc;

use super::*;
use crate::{
    event::{
        Connection, ConnectionId, Direction, Mark, OffState, ProcessFacts, RequestHead, ResponseHead, Role,
        Transport, Unknown, Wait,
    },
    report::{
        bucket::Bucket,
        build::{Origin, build},
        types::Report,
    },
};

const US: u64 = 1_000;
const PID: u32 = 100;
const CALLER: ConnectionId = ConnectionId(1);
const VENDOR: ConnectionId = ConnectionId(2);

/// Events of one thread of one process, written as a story.
struct Story {
    model: Model,
    pid: u32,
    tid: u32,
    /// Of the vendor's answers by HTTP/2.
    read_bytes: u32,
}

impl Story {
    fn new() -> Self {
        let mut story =
            Story { model: Model::new(Arc::new(VendorTable::builtin())), pid: PID, tid: PID, read_bytes: 0 };
        let facts = ProcessFacts { runtime: Some((0x1000, 0x1100)), ..ProcessFacts::default() };
        story.at(0, Body::Process(Box::new(facts))).at(0, Body::SwitchIn { wake_ns: 0, waker_tid: 0 });
        story
    }

    fn at(&mut self, at_us: u64, body: Body) -> &mut Self {
        self.model.apply(&Event { ts_ns: at_us * US, tgid: self.pid, tid: self.tid, body });
        self
    }

    fn on(&mut self, tid: u32) -> &mut Self {
        self.tid = tid;
        self
    }

    fn out(&mut self, at_us: u64, wait: Wait) -> &mut Self {
        self.at(at_us, Body::SwitchOut { state: OffState::Sleeping, wait, cpu_ns: 0 })
    }

    fn back(&mut self, wake_us: u64, in_us: u64) -> &mut Self {
        self.at(in_us, Body::SwitchIn { wake_ns: wake_us * US, waker_tid: 0 })
    }

    fn idle(&mut self, at_us: u64, wake_us: u64, in_us: u64) -> &mut Self {
        self.out(at_us, Wait::Epoll { timeout_ns: None }).back(wake_us, in_us)
    }

    fn opened(&mut self, at_us: u64, id: ConnectionId, role: Role) -> &mut Self {
        let remote = Some(([127, 0, 0, 1].into(), 443));
        self.at(
            at_us,
            Body::Connection(Box::new(Connection {
                copied_seq: 1,
                ..Connection::new(id, role, Transport::Tcp, remote)
            })),
        )
    }

    fn arrival(&mut self, at_us: u64, connection: ConnectionId, position: u32) -> &mut Self {
        self.at(at_us, Body::Arrival { connection, rcv_nxt: 1 + position, rtt_ns: 0 })
    }

    fn transfer(
        &mut self,
        (enter_us, exit_us): (u64, u64),
        connection: ConnectionId,
        direction: Direction,
        result: i64,
        marks: Vec<Mark>,
    ) -> &mut Self {
        self.at(exit_us, Body::Transfer { connection, direction, enter_ns: enter_us * US, result, marks })
    }

    /// The caller's request is read, 100 bytes.
    fn request_read(&mut self, enter_us: u64) -> &mut Self {
        let head = RequestHead { method: "GET".into(), path: "/chat".into(), ..RequestHead::default() };
        let marks = vec![Mark::RequestHead { at: 0, head }, Mark::RequestEnd];
        self.transfer((enter_us, enter_us + 1), CALLER, Direction::Received, 100, marks)
    }

    /// A step (0xa) that reads the request, which arrived at 10.
    fn request_begun(&mut self) -> &mut Self {
        self.opened(0, CALLER, Role::Accepted).arrival(10, CALLER, 100).enter(10, 0xa).request_read(10)
    }

    /// It has copied the context (0xb) of a task at 20.
    fn task_begun(&mut self) -> &mut Self {
        self.request_begun().at(20, Body::ContextCopy { context: 0xb })
    }

    fn answer_sent(&mut self, exit_us: u64) -> &mut Self {
        let head = ResponseHead { status: 200, ..ResponseHead::default() };
        let marks = vec![Mark::ResponseHead { at: 0, head }, Mark::ResponseEnd];
        self.transfer((exit_us - 1, exit_us), CALLER, Direction::Sent, 100, marks)
    }

    fn call_sent(&mut self, exit_us: u64) -> &mut Self {
        self.transfer((exit_us - 1, exit_us), VENDOR, Direction::Sent, 300, vec![Mark::Ciphertext { at: 0 }])
    }

    fn answer_read(&mut self, enter_us: u64, bytes: i64) -> &mut Self {
        let marks = vec![Mark::Ciphertext { at: 0 }];
        self.transfer((enter_us, enter_us + 1), VENDOR, Direction::Received, bytes, marks)
    }

    fn tls_opened(&mut self, at_us: u64) -> &mut Self {
        let sni = Some("api.openai.com".to_owned());
        self.opened(at_us, VENDOR, Role::Connected)
            .at(at_us, Body::Connect { connection: VENDOR, enter_ns: at_us * US, result: 0 })
            .transfer(
                (at_us, at_us),
                VENDOR,
                Direction::Sent,
                517,
                vec![Mark::ClientHello { sni, alpn: None }],
            )
            .transfer((at_us, at_us), VENDOR, Direction::Sent, 80, vec![Mark::HandshakeDone])
    }

    fn enter(&mut self, at_us: u64, context: u64) -> &mut Self {
        self.at(at_us, Body::ContextEnter { context })
    }

    fn exit(&mut self, at_us: u64) -> &mut Self {
        self.at(at_us, Body::ContextExit { context: 0 })
    }

    fn report(self, end_us: u64) -> Report {
        let outcome = self.model.finish(end_us * US);
        build(&Origin::default(), end_us * US, &outcome, &VendorTable::builtin())
    }
}

/// Buckets of a request that are not zero, in microseconds.
fn buckets(report: &Report, index: usize) -> Vec<(&'static str, u64)> {
    let buckets = &report.requests[index].buckets;
    buckets
        .iter()
        .filter_map(|(bucket, ns)| Some((bucket.name(), ns? / US)))
        .filter(|(_, us)| *us > 0)
        .collect()
}

#[test]
fn a_worker_that_accepts_late_waits_for_itself_then_for_the_vendor() {
    let mut story = Story::new();
    story
        .at(
            300,
            Body::Connection(Box::new(Connection {
                first_data_ns: Some(100 * US),
                copied_seq: 1,
                ..Connection::new(CALLER, Role::Accepted, Transport::Tcp, None)
            })),
        )
        .request_read(310)
        .tls_opened(320)
        .call_sent(331)
        .out(340, Wait::Receive { connection: VENDOR })
        .arrival(800, VENDOR, 50)
        .back(800, 850)
        .answer_read(860, 50)
        .answer_sent(900);
    let report = story.report(1_000);
    assert_eq!(report.requests.len(), 1);
    assert_eq!(
        buckets(&report, 0),
        [("llm.first_byte", 460), ("python.cpu", 80), ("wait.loop", 210), ("wait.runqueue", 50)]
    );
    let call = &report.requests[0].calls[0];
    assert_eq!(call.vendor.as_deref(), Some("openai"));
    assert_eq!(call.first_byte_ns, Some(469 * US));
    assert!(!call.connection_reused);
}

/// Request 1 waits for the vendor; its answer arrives while the loop runs a step of somebody else.
#[test]
fn an_answer_that_lies_in_the_kernel_while_the_loop_is_busy_is_ours() {
    let mut story = Story::new();
    story
        .task_begun()
        .exit(20)
        .enter(25, 0xb)
        .tls_opened(30)
        .call_sent(41)
        .exit(50)
        .idle(50, 100, 100)
        // A step of nobody's keeps the loop busy from 100 to 700; the answer arrives at 300.
        .enter(100, 0xc)
        .arrival(300, VENDOR, 50)
        .exit(700)
        .enter(710, 0xd)
        .answer_read(710, 50)
        .exit(720)
        .enter(730, 0xb)
        .answer_sent(750)
        .exit(760)
        .idle(760, 900, 900);
    let report = story.report(1_000);
    assert_eq!(report.requests.len(), 1);
    assert_eq!(
        buckets(&report, 0),
        [("llm.first_byte", 250), ("python.cpu", 65), ("wait.loop", 425)],
        "{:?}",
        report.requests[0].timeline
    );
    assert_eq!(report.requests[0].calls[0].read_delay_ns, Some(411 * US));
}

#[test]
fn loss_marks_the_requests_it_may_touch() {
    let mut story = Story::new();
    story.opened(0, CALLER, Role::Accepted).request_read(10).answer_sent(20);
    story.request_read(100).answer_sent(120);
    story.at(150, Body::Loss { kind: "transfer".into(), count: 3, since_ns: 50 * US });
    let report = story.report(1_000);
    assert_eq!(report.capture.lost_events["transfer"], 3);
    assert_eq!(report.requests.iter().map(|request| request.complete).collect::<Vec<_>>(), [true, false]);
}
