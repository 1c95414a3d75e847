//! What is nobody's business is in nothing that the tracer writes.

use std::fs;

use tests::{
    lab::Lab,
    private::{check_nothing_private, check_nothing_private_compressed},
    python::Python,
    recording::{Recording, render_bytes},
};

use crate::application::{script, secrets, traced};

#[test]
fn less_is_looked_at_where_that_is_wanted() {
    for read in ["heads", "lengths"] {
        let lab = Lab::start();
        let options =
            ["--read".into(), read.into()].into_iter().chain(traced(script(&Python::system(), "0")));
        let (_, report) = Recording::start(&lab, "record", options).finish();
        let calls = &report.requests[0].calls;
        assert_eq!(calls.len(), 2, "{read}");
        let is_head = read == "heads";
        for call in calls {
            assert_eq!(
                (call.vendor.as_deref(), call.first_byte_ns.is_some()),
                (Some("openai"), true),
                "{read}"
            );
            assert_eq!((call.status, call.vendor_request_id.is_some()), (is_head.then_some(200), is_head));
            assert_eq!(
                (&call.model, call.output_tokens, call.first_content_ns),
                (&None, None, None),
                "{read}"
            );
        }
    }
}

#[test]
fn nothing_private_is_written() {
    check(&[]);
}

#[test]
fn nothing_private_is_written_of_http2() {
    check(&["--http2"]);
}

fn check(options: &[&str]) {
    let lab = Lab::start_with(options);
    let recording = Recording::start(&lab, "record", traced(secrets(&Python::system(), options)));
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
    check_nothing_private("what it says", finished.stderr.as_bytes());
    check_nothing_private("the report at its end", finished.stdout.as_bytes());
    check_nothing_private("the capture", &fs::read(&capture).expect("read the capture"));
    for format in ["text", "json", "callgrind", "speedscope", "firefox", "perfetto", "folded", "svg"] {
        check_nothing_private(format, &render_bytes(&lab, &capture, &["--format", format]));
    }
    check_nothing_private_compressed("pprof", &render_bytes(&lab, &capture, &["--format", "pprof"]));
    check_nothing_private("the slowest", &render_bytes(&lab, &capture, &["--slowest", "5"]));
}
