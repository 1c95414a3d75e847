//! Inspection of real processes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use super::binary::inspect as inspect_binary;
use super::code::Codes;
use super::discover::scan;
use super::library::Library;
use super::process::{Expectation, ProcessError, expects_python, inspect};
use crate::event::{Body, Event};

/// A process that is ended with the test.
struct Running(Child);

impl Running {
    /// Runs a command and waits until it has written a byte.
    fn start(command: &mut Command) -> Option<Running> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut ready = [0];
        let stdout = child.stdout.as_mut()?.read_exact(&mut ready);
        let running = Running(child);
        stdout.ok().map(|()| running)
    }

    fn python(interpreter: &str) -> Option<Running> {
        let program = "import sys; sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()";
        let running =
            Running::start(Command::new(interpreter).args(["-c", program, "--token", "hidden-value"]));
        if running.is_none() {
            eprintln!("skipped {interpreter}: it is not installed");
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn inspects_an_interpreter_with_a_library() {
    inspects_a_python_process("python3");
}

#[test]
fn inspects_a_static_interpreter() {
    inspects_a_python_process("/usr/bin/python3");
}

fn inspects_a_python_process(interpreter: &str) {
    let Some(running) = Running::python(interpreter) else { return };
    let tgid = running.0.id();
    let process = inspect(tgid).expect("an own child").expect("it runs Python");
    assert_eq!(process.tgid, tgid);
    assert!(process.cmdline.ends_with("--token ***"), "{}", process.cmdline);
    let age_ns = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos()
        - u128::from(process.start_unix_ns);
    assert!(age_ns < 10_000_000_000, "started {age_ns} ns ago");

    let interpreter = process.binaries.first().expect("an interpreter");
    let binary = inspect_binary(&interpreter.file).expect("it holds CPython");
    assert_eq!(binary.identity, interpreter.identity);
    let facts = process.facts(&binary);
    assert!(facts.python.is_some());
    let library = process.library(Library::Queue, &binary).expect("it has a library of _queue");
    assert!(Library::Queue.points(&library, binary.object_head).is_ok());
    // The runtime lies in memory that the interpreter's file or its zeroed data take up.
    let (start, end) = facts.runtime.expect("3.7 or later");
    let maps = std::fs::read_to_string(format!("/proc/{tgid}/maps")).expect("maps of an own child");
    let is_mapped = |address: u64| {
        maps.lines().any(|line| {
            let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
            range.is_some_and(|(from, to)| {
                let hex = |text| u64::from_str_radix(text, 16).unwrap_or(0);
                (hex(from)..hex(to)).contains(&address) && line.contains(" rw-p ")
            })
        })
    };
    assert!(is_mapped(start) && is_mapped(end - 1), "{start:#x}..{end:#x} in\n{maps}");
}

fn codes_of(tgid: u32) -> Codes {
    let process = inspect(tgid).expect("an own child").expect("it runs Python");
    let binary = inspect_binary(&process.binaries[0].file).expect("it holds CPython");
    let (_, layout) = process.layouts(&binary).expect("a known version");
    let mut codes = Codes::default();
    codes.found(tgid, layout);
    codes
}

#[test]
fn names_the_code_of_a_process() {
    for interpreter in ["python3", "/usr/bin/python3"] {
        let program = "import json, os, sys
os.write(1, b'x%d %d\\n' % (id(json.dumps.__code__), id(json)))
sys.stdin.read()";
        let Some(mut running) = Running::start(Command::new(interpreter).args(["-c", program])) else {
            eprintln!("skipped {interpreter}: it is not installed");
            continue;
        };
        let mut line = String::new();
        let stdout = running.0.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("addresses");
        let addresses: Vec<u64> = line.split(' ').map(|id| id.trim().parse().expect("a number")).collect();
        let tgid = running.0.id();
        let mut codes = codes_of(tgid);
        // An instruction comes first; at 0 there is none.
        let frames: Vec<u64> = [0].into_iter().chain(addresses.iter().copied()).collect();
        let sample = |ts_ns| Event { ts_ns, tgid, tid: tgid, body: Body::Sample { frames: frames.clone() } };
        let mut first = sample(1);
        let told = codes.name(&mut first);
        let [Event { body: Body::Code { address, function }, .. }] = told.as_slice() else {
            panic!("{interpreter}: {told:?}");
        };
        assert_eq!((*address, function.name.as_str()), (addresses[0], "dumps"), "{interpreter}");
        assert!(function.file.ends_with("json/__init__.py") && function.line > 100, "{function:?}");
        // What is no code is left out, and what was told is not told again.
        assert_eq!(first.body, Body::Sample { frames: vec![addresses[0]] });
        assert!(codes.name(&mut sample(2)).is_empty());
    }
}

#[test]
fn knows_that_another_code_object_has_the_address_of_one_that_is_gone() {
    // The second has the place of the first, which is gone.
    let program = "import os, sys
old = compile('1', 'old.py', 'exec')
place = id(old)
os.write(1, b'x%d\\n' % place)
sys.stdin.readline()
del old
kept = []
while not kept or id(kept[-1]) != place:
    kept.append(compile('2', 'new.py', 'exec'))
os.write(1, b'\\n')
sys.stdin.read()";
    for interpreter in ["python3", "/usr/bin/python3"] {
        let Some(mut running) = Running::start(Command::new(interpreter).args(["-c", program])) else {
            eprintln!("skipped {interpreter}: it is not installed");
            continue;
        };
        let mut stdout = BufReader::new(running.0.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("an address");
        let address: u64 = line.trim().parse().expect("a number");
        let tgid = running.0.id();
        let mut codes = codes_of(tgid);
        let mut named = |ts_ns| {
            let mut sample = Event { ts_ns, tgid, tid: tgid, body: Body::Waiting { frames: vec![address] } };
            let told = codes.name(&mut sample);
            told.into_iter().find_map(|event| match event.body {
                Body::Code { function, .. } => Some(function.file),
                _ => None,
            })
        };
        assert_eq!(named(1).as_deref(), Some("old.py"), "{interpreter}");
        assert_eq!(named(2), None, "{interpreter}");
        let stdin = running.0.stdin.as_mut().expect("a pipe");
        stdin.write_all(b"\n").expect("it reads");
        stdout.read_line(&mut line).expect("a line");
        assert_eq!(named(3).as_deref(), Some("new.py"), "{interpreter}");
    }
}

#[test]
fn finds_python_among_all_processes() {
    let Some(running) = Running::python("python3") else { return };
    let found = scan();
    assert!(found.contains(&running.0.id()), "{} in {found:?}", running.0.id());
    assert!(!found.contains(&std::process::id()));
    assert_ne!(expects_python(running.0.id()).ok(), Some(Expectation::Not));
}

#[test]
fn finds_no_python_in_another_process() {
    let running = Running::start(Command::new("sh").args(["-c", "echo x; read _"])).expect("sh");
    assert!(inspect(running.0.id()).expect("an own child").is_none());
    assert_eq!(expects_python(running.0.id()).ok(), Some(Expectation::Not));
}

#[test]
fn says_that_a_process_is_gone() {
    let mut child = Command::new("true").spawn().expect("true");
    let tgid = child.id();
    child.wait().expect("it ends");
    assert!(matches!(inspect(tgid), Err(ProcessError::Gone { .. })));
    assert!(matches!(expects_python(tgid), Err(ProcessError::Gone { .. })));
}

#[test]
fn passes_over_a_zombie() {
    let mut child = Command::new("true").spawn().expect("true");
    // It stays a zombie until it is waited for.
    let stat = format!("/proc/{}/stat", child.id());
    while !std::fs::read_to_string(&stat).expect("a zombie has an entry").contains(") Z ") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(inspect(child.id()).expect("a zombie is no error").is_none());
    child.wait().expect("it ended");
}
