//! The daemon under faults: other tracers, a stop in the middle, floods of processes and threads.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{
    compare::Comparison,
    held,
    history::History,
    lab::{LIMIT, Lab},
    python::Python,
    recording::Recording,
    running::Running,
    serving::Serving,
};

use crate::serve::selected_server;

const POLL: Duration = Duration::from_millis(100);

/// A server that is traced by a daemon with a history.
struct Traced {
    lab: Lab,
    server: Running,
    serving: Serving,
    history: History,
    /// What makes the command line of a process one that is selected.
    mark: String,
}

impl Traced {
    fn start(options: &str) -> Traced {
        let lab = Lab::start();
        let (server, selection) = selected_server(&lab, &[]);
        // Until it is up.
        lab.drive(&["--requests", "0", "/chat/{id}"]);
        let history = History::new(&lab, "of/history.db");
        let configuration = format!("{options}{selection}{}", history.configuration());
        let serving = Serving::start(&lab, "serve", &configuration);
        let mark = format!("lab:{}", std::process::id());
        Traced { lab, server, serving, history, mark }
    }

    fn tracer(&self) -> u32 {
        self.serving.process().pid()
    }

    /// Sends requests to the server; gives how many.
    fn drive(&self, prefix: &str) -> usize {
        const REQUESTS: usize = 40;
        let count = REQUESTS.to_string();
        let load = ["--requests", &count, "--concurrency", "10", "/chat/{id}?model=ttft=20-60,gap=2,n=10"];
        self.lab.drive(&[&["--prefix", prefix][..], &load].concat());
        REQUESTS
    }

    /// The same, again where something was lost: so small a ring is soon full on a busy machine. Gives the prefix, too.
    fn drive_without_loss(&self) -> (String, usize) {
        for attempt in 0..5 {
            // What was lost is told of requests that are over by then.
            thread::sleep(Duration::from_secs(2));
            let (prefix, lost) = (format!("later{attempt}"), self.lost());
            let count = self.drive(&prefix);
            thread::sleep(Duration::from_secs(2));
            if self.lost() == lost {
                return (prefix, count);
            }
        }
        panic!("something is lost again and again: {}", self.health());
    }

    /// Starts a program of Python that the daemon traces as well.
    fn start_python(&self, name: &str, program: &str) -> Running {
        let mut command = self.lab.command(Python::system().program("python"));
        self.lab.start_command(command.args(["-S", "-c", program, &self.mark]), name)
    }

    fn health(&self) -> Value {
        let mut curl = self.lab.command("curl");
        curl.args(["--silent", "--fail", "--max-time", "10", "http://127.0.0.1:7070/api/v1/health"]);
        let answer = self.lab.run(&mut curl, "health").expect_code(0).stdout;
        serde_json::from_str(&answer).expect("JSON")
    }

    fn lost(&self) -> u64 {
        let lost = self.health()["lost"].as_object().expect("an object").clone();
        lost.values().map(|count| count.as_u64().expect("a number")).sum()
    }

    /// Waits until something holds.
    #[track_caller]
    fn wait_until(&self, what: &str, mut holds: impl FnMut(&Traced) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !holds(self) {
            assert!(Instant::now() < deadline, "not so: {what}: {}", self.health());
            thread::sleep(POLL);
        }
    }

    fn end(self) {
        self.serving.end(libc::SIGTERM).0.expect_code(0);
    }
}

#[test]
fn two_tracers_at_once_both_see_all_and_leave_nothing_behind() {
    let before = held::programs();
    let traced = Traced::start("");
    let mut recording = Recording::start(&traced.lab, "record", ["-p", &traced.server.pid().to_string()]);
    recording.wait_ready();
    let requests = traced.drive("both");
    let daemons = traced.history.wait_for(&traced.lab, &traced.server, requests);
    let recorded = recording.interrupt();
    let truth = traced.lab.truth();
    for (title, report) in [("the daemon beside another tracer", &daemons), ("beside the daemon", &recorded)]
    {
        Comparison::new(title, report, &truth).check_calls();
    }
    let Traced { lab, server, serving, .. } = traced;
    serving.end(libc::SIGTERM).0.expect_code(0);
    lab.drive(&["--requests", "5", "--prefix", "after", "/chat/{id}?model=ttft=5,n=1"]);
    server.signal(libc::SIGTERM);
    server.finish(LIMIT);
    held::nothing_is_left(&before);
}

