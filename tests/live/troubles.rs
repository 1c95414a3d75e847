//! Each finding on an application that provokes it, and none of them on one that does not.

use std::collections::BTreeSet;

use tests::{lab::Lab, python::Python, recording::Recording};
use tracer::report::types::Report;

use crate::application::troubles;

/// Routes, requests at a time, and what must be found; what is found besides must be one of [`BESIDES`] or follow from it.
const TROUBLES: [(&str, &str, &[&str]); 24] = [
    ("none", "4", &["vendor_dominates"]),
    // The synchronous client closes the connection of a stream whose end it has not read (openai 3.57).
    ("in_thread", "4", &["connection_not_reused"]),
    ("at_once", "2", &[]),
    ("client_for_each", "2", &["connection_not_reused"]),
    ("small_pool", "8", &["pool_exhausted"]),
    ("synchronous", "4", &["loop_blocked", "connection_not_reused"]),
    ("in_turn", "2", &["serial_calls"]),
    ("limited", "2", &["rate_limited"]),
    ("failing", "2", &["retry_backoff"]),
    ("read_late", "1", &["stream_read_late", "cpu_bound"]),
    ("compute", "2", &["cpu_bound"]),
    ("small_executor", "4", &["executor_saturated"]),
    ("collecting", "1", &["long_collections"]),
    ("file", "4", &["loop_blocked"]),
    ("asleep", "4", &["loop_blocked"]),
    ("lock", "4", &["loop_blocked"]),
    ("polling", "4", &["sleep_in_request"]),
    ("one_at_a_time", "4", &["lock_contention"]),
    ("json", "2", &["json_hot_spot", "cpu_bound"]),
    ("tokenizer", "2", &["tokenizer_hot_spot", "cpu_bound"]),
    ("gil", "4", &["gil_contention", "cpu_bound"]),
    ("run_queue", "8", &["cpu_oversubscribed", "cpu_bound"]),
    ("many_tasks", "1", &["too_many_tasks"]),
    ("importing", "2", &["import_in_request"]),
];

/// Routes that block the loop, the end of the finding's title, the evidence that says for how long, and the function.
const BLOCKS: [(&str, &str, &str, &str); 4] = [
    ("file", "files", "files_in_them_ns", "file (troubles.py"),
    ("asleep", "a sleep", "sleep_in_them_ns", "asleep (troubles.py"),
    ("lock", "a lock", "locks_in_them_ns", "lock (troubles.py"),
    ("synchronous", "synchronous calls to api.openai.com", "network_wait_in_them_ns", "ask (work.py"),
];

/// What is true of any of them: most wait for the vendor, two requests at a time hold each other up, a library that is
/// used first is imported then, and the vendor needs the CPUs, too.
const BESIDES: [&str; 5] =
    ["vendor_dominates", "loop_saturated", "import_in_request", "gil_contention", "cpu_oversubscribed"];

/// Routes on which none of these is true.
const NOT_THERE: [(&str, &[&str]); 2] = [
    ("compute", &["vendor_dominates"]),
    ("polling", &["vendor_dominates", "gil_contention", "cpu_oversubscribed"]),
];

#[test]
fn each_trouble_is_found_where_it_is() {
    for (route, at_once, expected) in TROUBLES {
        let report = report(&[], route, at_once);
        let found = kinds(&report);
        for kind in expected {
            assert!(found.contains(*kind), "/{route} has {kind}: {found:?}");
        }
        let foreign = found.iter().find(|kind| {
            // What the client does first, as to make an exception, may take a step as long.
            let follows = *kind == "loop_blocked" && route != "none"
                // So many new objects make it collect.
                || *kind == "long_collections" && route == "importing"
                || *kind == "serial_calls" && ["limited", "failing"].contains(&route)
                || *kind == "connection_not_reused" && ["limited", "failing"].contains(&route);
            !expected.contains(&kind.as_str()) && !BESIDES.contains(&kind.as_str()) && !follows
        });
        assert_eq!(foreign, None, "/{route} has none: {found:?}");
        let not_here = NOT_THERE.iter().filter(|(of, _)| *of == route).flat_map(|(_, kinds)| *kinds);
        assert_eq!(not_here.copied().find(|kind| found.contains(*kind)), None, "/{route}: {found:?}");
        if route == "gil" {
            assert_holder(&report);
        }
    }
}

