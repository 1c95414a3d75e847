//! `tracer diff`: its text against a file, its JSON against its schema, and its exit statuses.

use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::Value;
use tests::{binary, golden, sample};
use tracer::{
    diff::{
        self, Subject, json,
        text::{self, Options},
        threshold,
        types::{Diff, Presence, Verdict},
    },
    report::{
        bucket::Bucket::{self, PythonCpu, PythonGc, PythonImport, WaitRunqueue},
        types::{Report, Request},
    },
};

const MS: u64 = 1_000_000;

/// Requests like one of the sample, each a little different from the other, one after the other.
fn many(like: &Request, count: u64, change: impl Fn(&mut Request)) -> Vec<Request> {
    let requests = (0..count).map(|index| {
        let mut request = like.clone();
        request.id = format!("{}-{index}", like.id);
        request.start_unix_ns += index * 1_000 * MS;
        request.complete = true;
        add(&mut request, PythonCpu, index * 7_919 % 4_000 * 1_000);
        change(&mut request);
        request
    });
    requests.collect()
}

fn add(request: &mut Request, bucket: Bucket, ns: u64) {
    request.buckets.add(bucket, ns);
    request.wall_ns += ns;
}

/// As the sample's routes are, each of many requests but one.
fn base() -> Report {
    let sample = sample::report();
    let [chat, _, compute, summary, compare] = sample.requests.as_slice() else { panic!("five requests") };
    let requests = [
        many(chat, 60, |_| {}),
        many(compute, 300, |_| {}),
        many(summary, 4, |_| {}),
        many(compare, 30, |_| {}),
    ];
    Report { requests: requests.concat(), ..sample.clone() }
}

/// The same after a function became 20 % slower and moved, while others used the host too.
fn new() -> Report {
    let sample = sample::report();
    let [chat, _, compute, summary, compare] = sample.requests.as_slice() else { panic!("five requests") };
    let busy = |request: &mut Request| add(request, WaitRunqueue, 400 * MS);
    let slower = |request: &mut Request| {
        add(request, PythonCpu, 38 * MS);
        let function = &mut request.functions[0];
        (function.self_ns, function.total_ns) = (function.self_ns + 38 * MS, function.total_ns + 38 * MS);
        function.line += 7;
    };
    let mut requests = [
        many(chat, 60, busy),
        many(compute, 280, slower),
        many(summary, 3, |_| {}),
        many(compare, 25, |request| request.route = Some("/rerank".to_owned())),
    ]
    .concat();
    requests[60].status = Some(500);
    requests[70].complete = false;
    for request in &mut requests[..60] {
        request.buckets.set(PythonGc, Some(0));
    }
    Report { requests, ..sample.clone() }
}

fn compared(base: &Report, new: &Report) -> Diff {
    diff::compare(Subject { file: "base.trace", report: base }, Subject { file: "new.trace", report: new })
}

fn plain(diff: &Diff, width: usize) -> String {
    text::render(diff, Options { width, colour: false })
}

#[test]
fn the_comparison_is_as_expected() {
    let diff = compared(&base(), &new());
    golden::assert_matches("diff-80.txt", &plain(&diff, 80));
    golden::assert_matches("diff-120.txt", &plain(&diff, 120));
    golden::assert_matches("diff-few.txt", &plain(&compared(&sample::report(), &sample::report()), 80));
    golden::assert_matches("diff-empty.txt", &plain(&compared(&Report::default(), &Report::default()), 80));
}

#[test]
fn a_function_is_the_same_where_it_moves_to() {
    let diff = compared(&base(), &new());
    let first = &diff.routes[0];
    assert_eq!((first.route.as_str(), first.presence), ("POST /compute", Presence::Both));
    let function = &first.functions[0];
    assert_eq!((function.base_line, function.new_line), (Some(41), Some(48)));
    assert_eq!(function.own.verdict, Verdict::Grew);
    assert!((function.own.ratio.expect("a ratio") - 0.2).abs() < 1e-9);
}

#[test]
fn what_the_host_does_is_no_change_of_the_program() {
    let diff = compared(&base(), &new());
    let chat = diff.routes.iter().find(|route| route.route == "POST /chat/{id}").expect("the route");
    assert_eq!(chat.wall.p50.verdict, Verdict::Host);
    assert_eq!(chat.wall_without_runqueue.p50.verdict, Verdict::NoChangeSeen);
    let bucket =
        |wanted| chat.buckets.0.iter().find(|(bucket, _)| *bucket == wanted).expect("a bucket").1.p50;
    assert_eq!(bucket(WaitRunqueue).verdict, Verdict::Host);
    assert_eq!((bucket(PythonGc).verdict, bucket(PythonGc).base_ns), (Verdict::Unknown, None));
    assert_eq!((bucket(PythonImport).verdict, bucket(PythonImport).new_ns), (Verdict::Unknown, None));
}

