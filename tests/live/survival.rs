//! The traced application does not notice.

use std::{os::unix::process::ExitStatusExt as _, process::Command};

use tests::{
    lab::{LIMIT, Lab},
    python::Python,
    recording::{Recording, program, report},
    running::Running,
};

use crate::application::{chat, flask, script, traced};

const LOAD: [&str; 6] =
    ["--requests", "30", "--concurrency", "10", "/chat/{id}?model=ttft=50-100,gap=5,n=10", "/busy/{id}?ms=5"];

/// Answers and end of a server: without the tracer, with it, with it killed in the middle, and attached again.
#[test]
fn a_server_answers_and_ends_as_without_the_tracer() {
    for python in Python::all() {
        let lab = Lab::start();
        let start = || {
            let command = chat(&python);
            lab.start_command(lab.command(&command[0]).args(&command[1..]), "server")
        };
        let stop = |server: Running| {
            server.signal(libc::SIGTERM);
            server.finish(LIMIT).status.into_raw()
        };
        let answers = || {
            lab.forget();
            lab.drive(&LOAD);
            let truth = lab.truth();
            truth
                .answers()
                .iter()
                .map(|(id, status, sha256)| format!("{id} {status:?} {sha256:?}"))
                .collect::<Vec<_>>()
        };

        let server = start();
        let expected = answers();
        let expected_end = stop(server);
        assert_eq!(expected.len(), 60);

        let server = start();
        let pid = server.pid().to_string();
        let attach = |name: &str| {
            let mut recording = Recording::start(&lab, name, ["-p", &pid]);
            recording.wait_ready();
            recording
        };
        let recording = attach("first");
        assert_eq!(answers(), expected, "{}: answers with the tracer attached", python.name);
        // A load that is still running when the tracer is gone.
        let mut drive = lab.command(Python::system().program("python"));
        let load = lab.start_command(drive.arg("drive.py").args(["--prefix", "k"]).args(LOAD), "load");
        std::thread::sleep(std::time::Duration::from_millis(500));
        recording.kill();
        load.finish(LIMIT).expect_code(0);
        assert_eq!(answers(), expected, "{}: answers after the tracer was killed", python.name);
        let recording = attach("second");
        assert_eq!(answers(), expected, "{}: answers with the tracer attached again", python.name);
        let report = recording.interrupt();
        assert_eq!(report.requests.len(), 60, "{}: requests seen by the second tracer", python.name);
        assert_eq!(stop(server), expected_end, "{}: how the server ended", python.name);
    }
}

#[test]
fn a_scripts_exit_code_is_its_own_and_the_host_is_traced() {
    let python = Python::system();
    let lab = Lab::start();
    let mut recording = Recording::start(&lab, "host", [] as [&str; 0]);
    recording.wait_ready();
    let command = script(&python, "7");
    let script = lab.start_command(lab.command(&command[0]).args(&command[1..]), "script");
    let pid = script.pid();
    script.finish(LIMIT).expect_code(7);
    let report = recording.interrupt();
    let calls: Vec<_> = report
        .requests
        .iter()
        .filter(|request| request.pid == pid)
        .map(|request| request.calls.len())
        .collect();
    assert_eq!(calls, [2], "the script is one run with two calls");
}

#[test]
fn workers_that_fork_later_are_traced() {
    let python = Python::system();
    let lab = Lab::start();
    let mut recording = Recording::start(&lab, "host", [] as [&str; 0]);
    recording.wait_ready();
    let command = flask(&python, &["--workers", "2"]);
    let _server = lab.start_command(lab.command(&command[0]).args(&command[1..]), "server");
    lab.drive(&["--requests", "10", "--concurrency", "4", "/ask/{id}"]);
    let report = recording.interrupt();
    let found = report
        .requests
        .iter()
        .filter(|request| request.path.as_deref().is_some_and(|path| path.starts_with("/ask/")));
    assert_eq!(found.count(), 10);
}

#[test]
fn ctrl_c_prints_the_report_and_the_capture_gives_the_same_without_root() {
    let python = Python::system();
    let lab = Lab::start();
    let recording = Recording::start(&lab, "record", traced(chat(&python)));
    lab.drive(&["--requests", "5", "/chat/{id}"]);
    recording.process().interrupt();
    let (finished, report_data) = recording.finish();
    assert_eq!(report_data.requests.len(), 5);
    assert!(finished.stdout.contains("/chat"), "the text report:\n{}", finished.stdout);

    // Nobody may not enter the folders of root, so everything is brought to where nobody may.
    let public = tempfile::Builder::new().permissions(readable()).tempdir().expect("make a directory");
    let (capture, copy) = (public.path().join("capture"), public.path().join("tracer"));
    std::fs::copy(lab.dir().join("record.capture"), &capture).expect("copy the capture");
    std::fs::copy(program(), &copy).expect("copy the program");
    std::fs::set_permissions(&capture, readable()).expect("let others read the capture");
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy).arg("report").arg(&capture);
    let replayed = Running::start(&mut nobody, lab.dir(), "nobody").finish(LIMIT).expect_code(0);
    assert_eq!(replayed.stdout, finished.stdout);
    assert_eq!(report(&lab, &capture).requests.len(), 5);
}

fn readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o755)
}

/// As in a container: the interpreter is a file that the tracer's own mount namespace has not.
#[test]
fn a_python_in_a_mount_namespace_of_its_own_is_traced() {
    let lab = Lab::start();
    let mut recording = Recording::start(&lab, "host", [] as [&str; 0]);
    recording.wait_ready();
    let private = lab.dir().join("private");
    std::fs::create_dir(&private).expect("make a directory");
    let script = r#"mount -t tmpfs none "$0" && cp "$(readlink -f /usr/bin/python3)" "$0/python" &&
        PYTHONHOME=/usr exec "$0/python" -c 'import gc, time; time.sleep(0.3); gc.collect(); time.sleep(0.1)'"#;
    let mut container = lab.command("unshare");
    container.args(["--mount", "sh", "-c", script]).arg(&private);
    let container = lab.start_command(&mut container, "container");
    let pid = container.pid();
    container.finish(LIMIT).expect_code(0);
    assert!(!private.join("python").exists(), "only the other namespace has the interpreter");
    let report = recording.interrupt();
    let process = report.processes.iter().find(|process| process.pid == pid).expect("the process is found");
    assert_eq!(process.exe, private.join("python").display().to_string());
    let run = report.requests.iter().find(|request| request.pid == pid).expect("its run is a request");
    let collecting_ns = run.buckets.get(tracer::report::bucket::Bucket::PythonGc);
    assert!(collecting_ns.is_some_and(|ns| ns > 0), "its USDT points are attached: {:?}", run.buckets);
}
