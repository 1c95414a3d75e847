//! What ran, by samples: each Python keeps its frames elsewhere.

use tests::{lab::Lab, python::Python, recording::Recording};
use tracer::report::types::Request;

use crate::application::{functions, traced};

const BURNT_MS: u64 = 1_000;

/// A fifth of what a thread burns may fall between its samples, or be counted twice.
const SLACK_MS: u64 = BURNT_MS / 5;

#[test]
fn functions_have_the_time_that_they_ran() {
    for python in Python::all().into_iter().chain(Python::builds()) {
        let lab = Lab::start();
        let (_, report) = Recording::start(&lab, "functions", traced(functions(&python, BURNT_MS))).finish();
        let own = |function| ms(&report.requests, function, |function| function.self_ns);
        let total = |function| ms(&report.requests, function, |function| function.total_ns);
        let method = if python.minor() >= 11 { "Sometimes.now_and_then" } else { "now_and_then" };
        let found = [own("burn"), total("mostly"), own(method), total("<module>")];
        eprintln!("functions, {}: {found:?} ms", python.name);
        let expected = [BURNT_MS * 3 / 4, BURNT_MS * 3 / 4, BURNT_MS / 4, BURNT_MS];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(found.abs_diff(expected) <= SLACK_MS, "{}: {found} ms, not {expected}", python.name);
        }
    }
}

fn ms(requests: &[Request], name: &str, time: fn(&tracer::report::types::Function) -> u64) -> u64 {
    let functions = requests.iter().flat_map(|request| &request.functions);
    let named =
        functions.filter(|function| function.function == name && function.file.ends_with("functions.py"));
    named.map(time).sum::<u64>() / 1_000_000
}
