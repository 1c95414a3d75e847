//! The daemon, held against the truth of the applications that it traces.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, thread,
    time::{Duration, Instant},
};

use tests::{
    compare::Comparison,
    held::{nothing_is_left, programs_of_nobody},
    history::History,
    lab::{LIMIT, Lab},
    otlp::Receiver,
    private::check_nothing_private,
    python::Python,
    running::Running,
    serving::Serving,
};
use tracer::report::types::Report;

use crate::{
    application::{chat, secrets},
    otlp::otlp,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn it_tells_the_service_manager_and_ends_within_a_second() {
    let lab = Lab::start();
    let python = Python::system();
    let command = chat(&python);
    let server = lab.start_command(lab.command(&command[0]).args(&command[1..]), "server");
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let serving = Serving::start(&lab, &format!("serve-{signal}"), "history.path = ''");
        lab.drive(&["--requests", "20", "--concurrency", "10", "/chat/{id}?model=ttft=5-20,gap=1,n=5"]);
        assert_eq!([serving.told(), serving.told()], ["WATCHDOG=1", "WATCHDOG=1"]);
        let (finished, took) = serving.end(signal);
        assert!(took < SECOND, "it took {took:?} to end:\n{}", finished.stderr);
        finished.expect_code(0);
    }
    // The application goes on.
    lab.drive(&["--requests", "5", "/chat/{id}?model=ttft=5-20,gap=1,n=5"]);
    server.signal(libc::SIGTERM);
    server.finish(LIMIT);
}

#[test]
fn the_history_is_the_truth_and_outlives_a_kill() {
    let loaded = programs_of_nobody();
    let lab = Lab::start();
    let python = Python::system();
    let command = chat(&python);
    let server = lab.start_command(lab.command(&command[0]).args(&command[1..]), "server");
    let history = History::new(&lab, "of/history.db");
    let serving = Serving::start(&lab, "first", &history.configuration());
    lab.drive(&["--requests", "60", "--concurrency", "12", "/chat/{id}?model=ttft=50-150,gap=5-10,n=10"]);
    let report = history.wait_for(&lab, &server, 60);
    Comparison::new("the daemon's history", &report, &lab.truth()).check();
    let process = report.processes.iter().find(|process| process.pid == server.pid()).expect("it is known");
    assert!(process.cmdline.contains("uvicorn") && process.python.is_some());
    let text = history.print(&lab, &["--since", "1h", "--route", "/chat/{id}", "--slowest", "2"]);
    assert!(text.contains("GET /chat/{id}") && text.contains("llm.first_byte"), "{text}");

    let before = ids(&report);
    let (finished, _) = serving.end(libc::SIGKILL);
    assert_eq!(finished.status.code(), None);
    nothing_is_left(&loaded);
    assert_eq!(ids(&history.of(&lab, &server)), before, "nothing is lost that was there");
    let serving = Serving::start(&lab, "second", &history.configuration());
    lab.drive(&["--requests", "20", "--prefix", "again", "/chat/{id}?model=ttft=5-20,gap=1,n=5"]);
    let after = ids(&history.wait_for(&lab, &server, 80));
    assert!(after.is_superset(&before));
    let (finished, took) = serving.end(libc::SIGTERM);
    assert!(took < SECOND, "it took {took:?} to end:\n{}", finished.stderr);
    finished.expect_code(0);
}

#[test]
fn nothing_private_is_in_what_the_daemon_writes() {
    let lab = Lab::start();
    let receiver = Receiver::start(&lab);
    let history = History::new(&lab, "of/history.db");
    let configuration = format!(
        "{}{}",
        history.configuration(),
        otlp("http", "http://127.0.0.1:4318", "compression = 'none'")
    );
    let serving = Serving::start(&lab, "serve", &configuration);
    let command = secrets(&Python::system(), &[]);
    let script = lab.start_command(lab.command(&command[0]).args(&command[1..]), "script");
    let pid = script.pid();
    script.finish(LIMIT).expect_code(0);
    let deadline = Instant::now() + LIMIT;
    let calls = loop {
        let report = history.read(&lab, false);
        if let Some(run) = report.requests.iter().find(|request| request.pid == pid) {
            break run.calls.iter().filter(|call| call.model.is_some()).count();
        }
        assert!(Instant::now() < deadline, "its run is not in the history");
        thread::sleep(SECOND);
    };
    assert_eq!(calls, 5, "all of it was looked at");
    let of_api = |path: &str| {
        let address = format!("http://localhost:7070/{path}");
        lab.run(lab.command("curl").args(["--silent", "--fail", &address]), "page").stdout
    };
    for path in ["metrics", "api/v1/requests", "api/v1/processes", "api/v1/findings", "api/v1/health"] {
        check_nothing_private(path, of_api(path).as_bytes());
    }
    receiver.wait_for_requests(1);
    check_nothing_private("OTLP", &fs::read(lab.dir().join("otlp.jsonl")).expect("its book"));
    let (finished, _) = serving.end(libc::SIGTERM);
    check_nothing_private("what it says", finished.stderr.as_bytes());
    finished.expect_code(0);
    for file in fs::read_dir(lab.dir().join("of")).expect("the folder").flatten() {
        let path = file.path();
        check_nothing_private(&path.display().to_string(), &fs::read(&path).expect("read it"));
    }
    // What is compressed in there is what the report prints.
    check_nothing_private("the history", history.print(&lab, &["--format", "json"]).as_bytes());
}

/// The workers' command line is another one than that of the server which is selected, and they were there before the daemon.
#[test]
fn workers_of_a_selected_server_are_traced() {
    let lab = Lab::start();
    let (server, selection) = selected_server(&lab, &["--workers", "2"]);
    lab.drive(&["--requests", "2", "--prefix", "before", "/chat/{id}?model=ttft=5-20,gap=1,n=5"]);
    let history = History::new(&lab, "of/history.db");
    let serving = Serving::start(&lab, "serve", &format!("{selection}{}", history.configuration()));
    lab.drive(&["--requests", "20", "--fresh", "/chat/{id}?model=ttft=5-20,gap=1,n=5"]);
    let deadline = Instant::now() + LIMIT;
    let report = loop {
        let report = history.read(&lab, false);
        if report.requests.len() >= 20 {
            break report;
        }
        assert!(Instant::now() < deadline, "{} of 20 requests", report.requests.len());
        thread::sleep(SECOND / 4);
    };
    assert_eq!(report.requests.len(), 20);
    assert!(report.requests.iter().all(|request| request.pid != server.pid() && request.calls.len() == 1));
    serving.end(libc::SIGTERM).0.expect_code(0);
}

/// A server, and the configuration that selects it alone: others may run on this host.
pub fn selected_server(lab: &Lab, options: &[&str]) -> (Running, String) {
    let mut command = chat(&Python::system());
    command.extend(options.iter().map(OsString::from));
    selected(lab, &command, &[])
}

/// A server on uvicorn, and the configuration that selects it alone: others may run on this host.
pub fn selected(lab: &Lab, command: &[OsString], environment: &[(&str, &str)]) -> (Running, String) {
    let name = format!("lab:{}", std::process::id());
    let mut server = lab.command(&command[0]);
    server.args(&command[1..]).args(["--header", &name]).envs(environment.iter().copied());
    (lab.start_command(&mut server, "server"), format!("select.command_lines = ['*{name}']\n"))
}

fn ids(report: &Report) -> BTreeSet<String> {
    report.requests.iter().map(|request| request.id.clone()).collect()
}
