//! Exports of captures: nothing is lost or counted twice on the way to another tool's format.

use std::collections::BTreeMap;

use super::{CAPTURES, assert_matches, capture, replay};
use tracer::{
    export::{callgrind, folded, profile, sequence, speedscope},
    report::{
        bucket::Bucket,
        filter::Filter,
        text::{self, Options},
        types::{Report, Request},
    },
};

pub fn report(name: &str) -> Report {
    let capture = capture(name);
    replay(&capture, &capture.events, capture.end_ns)
}

#[test]
fn exports_of_captures_are_as_expected() {
    let all = Filter::default();
    let report = report("chat");
    assert_matches("exports/chat.folded", &folded::render(&report, &all));
    assert_matches("exports/chat.callgrind", &callgrind::render(&report, &all));
    let slowest = Filter { slowest: Some(1), ..Filter::default() };
    assert_matches("exports/chat.speedscope.json", &speedscope::render(&report, &slowest));
    assert_matches("exports/native.folded", &folded::render(&self::report("native"), &all));
}

#[test]
fn trees_of_a_route_and_a_request_are_as_expected() {
    let text = |report: &Report, filter| text::render(report, &Options { width: 80, colour: false, filter });
    let route = Filter { route: Some("/cpu/{id}".to_owned()), slowest: Some(0), ..Filter::default() };
    assert_matches("exports/demo-route.txt", &text(&report("demo"), route));
    let script = report("script");
    let request = Filter { request: Some(script.requests[0].id.clone()), ..Filter::default() };
    assert_matches("exports/script-request.txt", &text(&script, request));
}

#[test]
fn stacks_of_each_request_sum_to_its_buckets() {
    let mut samples = 0;
    for name in CAPTURES {
        let report = report(name);
        for request in &report.requests {
            let stacks = profile::of(&[request]);
            assert_buckets(request, stacks.iter().map(|(stack, weight)| (stack.bucket, weight.wall_ns)));
            let pieces = sequence::pieces(request);
            assert_buckets(
                request,
                pieces.iter().map(|piece| (piece.stack.bucket, piece.end_ns - piece.start_ns)),
            );
            let gaps = pieces.windows(2).filter(|pair| pair[0].end_ns != pair[1].start_ns).count();
            assert_eq!(gaps, 0, "{name}, request {}", request.id);
            let of_stacks: u64 = stacks.iter().map(|(_, weight)| weight.samples).sum();
            let own_ns: u64 = stacks.iter().map(|(_, weight)| weight.cpu_ns).sum();
            let listed_ns: u64 = request.functions.iter().map(|function| function.self_ns).sum();
            assert!(listed_ns <= own_ns, "{name}, request {}", request.id);
            samples += of_stacks;
        }
        let walls: u64 = report.requests.iter().map(|request| request.wall_ns).sum();
        let folded = folded::render(&report, &Filter::default());
        let lines = folded.lines().map(|line| line.rsplit_once(' ').expect("a stack and a number"));
        let sum: u64 = lines.map(|(_, wall_ns)| wall_ns.parse::<u64>().expect("a number")).sum();
        assert_eq!(sum, walls, "{name}");
    }
    assert!(samples > 200, "{samples} samples in all captures");
}

fn assert_buckets(request: &Request, pieces: impl Iterator<Item = (Bucket, u64)>) {
    let mut buckets = BTreeMap::<Bucket, u64>::new();
    pieces.for_each(|(bucket, wall_ns)| *buckets.entry(bucket).or_default() += wall_ns);
    for (bucket, wall_ns) in request.buckets.iter() {
        let found = buckets.get(&bucket).copied().unwrap_or_default();
        assert_eq!(found, wall_ns.unwrap_or_default(), "{} of request {}", bucket.name(), request.id);
    }
}

#[test]
fn a_filter_narrows_exports() {
    let report = report("demo");
    let route = Filter { route: Some("/cpu/{id}".to_owned()), ..Filter::default() };
    let folded = folded::render(&report, &route);
    assert!(!folded.is_empty() && folded.lines().all(|line| line.starts_with("GET /cpu/{id};")), "{folded}");
    let request = Filter { request: Some(report.requests[0].id.clone()), ..Filter::default() };
    let callgrind = callgrind::render(&report, &request);
    let wall_ns = report.requests[0].wall_ns;
    assert!(callgrind.contains(&format!("summary: {wall_ns} ")), "{callgrind}");
}
