//! `callgrind_annotate`.

use std::process::Command;

use super::{Exports, binary};

#[test]
fn callgrind_annotate_shows_routes_and_buckets_with_their_wall_time() {
    let exports = Exports::new();
    let mut annotate = Command::new("callgrind_annotate");
    annotate.args(["--inclusive=yes", "--threshold=100", "--auto=no"]).arg(exports.file("callgrind"));
    let output = annotate.output().expect("run callgrind_annotate");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", binary::stderr(&output));
    let text = binary::stdout(&output);
    let wall_ns = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.trim_end().ends_with(name));
        let line = line.unwrap_or_else(|| panic!("no `{name}` in {text}"));
        let figure = line.split_whitespace().next().expect("a figure");
        figure.replace(',', "").parse().unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    assert_eq!(wall_ns("PROGRAM TOTALS"), exports.wall_ns());
    for route in ["/wait/{id}", "/blocking/{id}", "/fanout/{id}", "/cpu/{id}"] {
        let of_route =
            exports.report.requests.iter().filter(|request| request.route.as_deref() == Some(route));
        assert_eq!(wall_ns(&format!("~:GET {route}")), of_route.map(|request| request.wall_ns).sum::<u64>());
    }
    assert!(wall_ns("work.py:burn (work.py:16)") > 0);
}
