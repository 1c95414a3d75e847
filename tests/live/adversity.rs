//! What can go wrong on a machine, and what the tracer says then.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::BufReader,
    process::Command,
};

use tests::{
    lab::{LIMIT, Lab},
    python::{self, Python},
    recording::{Recording, program},
    running::Running,
};
use tracer::capture::Capture;

use crate::application::{chat, traced};

const LOAD: [&str; 5] = ["--requests", "40", "--concurrency", "20", "/chat/{id}?model=ttft=50,gap=5,n=40"];

#[test]
fn a_ring_buffer_too_small_is_counted_and_marks_requests() {
    let lab = Lab::start();
    let options = [vec!["--ring-bytes".into(), "16384".into()], traced(chat(&Python::system()))].concat();
    let recording = Recording::start(&lab, "record", options);
    lab.drive(&LOAD);
    recording.process().interrupt();
    let (finished, report) = recording.finish();
    let lost: u64 = report.capture.lost_events.values().sum();
    assert!(lost > 0, "16 KiB are too few for this load");
    assert!(report.requests.iter().any(|request| !request.complete), "requests that lost events say so");
    assert!(finished.stdout.contains("lost"), "the text report says so:\n{}", finished.stdout);
}

#[test]
fn fifty_thousand_events_a_second_lose_nothing() {
    const RATE: usize = 50_000;
    const SECONDS: usize = 5;
    let lab = Lab::start();
    // Some more, since what is asked for is not kept to the letter on a busy machine.
    let rate = (RATE * 6 / 5).to_string();
    let mut command = Python::system().command("python");
    command.extend(["events.py", &rate, &SECONDS.to_string()].map(OsString::from));
    let recording = Recording::start(&lab, "events", traced(command));
    let capture = recording.capture().to_owned();
    let (_, report) = recording.finish();
    let events =
        Capture::read(BufReader::new(File::open(&capture).expect("open it"))).expect("read it").events;
    eprintln!("{} events in {SECONDS} s and the start of Python", events.len());
    assert!(events.len() > RATE * SECONDS, "{} events are too few", events.len());
    assert_eq!(report.capture.lost_events.values().sum::<u64>(), 0, "{:?}", report.capture.lost_events);
    assert!(report.requests.iter().all(|request| request.complete));
}

#[test]
fn a_full_disk_is_an_error_that_leaves_the_application_alone() {
    let lab = Lab::start();
    let small = lab.dir().join("small");
    fs::create_dir(&small).expect("make a directory");
    let mut mount = lab.command("mount");
    mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&small);
    lab.run(&mut mount, "mount").expect_code(0);

    let command = chat(&Python::system());
    let _server = lab.start_command(lab.command(&command[0]).args(&command[1..]), "server");
    lab.drive(&["--requests", "1", "--prefix", "warm", "/chat/{id}?model=ttft=1,n=1"]);
    let mut record = lab.command(program());
    record.args(["record", "-d", "60", "-o"]).arg(small.join("capture"));
    let mut recording = lab.start_command(&mut record, "record");
    recording.wait_for_stderr("recording", LIMIT);
    lab.drive(&LOAD);
    recording.interrupt();
    let finished = recording.finish(LIMIT).expect_code(2);
    assert!(finished.stderr.contains("No space left on device"), "{}", finished.stderr);
    assert!(finished.stderr.contains("small/capture"), "names the file: {}", finished.stderr);
}

#[test]
fn processes_that_die_while_they_are_attached_do_no_harm() {
    let lab = Lab::start();
    let mut many = lab.command("bash");
    many.arg("-c")
        .arg("for i in $(seq 100); do \"$0\" -c pass & done; wait")
        .arg(Python::system().program("python"));
    let many = lab.start_command(&mut many, "many");
    let recording = Recording::start(&lab, "record", ["-d", "5"]);
    let (_, report) = recording.finish();
    assert_eq!(report.capture.lost_events.values().sum::<u64>(), 0);
    many.finish(LIMIT).expect_code(0);
}

#[test]
fn a_recording_ends_with_the_process_that_it_is_of() {
    let lab = Lab::start();
    let python = Python::system();
    let mut sleeps = lab.command(python.program("python"));
    let sleeps = lab.start_command(sleeps.args(["-c", "import time; time.sleep(60)"]), "sleeps");
    let pid = sleeps.pid().to_string();
    let mut recording = Recording::start(&lab, "record", ["-p", &pid]);
    recording.wait_ready();
    sleeps.signal(libc::SIGKILL);
    // Its parent is to take note, or it would still be there.
    sleeps.finish(LIMIT);
    let (_, report) = recording.finish();
    assert_eq!(report.requests.len(), 1, "its run");
}