#[track_caller]
fn assert_holder(report: &Report) {
    let found = report.findings.iter().find(|finding| finding.kind == "gil_contention").expect("it is found");
    let holders = found.evidence["held_by_ns"].as_object().expect("they are named");
    let longest = holders.iter().max_by_key(|(_, ns)| ns.as_u64()).map(|(name, _)| name.as_str());
    assert!(longest.is_some_and(|name| name.starts_with("burn (work.py")), "{holders:?}");
}

#[test]
fn what_blocks_the_loop_is_told_apart() {
    for (route, title, key, function) in BLOCKS {
        assert_blocks(&[], route, title, key, function);
    }
    // Beside the rest of a call, a lookup must take long to be most of what blocks.
    let slow_lookups = ["--dns-delay-ms", "600"];
    assert_blocks(&slow_lookups, "lookup", "lookups of api.openai.com", "lookups_in_them_ns", "ask (work.py");
}

fn assert_blocks(lab_options: &[&str], route: &str, title: &str, key: &str, function: &str) {
    let found = report(lab_options, route, "4").findings;
    let found = found.iter().find(|finding| finding.kind == "loop_blocked");
    let found = found.unwrap_or_else(|| panic!("/{route} blocks the loop"));
    assert!(found.title.ends_with(title), "{}", found.title);
    assert!(found.evidence[key].as_u64() > Some(0), "{:?}", found.evidence);
    let running = found.evidence["running_ns"].as_object().expect("a step is named");
    let longest = running.iter().max_by_key(|(_, ns)| ns.as_u64()).map(|(name, _)| name.as_str());
    assert!(longest.is_some_and(|name| name.starts_with(function)), "{running:?}");
}

#[test]
fn slow_lookups_are_found() {
    assert!(findings(&["--dns-delay-ms", "60"], "client_for_each", "2").contains("slow_dns"));
    assert!(!findings(&[], "client_for_each", "2").contains("slow_dns"));
}

#[test]
fn what_is_imported_is_named() {
    let found = report(&[], "importing", "2").findings;
    let found = found.iter().find(|finding| finding.kind == "import_in_request").expect("imports are found");
    let modules = found.evidence["modules_ns"].as_object().expect("they are named");
    assert!(["statistics", "pickletools", "mailbox", "pydoc"].iter().all(|name| modules.contains_key(*name)));
}

/// To connect must cost enough beside a pause of six seconds that it is worth telling: on loopback it takes 5 ms.
#[test]
fn connections_that_a_pause_closed_are_found() {
    assert!(findings(&["--dns-delay-ms", "60"], "pause", "2").contains("keep_alive_expired"));
}

/// The kinds of findings on a load of a route.
fn findings(lab_options: &[&str], route: &str, at_once: &str) -> BTreeSet<String> {
    kinds(&report(lab_options, route, at_once))
}

fn kinds(report: &Report) -> BTreeSet<String> {
    report.findings.iter().map(|finding| finding.kind.clone()).collect()
}

/// What is reported of a load of a route, after the server's first requests.
fn report(lab_options: &[&str], route: &str, at_once: &str) -> Report {
    let lab = Lab::start_with(lab_options);
    let warm = ["--requests", "2", "--prefix", "warm", "/none/{id}"];
    let load = ["--requests", "8", "--concurrency", at_once, &format!("/{route}/{{id}}")].map(str::to_owned);
    let command = troubles(&Python::system());
    let server = lab.start_command(lab.command(&command[0]).args(&command[1..]), "server");
    lab.drive(&warm);
    let mut recording = Recording::start(&lab, "record", ["--pid", &server.pid().to_string()]);
    recording.wait_ready();
    lab.drive(&load.iter().map(String::as_str).collect::<Vec<_>>());
    let report = recording.interrupt();
    eprintln!("/{route}: {:?}", report.findings.iter().map(|found| &found.title).collect::<Vec<_>>());
    report
}
