//! A process that takes more steps than can be followed at little cost is left alone, and nobody else is.

use std::{thread, time::Duration};

use tests::{compare::Comparison, lab::Lab, python::Python, recording::Recording};

use crate::application::chat;

/// Ten times the CPU time after which such a process is found.
const FOUND: Duration = Duration::from_secs(2);

#[test]
fn steps_that_are_too_many_are_left_alone_and_those_of_others_are_not() {
    let python = Python::all().pop().expect("there is one");
    let lab = Lab::start();
    let command = chat(&python);
    let server = lab.start_command(lab.command(&command[0]).args(&command[1..]), "server");
    let spin = lab.start_command(lab.command(python.program("python")).arg("spin.py"), "spin");
    let load = ["--requests", "5", "--concurrency", "5", "/chat/{id}?model=ttft=100-300,gap=10,n=10"];
    // Until it is up.
    lab.drive(&["--requests", "0", "/chat/{id}"]);
    let pids = [server.pid().to_string(), spin.pid().to_string()];
    let mut recording = Recording::start(&lab, "pace", ["--pid", &pids[0], "--pid", &pids[1]]);
    recording.wait_ready();
    thread::sleep(FOUND);
    lab.drive(&load);
    let report = recording.interrupt();
    let unfollowed = |pid: u32| {
        let of_process = report.capture.unknown.iter().filter(move |unknown| unknown.pid == pid);
        of_process.filter(|unknown| unknown.reason.contains("no longer followed")).count()
    };
    assert!(unfollowed(spin.pid()) > 0, "{:?}", report.capture.unknown);
    assert_eq!(unfollowed(server.pid()), 0);
    let comparison = Comparison::new("beside a process that is too fast", &report, &lab.truth());
    eprintln!("{comparison}");
    assert_eq!(comparison.found, comparison.requests);
    assert_eq!((comparison.links.wrong, comparison.links.missing), (0, 0));
    assert!(comparison.series.iter().all(|series| series.is_close()));
}
