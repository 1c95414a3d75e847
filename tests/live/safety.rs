//! Under full tracing, what switches stacks, forks, gets signals and ends in the middle of steps does what it does
//! without: a thousand times.

use std::time::Duration;

use tests::{lab::Lab, python::Python, recording::Recording};

use crate::application::{safety, traced};

/// Ten times what it takes without the tracer.
const LIMIT: Duration = Duration::from_secs(400);

#[test]
fn a_thousand_programs_do_the_same_as_without_the_tracer() {
    let pythons = Python::all();
    let times = 1_000usize.div_ceil(pythons.len()).to_string();
    for python in pythons {
        let lab = Lab::start();
        let alone = lab.run(lab.command(python.program("python")).args(["safety.py", "1"]), "alone");
        let alone = alone.expect_code(0).stdout.replacen("1 times", &format!("{times} times"), 1);
        let recording = Recording::start(&lab, "safety", traced(safety(&python, &times)));
        let (finished, report) = recording.finish_within(LIMIT);
        eprintln!("{}: {}", python.name, finished.stdout);
        // The report comes after what the program printed.
        assert!(finished.stdout.starts_with(&alone), "{}: alone it printed\n{alone}", python.name);
        // It was traced, and not only watched from afar.
        let loaded = report.processes.iter().filter(|process| process.python.is_some()).count();
        assert!(loaded > 1, "{loaded} processes of Python were found");
    }
}
