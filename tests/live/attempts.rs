//! Calls that go wrong: which attempts belong together, how each of them ended, and what was slept between them.

use tests::{
    lab::Lab,
    python::Python,
    recording::Recording,
    truth::{Exchange, Truth},
};
use tracer::report::{
    bucket::Bucket,
    types::{Call, End, Request},
};

use crate::application::{attempts, traced};

/// Attempt, status and end of each call of a case.
type Attempts = [(u32, Option<u16>, End)];

#[test]
fn attempts_that_fail() {
    let cases: [(&str, &Attempts); 7] = [
        ("limited", &[(1, Some(429), End::Failed), (2, Some(200), End::Complete)]),
        (
            "overloaded",
            &[(1, Some(529), End::Failed), (2, Some(529), End::Failed), (3, Some(200), End::Complete)],
        ),
        ("slow", &[(1, None, End::GivenUp), (2, None, End::GivenUp)]),
        ("given_up", &[(1, Some(200), End::GivenUp)]),
        ("cut", &[(1, Some(200), End::Cut)]),
        ("unended", &[(1, Some(200), End::Complete)]),
        ("failed", &[(1, Some(200), End::Failed)]),
    ];
    for python in Python::all() {
        let lab = Lab::start();
        let recording = Recording::start(&lab, "attempts", traced(attempts(&python)));
        let (_, report) = recording.finish();
        let [request] = report.requests.as_slice() else { panic!("a run is one request: {report:?}") };
        for (case, expected) in cases {
            let is_of_case = |call: &&Call| {
                call.model.as_ref().is_some_and(|model| model.contains(&format!("case={case},")))
            };
            let found: Vec<_> = request
                .calls
                .iter()
                .filter(is_of_case)
                .map(|call| (call.attempt, call.status, call.end.expect("its end was seen")))
                .collect();
            // Once by each client.
            assert_eq!(found, [expected, expected].concat(), "{}: {case}", python.name);
        }
        let limited = request.calls.iter().filter_map(|call| call.rate_limit.as_ref()?.retry_after_ns);
        assert_eq!(limited.collect::<Vec<_>>(), [1_000_000_000; 2]);
        let truth = lab.truth();
        check_left(request, &truth);

        let slept_ns = truth.request("attempts").waits["llm.backoff"];
        let backoff_ns = request.buckets.get(Bucket::LlmBackoff).expect("it is known");
        eprintln!("{}: llm.backoff {backoff_ns} ns, slept {slept_ns} ns", python.name);
        // What the program takes for its sleep ends once it has a CPU again.
        let late_ns = request.buckets.get(Bucket::WaitRunqueue).expect("it is known");
        assert!(
            backoff_ns.abs_diff(slept_ns) < slept_ns / 100 + late_ns,
            "{}, {late_ns} ns late: {}",
            python.name,
            what_was_between(request)
        );
        assert!(report.findings.iter().any(|finding| finding.kind == "retry_backoff"), "{}", python.name);
    }
}

/// Every answer, refused or not, says what the caller may still ask.
fn check_left(request: &Request, truth: &Truth) {
    for call in request.calls.iter().filter(|call| call.status.is_some()) {
        let is_answer = |exchange: &&Exchange| exchange.request_id == call.vendor_request_id;
        let exchange = truth.exchanges.iter().find(is_answer).expect("the vendor has logged it");
        assert!(exchange.requests_left.is_some() && exchange.tokens_left.is_some());
        let limits = call.rate_limit.as_ref().expect("it has the headers");
        let left = (limits.requests_left, limits.tokens_left);
        assert_eq!(left, (exchange.requests_left, exchange.tokens_left), "{call:?}");
    }
}

/// What happened to a run: its buckets, and its calls in order.
fn what_was_between(request: &Request) -> String {
    let buckets = format!("{:?}", request.buckets);
    let calls = request.calls.iter().map(|call| {
        let start_ns = call.start_unix_ns.saturating_sub(request.start_unix_ns);
        let Call { id, attempt, wall_ns, dns_ns, connect_ns, tls_ns, first_byte_ns, stream_ns, .. } = call;
        format!(
            "\n  at {start_ns} call {id} attempt {attempt} took {wall_ns}: dns {dns_ns:?}, connect {connect_ns:?}, \
             tls {tls_ns:?}, first byte {first_byte_ns:?}, stream {stream_ns:?}, end {:?}",
            call.end
        )
    });
    calls.fold(buckets, |all, call| all + &call)
}
