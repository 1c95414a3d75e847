//! The clients of vendors as PyPI has them: every call is found, and tells what the vendor knows of it.

use tests::{compare::Comparison, lab::Lab, python::Python, recording::Recording};

use crate::application::{sdks, traced};

/// Of 19 clients; the oldest Python has the fewest.
const CALLS: usize = 60;

#[test]
fn every_client_of_a_vendor() {
    for python in Python::sdks() {
        let lab = Lab::start();
        let recording = Recording::start(&lab, "sdks", traced(sdks(&python, &[])));
        let (finished, report) = recording.finish();
        for line in finished.stderr.lines().filter(|line| line.starts_with("left out")) {
            eprintln!("{}: {line}", python.name);
        }
        let truth = lab.truth();
        let comparison = Comparison::new(format!("clients of vendors, {}", python.name), &report, &truth);
        comparison.check();
        assert!(comparison.told.right >= CALLS, "{} calls: {comparison}", comparison.told.right);
    }
}

/// How long they take to arrive depends on buffers, so only what they tell is held against the vendor's log.
#[test]
fn prompts_that_are_written_in_parts() {
    let python = Python::sdks().remove(0);
    let lab = Lab::start();
    let recording = Recording::start(&lab, "sdks", traced(sdks(&python, &["openai_large"])));
    let (_, report) = recording.finish();
    let comparison = Comparison::new("large prompts", &report, &lab.truth());
    assert_eq!((comparison.links.wrong, comparison.links.missing, comparison.links.extra), (0, 0, 0));
    assert_eq!((comparison.told.right, &comparison.told.wrong), (2, &Vec::new()), "{comparison}");
    assert!(report.requests[0].calls.iter().all(|call| call.bytes_out > 4_000_000));
}
