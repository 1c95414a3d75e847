//! The Firefox Profiler, by its own command line.

use serde_json::Value;

use super::{Exports, json, package, run, tool};

/// Ends the profiler that a session runs in.
struct Session<'a>(&'a Exports);

impl Session<'_> {
    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut node = tool("node");
        node.arg(package("@firefox-devtools/profiler-cli/dist/profiler-cli.js")).args(arguments);
        node.env("PROFILER_CLI_SESSION_DIR", self.0.folder.path());
        node
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // A test that failed before has said so.
        let _ = self.command(&["stop"]).output();
    }
}

#[test]
fn the_firefox_profiler_shows_each_request_with_its_wall_time_and_calls() {
    let exports = Exports::new();
    let session = Session(&exports);
    let file = exports.folder.path().join("profile.json");
    std::fs::rename(exports.file("firefox"), &file).expect("name it as the profiler expects");
    run(session.command(&["load"]).arg(&file));
    let list: Value = json(session.command(&["thread", "list", "--json"]));
    let threads = list["threads"].as_array().expect("threads");
    assert_eq!(threads.len(), exports.report.requests.len());
    for request in &exports.report.requests {
        let route = format!("GET {}", request.route.as_deref().expect("a route"));
        let name = format!("{route}, request {}", request.id);
        let thread = threads.iter().find(|thread| thread["name"] == name.as_str());
        let thread = thread.unwrap_or_else(|| panic!("no `{name}` in {list:#}"));
        let handle = thread["threadHandle"].as_str().expect("a handle");
        let of_thread = |what| ["thread", what, "--thread", handle, "--json"];
        let functions: Value = json(session.command(&of_thread("functions")).arg("--include-idle"));
        let total_ms = |function: &str| {
            let functions = functions["functions"].as_array().expect("functions");
            let found = functions.iter().find(|found| found["name"] == function);
            found.and_then(|found| found["totalSamples"].as_f64()).unwrap_or_default()
        };
        assert_close(total_ms(&route), request.wall_ns, &name);
        for bucket in ["llm.first_byte", "wait.loop"] {
            let ns = request.buckets.iter().find(|(of, _)| of.name() == bucket).and_then(|(_, ns)| ns);
            assert_close(total_ms(&format!("[{bucket}]")), ns.unwrap_or_default(), &name);
        }
        let markers: Value = json(session.command(&of_thread("markers")));
        let by_type = markers["byType"].as_array().expect("markers");
        let calls = by_type.iter().find(|found| found["markerName"] == "call");
        let calls = calls.and_then(|calls| calls["count"].as_u64()).unwrap_or_default();
        assert_eq!(calls as usize, request.calls.len(), "{name}");
    }
}

fn assert_close(ms: f64, ns: u64, name: &str) {
    assert!((ms - ns as f64 / 1e6).abs() < 1e-3, "{name}: {ms} ms, not {ns} ns");
}
