//! Recordings compared: what became slower is found and nothing else, and where nothing did, nothing is.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tests::{
    lab::Lab,
    python::Python,
    recording::{Recording, program},
    running::Running,
};

use crate::application::changed;

/// Each is compared with each: 21 comparisons.
const UNCHANGED: usize = 7;

/// Samples of a function of 20 ms vary by one a request: so many tell a fifth of it from chance.
const LOAD: [&str; 6] = ["--requests", "150", "--concurrency", "1", "/search/{id}", "/page/{id}"];

/// One server for all recordings of a kind, of which the first requests are not recorded.
fn start(lab: &Lab, python: &Python, slower: &str) -> Running {
    let command = changed(python);
    let mut server = lab.command(&command[0]);
    server.args(&command[1..]).env("SLOWER", slower);
    let server = lab.start_command(&mut server, "server");
    lab.drive(&["--requests", "3", "--concurrency", "1", "/search/{id}", "/page/{id}"]);
    server
}

fn record(lab: &Lab, server: &Running, name: &str) -> PathBuf {
    let pid = server.pid().to_string();
    let mut recording = Recording::start(lab, name, ["--pid", &pid]);
    recording.wait_ready();
    lab.drive(&LOAD);
    let capture = recording.capture().to_owned();
    recording.interrupt();
    capture
}

fn diff(base: &Path, new: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.arg("diff").args([base, new]).args(options).output().expect("run tracer")
}

/// What a comparison calls real, as `GET /search/{id} rank self`.
fn real(base: &Path, new: &Path) -> BTreeSet<String> {
    let output = diff(base, new, &["--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let diff: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut found = BTreeSet::new();
    let mut add = |what: String, comparison: &Value| {
        if ["grew", "shrank"].map(Value::from).contains(&comparison["verdict"]) {
            found.insert(what);
        }
    };
    let routes = diff["routes"].as_array().expect("routes");
    assert_eq!(routes.len(), 2, "{routes:?}");
    for route in routes {
        let label = route["route"].as_str().expect("a name");
        assert!(route["wall"]["p50"]["p_value"].is_f64(), "{label} was not compared: {route}");
        let walls = ["wall", "wall_without_runqueue"].map(|name| (name, &route[name]));
        let buckets = route["buckets"].as_object().expect("buckets").iter();
        for (name, quantiles) in
            walls.into_iter().chain(buckets.map(|(name, bucket)| (name.as_str(), bucket)))
        {
            for quantile in ["p50", "p95"] {
                add(format!("{label} {name} {quantile}"), &quantiles[quantile]);
            }
        }
        for function in route["functions"].as_array().expect("functions") {
            let name = function["function"].as_str().expect("a name");
            ["self", "total"]
                .into_iter()
                .for_each(|time| add(format!("{label} {name} {time}"), &function[time]));
        }
    }
    found
}

#[test]
fn a_change_is_found_and_no_change_is_not() {
    let (lab, python) = (Lab::start(), Python::system());
    let server = start(&lab, &python, "1");
    let unchanged: Vec<PathBuf> =
        (0..UNCHANGED).map(|index| record(&lab, &server, &format!("unchanged-{index}"))).collect();
    drop(server);
    let server = start(&lab, &python, "1.2");
    let slower = record(&lab, &server, "slower");
    drop(server);

    for (index, base) in unchanged.iter().enumerate() {
        for new in &unchanged[index + 1..] {
            let text = || String::from_utf8_lossy(&diff(base, new, &[]).stdout).into_owned();
            assert_eq!(real(base, new), BTreeSet::new(), "{}", text());
        }
        let output = diff(base, &slower, &["--fail-over", "5"]);
        eprintln!("{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(diff(base, &slower, &["--fail-over", "50"]).status.code(), Some(0));

        let found = real(base, &slower);
        let named = |what: &str| format!("GET /search/{{id}} {what}");
        let expected = ["wall_without_runqueue p50", "python.cpu p50", "rank self"].map(named);
        assert!(expected.iter().all(|what| found.contains(what)), "{found:?}");
        // On a host that is as busy for both, the whole wall time shows it too; and whoever calls it takes longer.
        let is_consequence = |what: &String| {
            let is_caller =
                what.starts_with(&named("")) && what.ends_with(" total") && *what != named("parse total");
            *what == named("wall p50") || is_caller
        };
        let unexpected: Vec<&String> =
            found.iter().filter(|what| !expected.contains(what) && !is_consequence(what)).collect();
        assert!(unexpected.is_empty(), "{unexpected:?}");
    }
}
