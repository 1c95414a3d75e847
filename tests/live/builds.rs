//! One application under whatever runs Python: shims, servers that embed it, and programs that are made of it.

use std::{
    env,
    ffi::OsString,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tests::{
    compare::Comparison,
    lab::{Lab, PORT, folder},
    python,
    recording::Recording,
};

use crate::application::traced;

/// Requests at once while it warms up.
const AT_ONCE: usize = 4;

#[test]
fn python_builds() {
    let ways: [(&str, Way); 4] = [
        ("a shim of pyenv", shim),
        ("uWSGI", uwsgi),
        ("mod_wsgi, embedded", mod_wsgi),
        ("one file by PyInstaller", pyinstaller),
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
        let report = recording.interrupt();
        // Only the shim's Python is built with none of these points; and what is loaded with the first request is attached a
        // moment later, so that the plaintext of its call may not be seen.
        let known = ["--with-dtrace", "the plaintext of a call"];
        let blind = report.capture.unknown.iter();
        let blind = blind.filter(|unknown| !known.iter().any(|reason| unknown.reason.contains(reason)));
        let is_bundled = name.contains("PyInstaller");
        // What the application never imports is not put into one file.
        let blind: Vec<_> =
            blind.filter(|unknown| !is_bundled || unknown.bucket != "wait.executor").collect();
        assert!(blind.is_empty(), "{name}: {blind:?}");
        Comparison::new(name, &report, &lab.truth()).check_calls_but(AT_ONCE);
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
