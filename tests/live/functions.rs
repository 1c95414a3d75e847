//! What ran, by samples: each Python keeps its frames elsewhere.

use std::collections::BTreeMap;

use tests::{lab::Lab, python::Python, recording::Recording};
use tracer::report::{
    bucket::Bucket,
    functions::SAMPLE_NS,
    types::{Function, Request},
};

use crate::application::{deep, functions, native, sampled, traced};

const BURNT_MS: u64 = 1_000;

/// A fifth of what a thread burns may fall between its samples, or be counted twice.
const SLACK_MS: u64 = BURNT_MS / 5;

#[test]
fn functions_have_the_time_that_they_ran() {
    for python in Python::all().into_iter().chain(Python::builds()).chain(Python::bare()) {
        let lab = Lab::start();
        let (_, report) = Recording::start(&lab, "functions", traced(functions(&python, BURNT_MS))).finish();
        let own = |function| ms(&report.requests, function, |function| function.self_ns);
        let total = |function| ms(&report.requests, function, |function| function.total_ns);
        let elsewhere =
            ms_in(&report.requests, "燃やす", "/srv/日本/😀.py", |function| function.total_ns);
        let method = if python.minor() >= 11 { "Sometimes.now_and_then" } else { "now_and_then" };
        let found = [own("burn"), total("größtenteils"), elsewhere, own(method), total("<module>")];
        eprintln!("functions, {}: {found:?} ms", python.name);
        let expected = [BURNT_MS * 3 / 4, BURNT_MS * 3 / 4, BURNT_MS * 3 / 4, BURNT_MS / 4, BURNT_MS];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(found.abs_diff(expected) <= SLACK_MS, "{}: {found} ms, not {expected}", python.name);
        }
    }
}

/// Of a stack that is deeper than a sample goes, nothing is taken for its beginning.
#[test]
fn frames_further_out_are_told_as_such() {
    const DEEP_MS: u64 = 300;
    for (depth, root) in [(100, "<module>"), (300, "[further out]")] {
        let lab = Lab::start();
        let command = traced(deep(&Python::system(), depth, DEEP_MS));
        let (_, report) = Recording::start(&lab, "deep", command).finish();
        // In whatever file.
        let total_ms = |name| ms_in(&report.requests, name, "", |function| function.total_ns);
        let found = [total_ms("burn"), total_ms("deep"), total_ms(root)];
        eprintln!("{depth} deep: {found:?} ms");
        assert!(found.iter().all(|ms| *ms >= DEEP_MS * 4 / 5), "{found:?}");
        assert_eq!(total_ms("[further out]") > 0, depth > 128);
    }
}

#[test]
fn samples_are_as_many_as_are_asked_for() {
    let lab = Lab::start();
    let options = ["--samples-per-second".into(), "999".into()];
    let options = options.into_iter().chain(traced(functions(&Python::system(), BURNT_MS)));
    let (_, report) = Recording::start(&lab, "functions", options).finish();
    let functions = report.requests.iter().flat_map(|request| &request.functions);
    let samples: u64 = functions.filter(|of| of.function == "burn").map(|of| of.samples).sum();
    eprintln!("{samples} samples");
    assert_eq!(report.capture.samples_per_second, 999);
    assert!(samples.abs_diff(BURNT_MS * 3 / 4 * 999 / 1_000) <= BURNT_MS / 5, "{samples} samples");
    let found = ms(&report.requests, "burn", |function| function.self_ns);
    assert!(found.abs_diff(BURNT_MS * 3 / 4) <= SLACK_MS, "{found} ms");
}

