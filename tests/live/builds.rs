//! One application under whatever runs Python: shims, servers that embed it, and programs that are made of it.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde::Deserialize;
use tests::{
    compare::Comparison,
    lab::{Lab, PORT, folder},
    python,
    recording::{self, Recording},
};

use tracer::report::types::Report;

use crate::application::traced;

/// Calls that tell who made them, at least, of 40.
const FEWEST_STACKS: usize = 36;

/// More than it takes until it is known that a process has loaded Python, on a busy machine.
const TO_FIND: Duration = Duration::from_secs(3);

const ROUTE: &str = "/ask/{id}";

/// Requests at once while it warms up.
const AT_ONCE: usize = 4;

#[test]
fn python_builds() {
    let ways: [(&str, Way); 6] = [
        ("a shim of pyenv", shim),
        ("uWSGI", uwsgi),
        ("mod_wsgi, embedded", mod_wsgi),
        ("one file by PyInstaller", pyinstaller),
        ("one file by Nuitka", nuitka),
        ("conda's layout", conda),
    ];
    for (name, way) in ways {
        let lab = Lab::start();
        let Some(command) = way(&lab) else {
            eprintln!("skipped {name}: not on this host");
            continue;
        };
        let recording = Recording::start(&lab, "record", traced(command));
        let at_once = AT_ONCE.to_string();
        lab.drive(&[
            "--fresh",
            "--requests",
            "20",
            "--concurrency",
            &at_once,
            "--prefix",
            "warm",
            "/ask/{id}",
        ]);
        lab.forget();
        lab.drive(&["--fresh", "--requests", "40", "--concurrency", "8", "/ask/{id}"]);
        let checked = Check::of(&lab);
        let report = recording.interrupt();
        // Some of these Pythons are built with none of these points; and what is loaded with the first request is attached a
        // moment later, so that the plaintext of its call may not be seen.
        let known = ["--with-dtrace", "the plaintext of a call"];
        let blind = report.capture.unknown.iter();
        let blind = blind.filter(|unknown| !known.iter().any(|reason| unknown.reason.contains(reason)));
        let is_bundled = name.contains("PyInstaller");
        // What the application never imports is not put into one file.
        let blind: Vec<_> =
            blind.filter(|unknown| !is_bundled || unknown.bucket != "wait.executor").collect();
        assert!(blind.is_empty(), "{name}: {blind:?}");
        checked.agrees_with(name, &report);
        assert_callers(name, &report);
        Comparison::new(name, &report, &lab.truth()).check_calls_but(AT_ONCE);
    }
}

/// Of these the executable does not tell that they will run Python.
#[test]
fn what_loads_python_later_is_found_on_a_host() {
    let ways: [(&str, Way); 3] =
        [("uWSGI", uwsgi), ("mod_wsgi", mod_wsgi), ("one file by PyInstaller", pyinstaller)];
    for (name, way) in ways {
        let lab = Lab::start();
        let Some(command) = way(&lab) else {
            eprintln!("skipped {name}: not on this host");
            continue;
        };
        let mut recording = Recording::start(&lab, "record", [] as [&str; 0]);
        recording.wait_ready();
        let server = lab.start_command(lab.command(&command[0]).args(&command[1..]), "server");
        lab.drive(&["--fresh", "--requests", "20", "--prefix", "warm", "/ask/{id}"]);
        thread::sleep(TO_FIND);
        lab.drive(&["--fresh", "--requests", "40", "--concurrency", "8", "/ask/{id}"]);
        let report = recording.interrupt();
        drop(server);
        assert_callers(name, &report);
    }
}

/// The calls tell who made them, by the line where that is known: what Nuitka compiled to C has none.
fn assert_callers(name: &str, report: &Report) {
    let source = fs::read_to_string(folder("apps").join("builds.py")).expect("read the application");
    let line = source.lines().position(|line| line.contains("vendor.request(")).expect("it calls") + 1;
    let line = (!name.contains("Nuitka")).then_some(line as u32);
    let asked = report.requests.iter().filter(|request| request.route.as_deref() == Some(ROUTE));
    let calls = asked.flat_map(|request| &request.calls);
    // What is loaded with the first request is attached a moment later.
    let stacks: Vec<_> = calls.map(|call| &call.stack).filter(|stack| !stack.is_empty()).collect();
    assert!(stacks.len() >= FEWEST_STACKS, "{name}: {} calls tell who made them", stacks.len());
    for stack in stacks {
        let caller = stack.iter().find(|caller| caller.application);
        let caller = caller.map(|caller| (caller.function.as_str(), caller.line));
        assert_eq!(caller, Some(("ask", line)), "{name}: {stack:?}");
    }
}

/// What `tracer check` says of each process.
#[derive(Deserialize)]
struct Check {
    processes: Vec<Checked>,
}

#[derive(Deserialize)]
struct Checked {
    pid: u32,
    unknown: Vec<Unknown>,
}