#[test]
fn a_threshold_is_exceeded_by_real_growth_alone() {
    let diff = compared(&base(), &new());
    let exceeded = |percent| {
        let exceeded = threshold::exceeded(&diff, percent).into_iter();
        exceeded.map(|exceeded| (exceeded.route, exceeded.statistic)).collect::<Vec<_>>()
    };
    assert_eq!(exceeded(5.0), [("POST /compute", "p50"), ("POST /compute", "p95")]);
    assert_eq!(exceeded(20.0), []);
    assert_eq!(threshold::unguarded(&diff), ["POST /summary"]);
    let faster = compared(&new(), &base());
    assert_eq!(threshold::exceeded(&faster, 0.0), []);
}

#[test]
fn a_capture_does_not_differ_from_itself() {
    for report in [base(), new(), sample::report(), Report::default()] {
        let diff = compared(&report, &report);
        let is_changed =
            |json: &str| ["\"grew\"", "\"shrank\"", "\"host\""].iter().any(|verdict| json.contains(verdict));
        assert!(!is_changed(&json::render(&diff)));
        assert_eq!(json::render(&diff), json::render(&compared(&report, &report)));
    }
}

/// Requests as services have them: every part log-normal, one in twenty much longer, time in samples of 5 ms.
fn simulated(seed: u64) -> Report {
    let sample = sample::report();
    let mut state = seed;
    let mut uniform = move || {
        // Knuth's MMIX generator; its high bits are good enough.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut normal = move || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
    let mut requests = Vec::new();
    for (like, count) in [(&sample.requests[2], 60), (&sample.requests[0], 25)] {
        for mut request in many(like, count, |_| {}) {
            for bucket in [Bucket::LlmFirstByte, Bucket::WaitGil, PythonCpu] {
                let outlier = if normal() > 1.65 { 4.0 } else { 1.0 };
                add(&mut request, bucket, (30e6 * outlier * (0.4 * normal()).exp()) as u64);
            }
            for function in &mut request.functions {
                let samples = (20.0 + 5.0 * normal()).max(0.0) as u64;
                (function.samples, function.self_ns) = (samples, samples * 5 * MS);
                function.total_ns = function.self_ns;
            }
            requests.push(request);
        }
    }
    Report { requests, ..sample }
}

/// Of so many pairs of unchanged programs, those that show any real change.
fn false_alarms(pairs: u64) -> usize {
    let shows_any = |pair: &u64| {
        // Far apart, as neighbouring seeds begin alike.
        let [base, new] =
            [2 * pair, 2 * pair + 1].map(|seed| simulated(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let json = json::render(&compared(&base, &new));
        json.contains("\"grew\"") || json.contains("\"shrank\"")
    };
    (1..=pairs).filter(shows_any).count()
}

#[test]
fn unchanged_programs_show_no_change() {
    assert_eq!(false_alarms(20), 0);
}

/// `cargo test --release --package tests --test cli false_alarms -- --ignored --nocapture`
#[test]
#[ignore = "measures for minutes"]
fn rate_of_false_alarms() {
    println!("{} of 3000 pairs", false_alarms(3_000));
}

#[test]
fn comparisons_follow_the_schema_which_wants_every_key_and_no_other() {
    let schema: Value = serde_json::from_str(json::SCHEMA).expect("the schema is JSON");
    let validator: Validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    for (base, new) in [(base(), new()), (new(), base()), (Report::default(), sample::report())] {
        let json: Value = serde_json::from_str(&json::render(&compared(&base, &new))).expect("JSON");
        let errors: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
    // One route has all there is; more only take more time.
    let mut diff = compared(&base(), &new());
    diff.routes.truncate(1);
    let json = serde_json::from_str(&json::render(&diff)).expect("JSON");
    crate::json::assert_wants_every_key(&validator, &json, 10);
}

#[test]
fn no_line_is_wider_than_asked_and_colour_is_all_that_colour_changes() {
    let diff = compared(&base(), &new());
    for width in [60, 72, 80, 100, 200] {
        for line in plain(&diff, width).lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
            assert_eq!(line.trim_end(), line, "trailing blanks");
        }
    }
    let coloured = text::render(&diff, Options { width: 80, colour: true });
    assert!(coloured.contains('\u{1b}'));
    assert_eq!(crate::text::without_escapes(&coloured), plain(&diff, 80));
}

#[test]
fn captures_are_compared_by_the_command() {
    let capture = |name: &str| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("captures").join(name);
        path.to_string_lossy().into_owned()
    };
    let (chat, demo) = (capture("chat.trace"), capture("demo.trace"));
    let output = binary::run(&["diff", &chat, &chat, "--fail-over", "0"]);
    assert_eq!(output.status.code(), Some(0), "{}", binary::stderr(&output));
    assert!(
        binary::stderr(&output).contains("GET /chat/{id} has too few requests"),
        "{}",
        binary::stderr(&output)
    );
    assert!(binary::stdout(&output).contains("too few"));
    let output = binary::run(&["diff", &chat, &demo, "--format", "json"]);
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let presence = json["routes"].as_array().expect("routes").iter().map(|route| &route["presence"]);
    assert!(
        presence.clone().any(|presence| presence == "new")
            && presence.clone().any(|presence| presence == "gone")
    );
    let output = binary::run(&["diff", &chat, "/nonexistent/new.trace"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(binary::stderr(&output).contains("/nonexistent/new.trace"));
}