/// What runs in a library, in the kernel and in the interpreter itself.
#[test]
fn native_code_is_told_by_library() {
    for python in Python::all() {
        let lab = Lab::start();
        let (_, report) = Recording::start(&lab, "native", traced(native(&python, BURNT_MS))).finish();
        for (name, library) in
            [("hashes", "libcrypto"), ("compresses", "libz"), ("reads", "[kernel]"), ("computes", "")]
        {
            let functions = report.requests.iter().flat_map(|request| &request.functions);
            let named = functions.filter(|of| of.function == name && of.file.ends_with("native.py"));
            let (mut own_ns, mut native_ns) = (0, BTreeMap::<String, u64>::new());
            for function in named {
                own_ns += function.self_ns;
                for native in &function.native {
                    *native_ns.entry(native.library.clone()).or_default() += native.self_ns;
                }
            }
            eprintln!("{}: {name} {} ms, of it {native_ns:?}", python.name, own_ns / 1_000_000);
            assert!((own_ns / 1_000_000).abs_diff(BURNT_MS) <= SLACK_MS, "{}: {name}", python.name);
            let of_library =
                native_ns.iter().filter(|(of, _)| !library.is_empty() && of.starts_with(library));
            let library_ns: u64 = of_library.map(|(_, ns)| *ns).sum();
            let others_ns = native_ns.values().sum::<u64>() - library_ns;
            let expected_ns = if library.is_empty() { 0 } else { own_ns };
            // Of what else there is the most is what the kernel does for a buffer.
            assert!(library_ns.abs_diff(expected_ns) <= own_ns / 5, "{}: {name} {library_ns}", python.name);
            assert!(others_ns <= own_ns / 5, "{}: {name} {others_ns}", python.name);
        }
    }
}

fn ms(requests: &[Request], name: &str, time: fn(&Function) -> u64) -> u64 {
    ms_in(requests, name, "functions.py", time)
}

fn ms_in(requests: &[Request], name: &str, file: &str, time: fn(&Function) -> u64) -> u64 {
    let functions = requests.iter().flat_map(|request| &request.functions);
    let named = functions.filter(|function| function.function == name && function.file.ends_with(file));
    named.map(time).sum::<u64>() / 1_000_000
}

const SAMPLED_MS: u64 = 1_500;

/// What an interpreter imports as it starts.
const START_MS: f64 = 150.0;

/// What samples tell of collections and imports is off by what chance makes of so few: by more than this once in 15,000.
const SIGMAS: f64 = 4.0;

#[test]
fn collections_and_imports_are_told_by_probes_or_by_samples() {
    for python in Python::all().into_iter().chain(Python::builds()).chain(Python::debian_11()) {
        let lab = Lab::start();
        let (finished, report) =
            Recording::start(&lab, "sampled", traced(sampled(&python, SAMPLED_MS))).finish();
        let line = finished.stdout.lines().find_map(|line| line.strip_prefix("spent "));
        let spent: BTreeMap<String, u64> =
            serde_json::from_str(line.expect("it tells what it spent")).expect("as JSON");
        let [run] = report.requests.as_slice() else { panic!("{} is one run", python.name) };
        let sampled: Vec<&str> =
            report.capture.sampled.iter().map(|sampled| sampled.bucket.as_str()).collect();
        for bucket in [Bucket::PythonGc, Bucket::PythonImport] {
            let found = run.buckets.get(bucket).map(|ns| ns as f64 / 1e6);
            let expected = spent[bucket.name()] as f64 / 1e6;
            let way = if sampled.contains(&bucket.name()) { "samples" } else { "probes" };
            eprintln!("{}: {} {found:?} ms by {way}, spent {expected:.1}", python.name, bucket.name());
            let Some(found) = found else { panic!("{}: {} is known", python.name, bucket.name()) };
            // What a start imports is not the application's to know.
            let start_ms = if bucket == Bucket::PythonImport { START_MS } else { 1.0 };
            let sample_ms = SAMPLE_NS as f64 / 1e6;
            let chance_ms = match way {
                "samples" => SIGMAS * (expected / sample_ms).sqrt() * sample_ms,
                _ => 0.05 * expected,
            };
            let range = expected - chance_ms - 1.0..=expected + chance_ms + start_ms;
            assert!(range.contains(&found), "{}: {} {found} in {range:?}", python.name, bucket.name());
        }
    }
}
