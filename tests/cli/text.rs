//! The text report against files, and what must hold at any width.

use tests::{golden, sample};
use tracer::{
    export::{callgrind, firefox, perfetto, pprof, speedscope, svg},
    report::{
        filter::Filter,
        text::{self, Options},
        types::Report,
    },
};

fn plain(report: &Report, width: usize, filter: Filter) -> String {
    text::render(report, &Options { width, colour: false, filter })
}

#[test]
fn the_report_is_as_expected() {
    let report = sample::report();
    golden::assert_matches("report-80.txt", &plain(&report, 80, Filter::default()));
    golden::assert_matches("report-140.txt", &plain(&report, 140, Filter::default()));
    let request = Filter { request: Some("5".to_owned()), ..Filter::default() };
    golden::assert_matches("report-request.txt", &plain(&report, 80, request));
    let route = Filter { route: Some("/compute".to_owned()), ..Filter::default() };
    golden::assert_matches("report-route.txt", &plain(&report, 80, route));
    golden::assert_matches("report-empty.txt", &plain(&Report::default(), 80, Filter::default()));
}

#[test]
fn pictures_and_tracks_are_as_expected() {
    let (report, all) = (sample::report(), Filter::default());
    golden::assert_matches("exports/sample.svg", &svg::render(&report, &all));
    golden::assert_matches("exports/sample.firefox.json", &firefox::render(&report, &all));
    golden::assert_matches("exports/empty.svg", &svg::render(&Report::default(), &all));
}

#[test]
fn no_line_is_wider_than_asked() {
    for width in [60, 72, 80, 100, 200] {
        let filter = Filter { slowest: Some(9), ..Filter::default() };
        let text = plain(&sample::report(), width, filter);
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
            assert_eq!(line.trim_end(), line, "trailing blanks");
        }
    }
}

#[test]
fn colour_changes_nothing_but_colour() {
    let report = sample::report();
    let coloured = text::render(&report, &Options { width: 100, colour: true, filter: Filter::default() });
    assert!(coloured.contains('\u{1b}'));
    assert_eq!(without_escapes(&coloured), plain(&report, 100, Filter::default()));
}

/// What is left of coloured text.
pub fn without_escapes(coloured: &str) -> String {
    let mut parts = coloured.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').expect("an escape ends in m").1)
}

#[test]
fn text_of_the_traced_process_cannot_drive_the_terminal() {
    let mut report = sample::report();
    for request in &mut report.requests {
        request.path = Some("/\u{1b}]0;owned\u{7}".to_owned());
        request.route.clone_from(&request.path);
        for call in &mut request.calls {
            call.host = Some("\u{1b}[2J".to_owned());
            call.model = Some("\u{202e}x".to_owned());
        }
    }
    report.findings = tracer::finding::find(&report);
    let text = plain(&report, 80, Filter::default());
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    assert!(!text.contains('\u{202e}'));
}

/// A capture may hold any figures; a report of them is odd, but it is printed.
#[test]
fn figures_without_sense_are_printed() {
    for ns in [0, 1, u64::MAX] {
        let mut report = sample::report();
        for request in &mut report.requests {
            request.wall_ns = ns;
            request.start_unix_ns = ns;
            for (bucket, _) in request.buckets.clone().iter() {
                request.buckets.set(bucket, Some(ns));
            }
            for call in &mut request.calls {
                (call.start_ns, call.start_unix_ns, call.wall_ns) = (ns, ns, ns);
                (call.dns_ns, call.stream_ns, call.attempt) = (Some(ns), Some(ns), 0);
                call.connection_reused = false;
            }
            for piece in &mut request.timeline {
                (piece.start_ns, piece.end_ns) = (ns, ns / 2);
            }
            for step in &mut request.steps {
                (step.start_ns, step.end_ns) = (ns / 2, ns);
            }
        }
        report.findings = tracer::finding::find(&report);
        assert!(plain(&report, 80, Filter::default()).contains("slowest 3 of 5"));
        let all = Filter { slowest: Some(9), ..Filter::default() };
        assert!(speedscope::render(&report, &all).contains("request 5"));
        assert!(firefox::render(&report, &all).contains("request 5"));
        assert!(callgrind::render(&report, &all).contains("summary: "));
        assert!(svg::render(&report, &all).contains("all requests"));
        assert!(!perfetto::render(&report, &all).is_empty() && !pprof::render(&report, &all).is_empty());
    }
}
