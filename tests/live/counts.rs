//! How often functions were entered, against how often the application says that it called them.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::fs::FileExt as _,
};

use tests::{
    counted::{Truth, check, counts, truths},
    lab::{LIMIT, Lab},
    python::{self, Python},
    recording::program,
    running::Running,
};
use tracer::{
    python::{functions, process},
    report::counts::End,
};

use crate::application::counted;

const PATTERN: &str = "apps/counted.py:*";

#[test]
fn functions_are_counted_exactly_until_the_time_is_up() {
    let mut n_pythons = 0;
    for python in Python::all().into_iter().chain(Python::builds()).chain(Python::debian_11()) {
        let lab = Lab::start();
        let go = lab.dir().join("go");
        let mut application = start(&lab, &counted(&python, Some(&go)));
        application.wait_for_stdout("ready", LIMIT);
        let pid = application.pid();
        if !has_probes(pid) {
            eprintln!("{}: it has no function probes", python.name);
            continue;
        }
        n_pythons += 1;
        let options = ["--functions", PATTERN, "--functions-for", "3", "-p", &pid.to_string()];
        let mut record = start_record(&lab, &options.map(OsString::from));
        record.wait_for_stderr("tracer: recording", LIMIT);
        assert_eq!(semaphores(pid), [1], "{}", python.name);
        fs::write(&go, "1\n").expect("write a file");
        application.wait_for_stdout("done", LIMIT);
        record.wait_for_stderr("counting functions has ended", LIMIT);
        assert_eq!(semaphores(pid), [0], "{}", python.name);
        fs::write(&go, "1\n2\n").expect("write a file");
        let application = application.finish(LIMIT).expect_code(0);
        record.interrupt();
        let record = record.finish(LIMIT).expect_code(0);
        assert!(record.stderr.contains("costs about 1 µs for each function"), "{}", record.stderr);
        let counts = counts(&record.stdout);
        assert_eq!((counts.end, counts.lost), (End::Time, 0), "{}", python.name);
        let (first, second) = application.stdout.split_once("done\n").expect("it said so");
        check((&python.name, python.minor()), &counts, &truths(first), 1);
        let uncounted = truths(second);
        assert!(uncounted.iter().all(|truth| counts.functions.iter().all(|of| of.pid != truth.pid)));
    }
    assert!(n_pythons > 0, "no Python has function probes; Debian's 3.11 has");
}

/// Also of the calls that it makes before anybody could have looked at the process.
#[test]
fn a_command_is_counted_from_its_first_function_on() {
    let python = Python::system();
    let lab = Lab::start();
    let command = [OsString::from("--functions"), PATTERN.into(), "--".into()];
    let record = start_record(&lab, &[&command[..], &counted(&python, None)].concat());
    let record = record.finish(LIMIT).expect_code(0);
    let counts = counts(&record.stdout);
    assert_eq!(counts.end, End::Recording);
    let module = counts.functions.iter().find(|function| function.function == "<module>");
    assert_eq!(module.map(|module| module.count), Some(1));
    // Each child says it of itself.
    let (children, parent): (Vec<_>, Vec<_>) =
        truths(&record.stdout).into_iter().partition(Truth::is_of_child);
    assert_eq!(children.len(), 2);
    check((&python.name, python.minor()), &counts, &children, 1);
    check((&python.name, python.minor()), &counts, &parent, 2);
}

#[test]
fn a_python_without_function_probes_is_refused_before_it_runs() {
    let Some(python) = python::pyenv("3.12") else {
        eprintln!("there is no Python 3.12 under pyenv: what is said of one is not tested");
        return;
    };
    let lab = Lab::start();
    let command = |shell: bool| {
        let run = [python.clone().into_os_string(), "-c".into(), "print('it ran')".into()];
        let mut command: Vec<OsString> = ["--functions", "main", "--"].map(OsString::from).into();
        if shell {
            command.extend(["sh", "-c", r#""$@"; true"#, "sh"].map(OsString::from));
        }
        command.into_iter().chain(run).collect::<Vec<_>>()
    };
    let refused = start_record(&lab, &command(false)).finish(LIMIT).expect_code(2);
    assert_eq!(refused.stdout, "");
    let late = start_record(&lab, &command(true)).finish(LIMIT).expect_code(2);
    assert!(
        late.stdout.contains("it ran") && late.stdout.contains(r#""counted_ns": null"#),
        "{}",
        late.stdout
    );
    for finished in [refused, late] {
        for said in ["CPython 3.12", "has no function probes", "hint: record without --functions"] {
            assert!(finished.stderr.contains(said), "{said} is not in:\n{}", finished.stderr);
        }
    }
}

fn start(lab: &Lab, words: &[OsString]) -> Running {
    let mut command = lab.command(&words[0]);
    command.args(&words[1..]);
    lab.start_command(&mut command, "application")
}

fn start_record(lab: &Lab, options: &[OsString]) -> Running {
    let mut command = lab.command(program());
    command.args(["record", "--format", "json"]).args(options);
    lab.start_command(&mut command, "record")
}

fn has_probes(pid: u32) -> bool {
    let process = process::inspect(pid).expect("inspect it").expect("it runs Python");
    process.binaries.iter().any(|mapped| functions::find(&mapped.file).is_ok())
}

/// What the semaphores of the function probes hold that are used.
fn semaphores(pid: u32) -> Vec<u16> {
    let process = process::inspect(pid).expect("inspect it").expect("it runs Python");
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("read its mappings");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("open its memory");
    let mut found = Vec::new();
    for mapped in &process.binaries {
        for point in functions::find(&mapped.file).map_or_else(|_| Vec::new(), |probes| probes.points) {
            let address = maps.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                let (range, rights, offset) = (words.next()?, words.next()?, words.next()?);
                let (start, end) = range.split_once('-')?;
                let number = |text| u64::from_str_radix(text, 16).ok();
                let within = point.point.semaphore.checked_sub(number(offset)?)?;
                let address = number(start)? + within;
                (line.ends_with(&mapped.path) && rights.starts_with("rw") && address < number(end)?)
                    .then_some(address)
            });
            let mut value = [0; 2];
            memory.read_exact_at(&mut value, address.expect("it is mapped")).expect("read it");
            found.push(u16::from_le_bytes(value));
        }
    }
    found
}