#[derive(Deserialize)]
struct Unknown {
    bucket: String,
}

impl Check {
    fn of(lab: &Lab) -> Check {
        let mut check = lab.command(recording::program());
        let said = lab.run(check.args(["check", "--format", "json"]), "check").expect_code(0);
        serde_json::from_str(&said.stdout).expect("it is JSON")
    }

    /// It said before what the report then does not know of each process, but for what only shows in a request.
    fn agrees_with(&self, name: &str, report: &Report) {
        for process in &report.processes {
            let Some(checked) = self.processes.iter().find(|checked| checked.pid == process.pid) else {
                // It has ended, as what unpacks a program.
                continue;
            };
            let told: BTreeSet<&str> = checked.unknown.iter().map(|unknown| &*unknown.bucket).collect();
            let unknown = report.capture.unknown.iter();
            let of_process = unknown.filter(|unknown| {
                unknown.pid == process.pid && !unknown.reason.contains("the plaintext of a call")
            });
            let known: BTreeSet<&str> = of_process.map(|unknown| &*unknown.bucket).collect();
            assert_eq!(told, known, "{name}: process {}", process.pid);
        }
        let is_checked = |pid| self.processes.iter().any(|checked| checked.pid == pid);
        let served = report.requests.iter().filter(|request| is_checked(request.pid)).count();
        assert!(served > 0, "{name}: `tracer check` names no process that served");
    }
}

/// What starts it; `None` where this host has it not.
type Way = fn(&Lab) -> Option<Vec<OsString>>;

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn shim(_: &Lab) -> Option<Vec<OsString>> {
    let python = python::pyenv("3.12")?;
    // It takes the version from the folder's name: PYENV/versions/3.12.1/bin/python3.
    let version = python.ancestors().nth(2)?;
    let shim = version.ancestors().nth(2)?.join("shims/python3");
    let version = format!("PYENV_VERSION={}", version.file_name()?.to_string_lossy());
    shim.exists().then(|| words(&["env", &version, &shim.to_string_lossy(), "builds.py", PORT]))
}

fn uwsgi(_: &Lab) -> Option<Vec<OsString>> {
    let address = format!("127.0.0.1:{PORT}");
    let options =
        ["/usr/bin/uwsgi", "--plugin", "python3", "--http-socket", &address, "--master", "--need-app"];
    let application = ["--processes", "4", "--wsgi-file", "builds.py", "--disable-logging", "--die-on-term"];
    Path::new(options[0]).exists().then(|| words(&[&options[..], &application].concat()))
}

fn mod_wsgi(lab: &Lab) -> Option<Vec<OsString>> {
    let file = lab.dir().join("apache.conf");
    let dir = lab.dir().display();
    let apps = folder("apps");
    let apps = apps.display();
    let modules = "/usr/lib/apache2/modules";
    let configuration = format!(
        "ServerRoot {dir}\nServerName localhost\nListen 127.0.0.1:{PORT}\nPidFile {dir}/apache.pid\nErrorLog {dir}/apache.log\n\
         LoadModule mpm_event_module {modules}/mod_mpm_event.so\n\
         LoadModule authz_core_module {modules}/mod_authz_core.so\n\
         LoadModule wsgi_module {modules}/mod_wsgi.so\nUser www-data\nGroup www-data\n\
         WSGIPythonPath {apps}\nWSGIApplicationGroup %{{GLOBAL}}\n\
         WSGIScriptAlias / {apps}/builds.py\n<Directory {apps}>\nRequire all granted\n</Directory>\n"
    );
    fs::write(&file, configuration).expect("write a configuration");
    // Its processes are another user's, who writes the truth.
    let open =
        |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("it takes a mode");
    let truth = lab.dir().join("app.jsonl");
    fs::write(&truth, "").expect("write the truth");
    open(&truth, 0o666);
    open(lab.dir(), 0o755);
    let options = ["/usr/sbin/apache2", "-D", "FOREGROUND", "-f"];
    Path::new(modules).join("mod_wsgi.so").exists().then(|| [words(&options), vec![file.into()]].concat())
}

fn pyinstaller(_: &Lab) -> Option<Vec<OsString>> {
    let program = env::var_os("TRACER_TEST_PROGRAM").map(PathBuf::from)?;
    program.exists().then(|| vec![program.into(), PORT.into()])
}

fn nuitka(_: &Lab) -> Option<Vec<OsString>> {
    let program = env::var_os("TRACER_TEST_NUITKA").map(PathBuf::from)?;
    program.exists().then(|| vec![program.into(), PORT.into()])
}

fn conda(_: &Lab) -> Option<Vec<OsString>> {
    let python = env::var_os("TRACER_TEST_CONDA").map(PathBuf::from)?;
    python.exists().then(|| vec![python.into(), "builds.py".into(), PORT.into()])
}
