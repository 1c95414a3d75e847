//! The applications of `tests/apps`, as commands.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use tests::{lab::PORT, python::Python};

/// FastAPI that streams to its caller, one process.
pub fn chat(python: &Python) -> Vec<OsString> {
    uvicorn(python, "chat:app", "asyncio")
}

/// FastAPI whose calls share a connection.
pub fn multiplexed(python: &Python) -> Vec<OsString> {
    uvicorn(python, "multiplexed:app", "asyncio")
}

/// FastAPI with four routes, each with another trouble.
pub fn demo(python: &Python) -> Vec<OsString> {
    uvicorn(python, "demo:app", "asyncio")
}

/// FastAPI that makes spans of its own.
pub fn instrumented(python: &Python) -> Vec<OsString> {
    uvicorn(python, "instrumented:app", "asyncio")
}

/// Flask on gunicorn; `workers` are its options for them.
pub fn flask(python: &Python, workers: &[&str]) -> Vec<OsString> {
    gunicorn(python, workers, "flask_app:app")
}

/// Flask whose routes wait for one thing each.
pub fn waits(python: &Python) -> Vec<OsString> {
    gunicorn(python, &["--workers", "1"], "waits:app")
}

/// A run that sleeps, and is woken in vain through that FIFO.
pub fn in_vain(python: &Python, fifo: &Path) -> Vec<OsString> {
    vec![python.program("python").into(), "in_vain.py".into(), "sleep".into(), fifo.into()]
}

/// A process that accepts, and others that serve what it accepted.
pub fn handoff(python: &Python) -> Vec<OsString> {
    words(python.program("python"), ["handoff.py", PORT].iter())
}

/// A run without a server.
pub fn script(python: &Python, exit_code: &str) -> Vec<OsString> {
    words(python.program("python"), ["script.py", exit_code].iter())
}

/// Programs that do, so many times, what a tracer may break.
pub fn safety(python: &Python, times: &str) -> Vec<OsString> {
    words(python.program("python"), ["safety.py", times].iter())
}

/// A run that has secrets, one of them among its arguments.
pub fn secrets(python: &Python, options: &[&str]) -> Vec<OsString> {
    words(python.program("python"), ["private.py", "--api-key", "SECRET-7f3a"].iter().chain(options))
}

/// A run of calls that go wrong.
pub fn attempts(python: &Python) -> Vec<OsString> {
    words(python.program("python"), ["attempts.py"].iter())
}

/// A run of calls by clients with TLS of their own.
pub fn sealed(python: &Python, certificate: &Path) -> Vec<OsString> {
    vec![python.program("python").into(), "sealed.py".into(), certificate.into()]
}

/// FastAPI with a route for each trouble.
pub fn troubles(python: &Python) -> Vec<OsString> {
    uvicorn(python, "troubles:app", "asyncio")
}

/// A run that makes a few calls with each of these clients of vendors, or with all.
pub fn sdks(python: &Python, clients: &[&str]) -> Vec<OsString> {
    words(python.program("python"), ["sdks.py"].iter().chain(clients))
}

/// A run that asks the model server on a port in each way.
pub fn local_models(python: &Python, port: &str) -> Vec<OsString> {
    let mut command = python.command("python");
    command.extend(["local_models.py".into(), port.into()]);
    command
}

/// A run that calls the vendor from several places.
pub fn callers(python: &Python) -> Vec<OsString> {
    let mut command = python.command("python");
    command.push("callers.py".into());
    command
}

/// The lines of the standard library's instructions.
pub fn lines(python: &Python) -> Vec<OsString> {
    let mut command = python.command("python");
    command.push("lines.py".into());
    command
}

/// A run that burns so much CPU in two functions.
pub fn functions(python: &Python, ms: u64) -> Vec<OsString> {
    let mut command = python.command("python");
    command.extend(["functions.py".into(), ms.to_string().into()]);
    command
}

/// A run that burns so much CPU in functions which call each other so deep.
pub fn deep(python: &Python, depth: u32, ms: u64) -> Vec<OsString> {
    let mut command = python.command("python");
    command.extend(["deep.py".into(), depth.to_string().into(), ms.to_string().into()]);
    command
}

/// A run that calls functions so often, at once or when a file says so.
pub fn counted(python: &Python, go: Option<&Path>) -> Vec<OsString> {
    let mut command = python.command("python");
    command.push("counted.py".into());
    command.extend(go.map(OsString::from));
    command
}

/// A run of four functions, three of which call native code, each for so long.
pub fn native(python: &Python, ms: u64) -> Vec<OsString> {
    let mut command = python.command("python");
    command.extend(["native.py".into(), ms.to_string().into()]);
    command
}

/// A run that collects garbage and imports modules, most of so much CPU time.
pub fn sampled(python: &Python, ms: u64) -> Vec<OsString> {
    let mut command = python.command("python");
    command.extend(["-S".into(), "sampled.py".into(), ms.to_string().into()]);
    command
}

/// FastAPI with two routes whose functions burn known CPU.
pub fn changed(python: &Python) -> Vec<OsString> {
    uvicorn(python, "changed:app", "asyncio")
}

/// What lets `tracer record` start the command.
pub fn traced(command: Vec<OsString>) -> Vec<OsString> {
    [OsString::from("--")].into_iter().chain(command).collect()
}

/// FastAPI whose routes wait for one thing each.
pub fn awaited(python: &Python) -> Vec<OsString> {
    let mut command = python.command("python");
    command.push("awaited.py".into());
    command
}

pub fn waits_async(python: &Python, event_loop: &str) -> Vec<OsString> {
    uvicorn(python, "waits_async:app", event_loop)
}

fn gunicorn(python: &Python, workers: &[&str], application: &str) -> Vec<OsString> {
    let address = format!("127.0.0.1:{PORT}");
    let options = ["--bind", &address, "--log-level", "warning", application];
    words(python.program("gunicorn"), workers.iter().chain(&options))
}

/// `event_loop` is asyncio or uvloop.
fn uvicorn(python: &Python, application: &str, event_loop: &str) -> Vec<OsString> {
    let options = ["--port", PORT, "--loop", event_loop, "--no-access-log", "--log-level", "warning"];
    let arguments = ["-m", "uvicorn", application].into_iter().chain(options).map(OsString::from);
    python.command("python").into_iter().chain(arguments).collect()
}

fn words<'a>(program: PathBuf, arguments: impl Iterator<Item = &'a &'a str>) -> Vec<OsString> {
    [program.into_os_string()]
        .into_iter()
        .chain(arguments.map(|argument| OsString::from(*argument)))
        .collect()
}
