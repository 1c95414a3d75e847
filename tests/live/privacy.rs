//! What is nobody's business is in nothing that the tracer writes.

use std::fs;

use tests::{
    lab::Lab,
    python::Python,
    recording::{Recording, render},
};

use crate::application::{secrets, traced};

/// In everything that `private.py` keeps to itself.
const SECRET: &str = "SECRET-7f3a";

#[test]
fn nothing_private_is_written() {
    let lab = Lab::start();
    let recording = Recording::start(&lab, "record", traced(secrets(&Python::system())));
    let capture = recording.capture().to_owned();
    let (finished, report) = recording.finish();

    let calls = report.requests.iter().flat_map(|request| &request.calls);
    let told: Vec<_> = calls.filter(|call| call.model.is_some()).map(|call| call.output_tokens).collect();
    assert_eq!(
        told,
        [5, 2000, 5, 2000, 300].map(Some),
        "all of it was looked at: {}{}",
        finished.stdout,
        finished.stderr
    );
    let formats = [&["--format", "json"][..], &["--format", "text"], &["--slowest", "5"]];
    let reports = formats.map(|options| render(&lab, &capture, options));
    let written =
        [fs::read(&capture).expect("read the capture"), finished.stdout.into(), finished.stderr.into()];
    for bytes in written.into_iter().chain(reports.map(String::into_bytes)) {
        let found =
            bytes.windows(SECRET.len()).position(|window| window.eq_ignore_ascii_case(SECRET.as_bytes()));
        let around = |at: usize| {
            String::from_utf8_lossy(&bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())]).into_owned()
        };
        assert_eq!(found.map(around), None);
    }
}
