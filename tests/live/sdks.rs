//! The clients of vendors as PyPI has them: every call is found, and tells what the vendor knows of it.

use tests::{compare::Comparison, lab::Lab, python::Python, recording::Recording};

use crate::application::{sdks, traced};

/// Of 20 clients; the oldest Python has the fewest.
const CALLS: usize = 60;

#[test]
fn every_client_of_a_vendor() {
    for python in Python::sdks() {
        let lab = Lab::start();
        let recording = Recording::start(&lab, "sdks", traced(sdks(&python)));
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