#[test]
fn a_process_that_is_not_there_is_named() {
    let lab = Lab::start();
    let mut gone = Command::new("true").spawn().expect("start true");
    gone.wait().expect("wait for it");
    let mut record = lab.command(program());
    record.args(["record", "-d", "1", "-p", &gone.id().to_string()]);
    let finished = lab.run(&mut record, "record").expect_code(2);
    assert!(finished.stderr.contains(&gone.id().to_string()), "{}", finished.stderr);
}

#[test]
fn a_python_without_contexts_is_traced_by_threads_and_says_so() {
    let Some(old) = python::pyenv("3.6") else {
        eprintln!("there is no Python 3.6 under pyenv: what the tracer says of one is not tested");
        return;
    };
    let lab = Lab::start();
    let source = "import time; time.sleep(0.2); sum(i * i for i in range(1000000))";
    let command = traced(vec![old.into(), "-c".into(), source.into()]);
    let (_, report) = Recording::start(&lab, "record", command).finish();
    let run = report.requests.first().expect("the run is a request");
    assert!(run.wall_ns > 200_000_000, "{} ns", run.wall_ns);
    let reasons: Vec<_> = report.capture.unknown.iter().filter(|unknown| unknown.pid == run.pid).collect();
    assert!(reasons.iter().any(|unknown| unknown.reason.contains("PyContext_Type")), "{reasons:?}");
}

#[test]
fn without_root_it_says_what_it_needs() {
    let lab = Lab::start();
    let public = tempfile::tempdir().expect("make a directory");
    let permissions: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(public.path(), permissions).expect("let others in");
    let copy = public.path().join("tracer");
    fs::copy(program(), &copy).expect("copy the program");
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy).args(["record", "-d", "1"]);
    let finished = Running::start(&mut nobody, lab.dir(), "nobody").finish(LIMIT).expect_code(2);
    assert!(finished.stderr.contains("root") && finished.stderr.contains("sudo"), "{}", finished.stderr);
}

#[test]
fn without_btf_it_says_what_is_missing() {
    let lab = Lab::start();
    let empty = lab.dir().join("empty");
    fs::write(&empty, "").expect("write a file");
    // Only in the lab's own mount namespace.
    let mut mount = lab.command("mount");
    mount.arg("--bind").arg(&empty).arg("/sys/kernel/btf/vmlinux");
    lab.run(&mut mount, "mount").expect_code(0);
    let mut record = lab.command(program());
    record.args(["record", "-d", "1"]);
    let finished = lab.run(&mut record, "record").expect_code(2);
    assert!(finished.stderr.contains("/sys/kernel/btf/vmlinux"), "{}", finished.stderr);
}

/// What a scanner sends: binary bytes, a header of 1 MB, a request that breaks off.
const HOSTILE: &str = r#"
import socket, sys
for bytes in (bytes(range(256)) * 64, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n", b"POST /chat/x HT"):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as peer:
        try:
            peer.sendall(bytes)
            peer.shutdown(socket.SHUT_WR)
            peer.recv(1000)
        except ConnectionError:
            pass
"#;

#[test]
fn hostile_callers_cost_nobody_a_request() {
    let python = Python::system();
    let lab = Lab::start();
    let recording = Recording::start(&lab, "record", traced(chat(&python)));
    lab.drive(&["--requests", "1", "--prefix", "warm", "/chat/{id}?model=ttft=1,n=1"]);
    let mut hostile = lab.command(python.program("python"));
    hostile.args(["-c", HOSTILE, tests::lab::PORT]);
    lab.run(&mut hostile, "hostile").expect_code(0);
    lab.drive(&["--requests", "10", "--concurrency", "5", "/chat/{id}?model=ttft=50,n=3"]);
    let report = recording.interrupt();
    let answered = report.requests.iter().filter(|request| request.status == Some(200) && request.complete);
    assert_eq!(answered.count(), 11);
    let calls: usize = report.requests.iter().map(|request| request.calls.len()).sum();
    assert_eq!(calls, 11, "each has its call, the hostile ones none");
}
