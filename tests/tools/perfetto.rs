//! Perfetto's published schema.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use tracer::report::types::Request;

use super::{Exports, json, tool};

#[derive(Deserialize)]
struct Trace {
    /// Fields that the schema does not have.
    unknown: u64,
    slices: Vec<Slice>,
}

#[derive(Debug, Deserialize)]
struct Slice {
    track: String,
    tid: u32,
    name: String,
    category: String,
    wall_ns: u64,
    within: Option<String>,
    facts: serde_json::Map<String, serde_json::Value>,
    flows: Vec<u64>,
    ends_flows: Vec<u64>,
}

#[test]
fn perfetto_reads_requests_with_buckets_calls_and_flows_between() {
    let exports = Exports::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/perfetto_slices.py");
    let trace: Trace = json(tool("python").arg(script).arg(exports.file("perfetto")));
    assert_eq!(trace.unknown, 0);
    for request in &exports.report.requests {
        check(request, &trace.slices);
    }
    let main = trace.slices.iter().filter(|slice| slice.tid == exports.report.requests[0].pid);
    assert!(main.count() > 100, "steps on the main thread");
}

fn check(request: &Request, slices: &[Slice]) {
    let track = format!("GET {}, request {}", request.route.as_deref().expect("a route"), request.id);
    let of_track: Vec<&Slice> = slices.iter().filter(|slice| slice.track == track).collect();
    let whole = of_track.iter().find(|slice| slice.category == "request").expect("the request");
    assert_eq!((whole.wall_ns, &whole.facts["request"]), (request.wall_ns, &request.id.as_str().into()));
    let mut buckets = BTreeMap::<&str, u64>::new();
    for slice in of_track.iter().filter(|slice| slice.category == "bucket") {
        assert_eq!(slice.within.as_ref(), Some(&whole.name));
        *buckets.entry(&slice.name).or_default() += slice.wall_ns;
    }
    let expected = request.buckets.iter().filter_map(|(bucket, ns)| Some((bucket.name(), ns?)));
    assert_eq!(buckets, expected.filter(|(_, ns)| *ns > 0).collect());
    assert_eq!(whole.flows.len(), request.calls.len());
    for (call, flow) in request.calls.iter().zip(&whole.flows) {
        let found: Vec<&Slice> = slices.iter().filter(|slice| slice.ends_flows.contains(flow)).collect();
        let [slice] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((slice.category.as_str(), slice.wall_ns), ("call", call.wall_ns));
        assert_eq!(slice.facts["host"].as_str(), call.host.as_deref());
    }
    let phases = slices.iter().filter(|slice| slice.category == "phase");
    assert!(phases.into_iter().all(|phase| phase.within.is_some()));
}