/// Another's probes at the same points, before this one's and until after them: USDT points count who has them enabled, and
/// breakpoints are shared.
#[test]
fn bpftrace_on_the_same_points_sees_them_and_so_does_the_tracer() {
    let before = held::programs();
    let lab = Lab::start();
    let python = Python::system();
    let (server, _) = selected_server(&lab, &[]);
    lab.drive(&["--requests", "0", "/chat/{id}"]);
    let exe = fs::canonicalize(format!("/proc/{}/exe", server.pid())).expect("an own child");
    let pid = server.pid();
    let program = format!(
        "usdt:{exe}:python:gc__start {{ @gc = count(); }}
         uprobe:{exe}:PyContext_Enter {{ @contexts = count(); }}
         tracepoint:sched:sched_switch /pid == {pid}/ {{ @switches = count(); }}
         tracepoint:syscalls:sys_enter_sendto /pid == {pid}/ {{ @sent = count(); }}
         profile:hz:99 /pid == {pid}/ {{ @samples = count(); }}
         BEGIN {{ printf(\"ready\\n\"); }}",
        exe = exe.display()
    );
    let mut command = Command::new("bpftrace");
    command.args(["-p", &pid.to_string(), "-e", &program]);
    let mut bpftrace = Running::start(&mut command, lab.dir(), "bpftrace");
    bpftrace.wait_for_stdout("ready", LIMIT);
    let mut recording = Recording::start(&lab, "record", ["-p", &pid.to_string()]);
    recording.wait_ready();
    let load = ["--requests", "40", "--concurrency", "10", "/chat/{id}?model=ttft=20-60,gap=2,n=10"];
    lab.drive(&[&["--prefix", "both"][..], &load].concat());
    let recorded = recording.interrupt();
    Comparison::new(format!("{} beside bpftrace", python.name), &recorded, &lab.truth()).check_calls();
    bpftrace.interrupt();
    let counted = bpftrace.finish(LIMIT).expect_code(0).stdout;
    for map in ["@gc", "@contexts", "@switches", "@sent", "@samples"] {
        assert!(counted.contains(&format!("{map}: ")), "{map} is not in:\n{counted}");
    }
    lab.drive(&["--requests", "5", "--prefix", "after", "/chat/{id}?model=ttft=5,n=1"]);
    server.signal(libc::SIGTERM);
    server.finish(LIMIT);
    held::nothing_is_left(&before);
}

/// As a debugger, a freezer of the host or a machine that is suspended stops it.
#[test]
fn a_daemon_that_stands_still_loses_what_it_counts_and_harms_nobody() {
    let traced = Traced::start("ring_bytes = 65536\n");
    traced.serving.process().signal(libc::SIGSTOP);
    traced.drive("stopped");
    traced.serving.process().signal(libc::SIGCONT);
    traced.wait_until("the loss is told", |traced| traced.lost() > 0);
    let (prefix, later) = traced.drive_without_loss();
    let of_later = |request: &&tracer::report::types::Request| {
        request.path.as_deref().is_some_and(|path| path.starts_with(&format!("/chat/{prefix}")))
    };
    let deadline = Instant::now() + LIMIT;
    let report = loop {
        let report = traced.history.of(&traced.lab, &traced.server);
        if report.requests.iter().filter(of_later).count() >= later {
            break report;
        }
        assert!(Instant::now() < deadline, "requests after it are missing: {}", traced.health());
        thread::sleep(POLL);
    };
    let is_right = |request: &tracer::report::types::Request| request.calls.len() == 1;
    for request in report.requests.iter().filter(of_later) {
        let calls = request.calls.len();
        assert!(request.complete && calls == 1, "{:?}: {}, {calls} calls", request.path, request.complete);
    }
    let wrong = report.requests.iter().filter(|request| request.complete && !is_right(request));
    let wrong: Vec<_> = wrong.map(|request| &request.path).collect();
    assert!(wrong.is_empty(), "they say that they are complete: {wrong:?}");
    traced.end();
}

/// Programs of Python that are over before much can be known of them.
const SHORT_LIVED: &str = r#"
import os, sys
running = 0
for _ in range(300):
    os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", "pass", sys.argv[1]], os.environ)
    running += 1
    if running == 8:
        os.wait()
        running -= 1
while running:
    os.wait()
    running -= 1
"#;

#[test]
fn a_flood_of_processes_costs_no_request_and_leaves_nothing_in_the_daemon() {
    let traced = Traced::start("");
    let (files, processes) = (held::open_files(traced.tracer()), held::traced(traced.tracer()));
    assert!(processes.contains(&traced.server.pid()), "{processes:?}");
    let flood = traced.start_python("flood", SHORT_LIVED);
    let requests = traced.drive("flood");
    flood.finish(LIMIT).expect_code(0);
    let report = traced.history.wait_for(&traced.lab, &traced.server, requests);
    Comparison::new("beside a flood of processes", &report, &traced.lab.truth()).check_calls();
    // A connection to the page may be among its files, and the history.
    traced.wait_until("its table is as it was", |traced| held::traced(traced.tracer()) == processes);
    traced.wait_until("its files are as they were", |traced| held::open_files(traced.tracer()) <= files + 8);
    traced.wait_until("it knows of few processes", |traced| {
        traced.health()["held"]["processes"].as_u64() < Some(20)
    });
    assert_eq!(traced.lost(), 0, "{}", traced.health());
    traced.end();
}

/// Threads that end at once, and threads that are there together.
const THREADS: &str = r#"
import threading
threading.stack_size(65536)
for _ in range(2000):
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
end = threading.Event()
threads = [threading.Thread(target=end.wait) for _ in range(2000)]
for thread in threads:
    thread.start()
end.set()
for thread in threads:
    thread.join()
"#;

#[test]
fn a_flood_of_threads_costs_no_request_and_leaves_nothing_in_the_daemon() {
    let traced = Traced::start("");
    let flood = traced.start_python("flood", THREADS);
    let requests = traced.drive("flood");
    flood.finish(LIMIT).expect_code(0);
    let report = traced.history.wait_for(&traced.lab, &traced.server, requests);
    Comparison::new("beside a flood of threads", &report, &traced.lab.truth()).check_calls();
    traced.wait_until("it knows of few threads", |traced| {
        traced.health()["held"]["threads"].as_u64() < Some(100)
    });
    assert_eq!(traced.lost(), 0, "{}", traced.health());
    traced.end();
}
