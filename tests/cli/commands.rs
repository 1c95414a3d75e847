//! Help, bad arguments, and exit statuses.

use tests::{binary, golden};

#[test]
fn help_is_as_expected() {
    for (name, arguments) in [
        ("help.txt", &["--help"][..]),
        ("help-short.txt", &["-h"]),
        ("help-record.txt", &["record", "--help"]),
        ("help-report.txt", &["report", "--help"]),
        ("help-serve.txt", &["serve", "--help"]),
        ("help-top.txt", &["top", "--help"]),
        ("help-diff.txt", &["diff", "--help"]),
        ("help-check.txt", &["check", "--help"]),
    ] {
        let output = binary::run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        golden::assert_matches(name, &binary::stdout(&output));
    }
}

#[test]
fn bad_arguments_exit_with_2_and_name_the_argument() {
    for (arguments, named) in [
        (&["trace"][..], "trace"),
        (&["record", "-d", "soon"], "soon"),
        (&["record", "-d", "0"], "more than 0"),
        (&["record", "-p", "0"], "--pid"),
        (&["record", "-p", "1", "--", "true"], "--pid"),
        (&["record", "--ring-bytes", "5000"], "power of two"),
        (&["record", "--functions", ""], "must name a function"),
        (&["record", "--functions-for", "5"], "--functions <PATTERN>"),
        (&["report"], "<FILE>"),
        (&["report", "x", "--format", "xml"], "xml"),
        (&["record", "--format", "svg"], "svg"),
        (&["diff", "x"], "<NEW>"),
        (&["diff", "x", "y", "--fail-over", "-5"], "0 or more"),
    ] {
        let output = binary::run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(binary::stderr(&output).contains(named), "{arguments:?}: {}", binary::stderr(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_configuration_that_is_not_right_is_refused_with_what_is() {
    let printed = binary::stdout(&binary::run(&["serve", "--print-config"]));
    let file = tempfile::NamedTempFile::new().expect("make a file");
    std::fs::write(file.path(), printed.replace("[select]", "[selects]")).expect("write it");
    let path = file.path().to_str().expect("a path of text");
    for (path, named) in [(path, "did you mean `select`?"), ("/nonexistent.toml", "--print-config")] {
        let output = binary::run(&["serve", "--config", path]);
        assert_eq!(output.status.code(), Some(2));
        let stderr = binary::stderr(&output);
        assert!(stderr.contains(path) && stderr.contains(named), "{stderr}");
    }
}

#[test]
fn a_missing_capture_is_named_in_one_line() {
    let output = binary::run(&["report", "/nonexistent/run.capture"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = binary::stderr(&output);
    let first = stderr.lines().next().unwrap_or_default();
    assert!(first.starts_with("tracer: ") && first.contains("/nonexistent/run.capture"), "{stderr}");
    assert!(first.contains("No such file"), "{stderr}");
}

#[test]
fn what_is_no_text_is_kept_from_a_terminal() {
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/captures/script.trace");
    for (format, file) in [("pprof", "run.pb.gz"), ("perfetto", "run.perfetto-trace")] {
        let command = format!("{} report {capture} --format {format}", binary::path().display());
        // It gives the command a terminal.
        let mut script = std::process::Command::new("script");
        let output = script.args(["-qec", &command, "/dev/null"]).output().expect("run script");
        assert_eq!(output.status.code(), Some(2));
        let text = binary::stdout(&output);
        assert!(text.contains(&format!("--format {format} -o {file}")), "{text}");
        assert!(output.stdout.is_ascii(), "{text}");
        let piped = binary::run(&["report", capture, "--format", format]);
        assert_eq!((piped.status.code(), piped.stdout.is_empty()), (Some(0), false));
    }
}

#[test]
fn check_answers_in_json_without_root_too() {
    let output = binary::run(&["check", "--format", "json"]);
    let check: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let is_ok = check["ok"].as_bool().expect("whether tracing is possible");
    assert_eq!(output.status.code(), Some(if is_ok { 0 } else { 2 }));
    for item in check["prerequisites"].as_array().expect("a list") {
        assert_eq!(item["status"] == "ok", item["fix"].is_null(), "{item}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut check = binary::command(&["check"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = check.stdout(writer).output().expect("run tracer");
    assert_eq!(binary::stderr(&output), "");
}
