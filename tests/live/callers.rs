//! Who makes each call, to the line.

use std::{collections::BTreeSet, sync::Mutex, thread};

use tests::{
    lab::{LIMIT, Lab},
    python::Python,
    recording::Recording,
};
use tracer::{
    python::lines::Lines,
    report::types::{Call, Caller},
};

use crate::application::{callers, lines, traced};

#[test]
fn calls_tell_the_lines_that_make_them() {
    let pythons = Python::all().into_iter().chain(Python::builds());
    for python in pythons.filter(|python| !python.has_sealed_tls()) {
        let lab = Lab::start();
        let (finished, report) = Recording::start(&lab, "callers", traced(callers(&python))).finish();
        let asked: Vec<&str> =
            finished.stderr.lines().filter_map(|line| line.strip_prefix("asked by ")).collect();
        let calls = report.requests.iter().flat_map(|request| &request.calls);
        let told: Vec<String> = calls.map(places).collect();
        eprintln!("{}: {} calls", python.name, told.len());
        assert!(told.len() >= 6, "{}: {told:?}", python.name);
        assert_eq!(told, asked, "{}", python.name);
    }
}

/// The application's own functions, as `callers.py` names them.
fn places(call: &Call) -> String {
    let own = call.stack.iter().filter(|caller| caller.application);
    let place = |caller: &Caller| {
        let name = caller.function.rsplit('.').next().unwrap_or_default();
        format!("{name}:{}", caller.line.map_or_else(|| "?".to_owned(), |line| line.to_string()))
    };
    own.map(place).collect::<Vec<_>>().join(" ")
}

/// Every instruction of the standard library, held against what CPython says itself: one Python of each version.
#[test]
fn lines_are_right_in_the_whole_standard_library() {
    let mut seen = BTreeSet::new();
    // 3.9 has its lines as 3.8 has.
    let bare = Python::bare().into_iter().filter(|python| python.minor() != 9);
    let pythons = Python::all().into_iter().chain(Python::builds()).chain(bare);
    let pythons: Vec<Python> = pythons.filter(|python| seen.insert(python.minor())).collect();
    let waiting = Mutex::new(pythons.iter());
    // The lock is let go before the work begins.
    let next = || waiting.lock().expect("no thread panics with it").next();
    let check = || {
        while let Some(python) = next() {
            let (instructions, wrong) = wrong_lines(python);
            eprintln!("{}: {wrong} of {instructions} lines wrong", python.name);
            assert!(instructions > 500_000, "{}: {instructions} instructions", python.name);
            assert_eq!(wrong, 0, "{}", python.name);
        }
    };
    // Two at a time: nothing is measured.
    thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(check))));
}

/// Instructions, and those of them whose line is another one than CPython's.
fn wrong_lines(python: &Python) -> (usize, usize) {
    let lab = Lab::start();
    let words = lines(python);
    let (program, arguments) = words.split_first().expect("a command has a program");
    let running = lab.start_command(lab.command(program).args(arguments), "lines");
    let finished = running.finish(LIMIT).expect_code(0);
    let (form, unit) = match python.minor() {
        ..=9 => (Lines::Steps, 2),
        10 => (Lines::Ranges, 1),
        _ => (Lines::Locations { first_instruction: 0 }, 2),
    };
    let (mut instructions, mut wrong) = (0, 0);
    for code in finished.stdout.lines() {
        let (first, table, runs): (u32, String, Vec<i64>) =
            serde_json::from_str(code).expect("a code object");
        let table = bytes(&table);
        let (runs, _) = runs.as_chunks();
        let expected = runs.iter().flat_map(|[line, count]| std::iter::repeat_n(*line, *count as usize));
        for (index, expected) in (0..).zip(expected) {
            let found = form.line(0, index * unit, first, &table).map_or(-1, i64::from);
            instructions += 1;
            wrong += usize::from(found != expected);
        }
    }
    (instructions, wrong)
}

fn bytes(hex: &str) -> Vec<u8> {
    let (digits, _) = hex.as_bytes().as_chunks::<2>();
    let byte = |digits: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    digits.iter().map(|digits| byte(digits).expect("two hex digits")).collect()
}
