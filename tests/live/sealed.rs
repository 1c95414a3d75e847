//! Clients with TLS of their own: what can be known of their calls is right, and nothing else is told.

use std::fs;

use serde::Deserialize;
use tests::{
    lab::{LIMIT, Lab, folder},
    python::Python,
    recording::Recording,
};
use tracer::report::{bucket::Bucket, types::Call};

use crate::application::{sealed, traced};

/// A line of `tests/lab/grpc_vendor.py`.
#[derive(Deserialize)]
struct Answer {
    received_ns: u64,
    sent_ns: Vec<u64>,
}

/// How long gRPC's server takes until it hands a request to the code that answers.
const GRPC_NS: u64 = 15_000_000;

#[test]
fn grpc_and_rustls() {
    let python = Python::sdks().into_iter().max_by_key(Python::minor).expect("there is one");
    let lab = Lab::start();
    let mut vendor = lab.command(python.program("python"));
    vendor.arg(folder("lab").join("grpc_vendor.py")).arg(lab.dir());
    let mut vendor = lab.start_command(&mut vendor, "grpc");
    vendor.wait_for_stderr("ready", LIMIT);
    let recording = Recording::start(&lab, "sealed", traced(sealed(&python, &lab.dir().join("ca.pem"))));
    let (_, report) = recording.finish();

    let [request] = report.requests.as_slice() else { panic!("a run is one request: {report:?}") };
    let log = fs::read_to_string(lab.dir().join("grpc.jsonl")).expect("read the vendor's log");
    let by_grpc: Vec<Answer> = log.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    let truth = lab.truth();
    let by_grpc = by_grpc.iter().map(|Answer { received_ns, sent_ns }| ("x_ai", *received_ns, sent_ns));
    let by_rustls =
        truth.exchanges.iter().map(|exchange| ("openai", exchange.received_ns, &exchange.sent_ns));
    let expected: Vec<_> = by_grpc.chain(by_rustls).collect();
    assert_eq!((request.calls.len(), expected.len()), (8, 8));
    let mut waited_ns = 0;
    for (call, (vendor, received_ns, sent_ns)) in request.calls.iter().zip(expected) {
        assert_eq!(call.vendor.as_deref(), Some(vendor));
        assert!(tells_nothing(call), "{call:?}");
        let true_ns = sent_ns[0] - received_ns;
        let first_byte_ns = call.first_byte_ns.expect("it is known");
        assert!(first_byte_ns.abs_diff(true_ns) < GRPC_NS, "first byte {first_byte_ns}, true {true_ns}");
        let true_ns = sent_ns[sent_ns.len() - 1] - sent_ns[0];
        let stream_ns = call.stream_ns.expect("it is known");
        assert!(stream_ns.abs_diff(true_ns) < GRPC_NS, "stream {stream_ns}, true {true_ns}");
        waited_ns += first_byte_ns + stream_ns;
    }
    // The main thread looks after gRPC's every 100 ms: that is no lock.
    let bucket = |bucket| request.buckets.get(bucket).unwrap_or(0);
    let vendor_ns = bucket(Bucket::LlmFirstByte) + bucket(Bucket::LlmStream);
    assert!(
        vendor_ns.abs_diff(waited_ns) < waited_ns / 20,
        "in the buckets {vendor_ns}, by call {waited_ns}"
    );
    assert_eq!(request.buckets.get(Bucket::LlmBackoff), None, "what was refused can't be seen");
}

/// Whether nothing is made up of what only the plaintext tells.
fn tells_nothing(call: &Call) -> bool {
    let texts = [&call.model, &call.operation, &call.vendor_request_id];
    let numbers = [call.first_content_ns, call.input_tokens, call.output_tokens, call.vendor_reported_ns];
    texts.iter().all(|text| text.is_none())
        && numbers.iter().all(Option::is_none)
        && (call.stream, call.status, call.end, call.attempt) == (None, None, None, 1)
}
