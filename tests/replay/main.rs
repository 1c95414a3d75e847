//! Captures of real runs, replayed without root, against the reports that were held against the truth of
//! their applications, vendor and callers when they were recorded (`tests/captures/capture.rs`).

mod exports;
mod otlp;
mod pictures;

use std::{
    fs::File,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::BufReader,
    path::PathBuf,
    sync::Arc,
};

use tests::golden::assert_matches;
use tracer::{
    capture::Capture,
    event::{Body, Event},
    replay::Replay,
    report::{filter::Filter, json, text, types::Report},
    vendor::VendorTable,
};

/// Applications of `tests/apps` in the lab, on Debian's Python 3.11.
const CAPTURES: [&str; 10] = [
    "demo",
    "chat",
    "flask-sync",
    "flask-threads",
    "gevent",
    "turns",
    "script",
    "native",
    "split-hello",
    "edge",
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("captures").join(name).with_extension("trace")
}

fn capture(name: &str) -> Capture {
    let file = File::open(path(name)).expect("the capture is there");
    Capture::read(BufReader::new(file)).expect("the capture can be read")
}

fn replay<'a>(capture: &Capture, events: impl IntoIterator<Item = &'a Event>, end_ns: Option<u64>) -> Report {
    let mut replay = Replay::new(Arc::new(VendorTable::builtin()));
    events.into_iter().for_each(|event| replay.apply(event));
    replay.finish(&capture.origin, end_ns)
}

fn assert_sums(report: &Report) {
    for request in &report.requests {
        assert_eq!(request.buckets.sum(), request.wall_ns, "buckets of request {}", request.id);
    }
}

#[test]
fn captures_give_the_reports_that_were_held_against_the_truth() {
    for name in CAPTURES {
        let capture = capture(name);
        let report = replay(&capture, &capture.events, capture.end_ns);
        assert_sums(&report);
        let options = text::Options { width: 80, colour: false, filter: Filter::default() };
        assert_matches(&format!("replay/{name}.txt"), &text::render(&report, &options));
        assert_matches(&format!("replay/{name}.json"), &json::render(&report, &Filter::default()));
    }
}

#[test]
fn reports_of_captures_follow_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(json::SCHEMA).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    for name in CAPTURES {
        let capture = capture(name);
        let report = json::render(&replay(&capture, &capture.events, capture.end_ns), &Filter::default());
        let report = serde_json::from_str(&report).expect("the report is JSON");
        let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

/// As after a crash, or with a tracer that was attached late: any stretch of a capture makes a report.
#[test]
fn any_stretch_of_a_capture_makes_a_report() {
    for name in CAPTURES {
        let capture = capture(name);
        let n_events = capture.events.len();
        for twentieth in 0..20 {
            let at = n_events * twentieth / 20;
            assert_sums(&replay(&capture, &capture.events[..at], None));
            assert_sums(&replay(&capture, &capture.events[at..], capture.end_ns));
        }
    }
}

/// Order is the work of an earlier stage; without it the report is wrong, but there is one.
#[test]
fn a_capture_out_of_order_does_no_harm() {
    for name in CAPTURES {
        let capture = capture(name);
        assert_sums(&replay(&capture, capture.events.iter().rev(), capture.end_ns));
        for seed in 0..5 {
            let mut events: Vec<&Event> = capture.events.iter().collect();
            shuffle(&mut events, seed);
            assert_sums(&replay(&capture, events, capture.end_ns));
        }
    }
}

/// Fisher and Yates' shuffle, the same for the same seed.
fn shuffle<T>(items: &mut [T], seed: u64) {
    for last in (1..items.len()).rev() {
        let mut hasher = DefaultHasher::new();
        (seed, last).hash(&mut hasher);
        items.swap(last, hasher.finish() as usize % (last + 1));
    }
}

#[test]
fn captures_hold_no_plaintext() {
    // How the applications and their callers prove who they are, what they ask, and what the vendor answers.
    let secrets = [
        "Bearer",
        "sk-lab",
        "authorization",
        "\"messages\"",
        "\"content\"",
        "data: {",
        "?model=",
        "plaintext",
        "chatcmpl",
        "0/0-",
        "openai-processing-ms",
    ];
    for name in CAPTURES {
        let bytes = std::fs::read(path(name)).expect("the capture is there");
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{name} holds `{secret}`");
        }
    }
}

/// A capture says of its machine what the report needs, so those kept here come from neutral places.
#[test]
fn captures_name_no_place_of_the_machine_that_made_them() {
    for name in CAPTURES {
        let bytes = std::fs::read(path(name)).expect("the capture is there");
        for place in ["/root", "/home", "/tmp", "pyenv", "target/"] {
            let found = bytes.windows(place.len()).any(|window| window == place.as_bytes());
            assert!(!found, "{name} holds `{place}`");
        }
        for path in paths(&bytes).into_iter().filter(|path| path.starts_with('/')) {
            let is_neutral = ["/srv/", "/usr/"].iter().any(|place| path.starts_with(place));
            assert!(is_neutral, "{name} holds `{path}`");
        }
    }
}

/// Where programs and functions of a capture come from.
fn paths(bytes: &[u8]) -> Vec<String> {
    let events = Capture::read(bytes).expect("it is a capture").events;
    let paths = events.into_iter().flat_map(|event| match event.body {
        Body::Process(facts) => {
            let words = facts.cmdline.split(' ').filter(|word| word.starts_with('/')).map(str::to_owned);
            words.chain([facts.exe.clone()]).collect()
        }
        Body::Code { function, .. } => vec![function.file],
        _ => Vec::new(),
    });
    paths.collect()
}
