//! Exports, opened in the tools they are for, which `cargo xtask test tools` installs: what those read is what the report says.

mod callgrind;
mod firefox;
mod perfetto;
mod pprof;
mod speedscope;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tests::binary;
use tracer::report::types::Report;

/// A report, and the folder for what is made of it.
struct Exports {
    capture: PathBuf,
    folder: TempDir,
    report: Report,
}

impl Exports {
    /// Of a capture with several routes, calls and functions.
    fn new() -> Exports {
        let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/demo.trace");
        let json = run(tracer(&capture, "json"));
        let report: Report = serde_json::from_str(&json).expect("the report is JSON");
        assert!(report.requests.len() > 5, "{} requests", report.requests.len());
        Exports { capture, folder: tempfile::tempdir().expect("a folder"), report }
    }

    /// The file of a format.
    fn file(&self, format: &str) -> PathBuf {
        let file = self.folder.path().join(format);
        run(tracer(&self.capture, format).arg("-o").arg(&file));
        file
    }

    fn wall_ns(&self) -> u64 {
        self.report.requests.iter().map(|request| request.wall_ns).sum()
    }
}

fn tracer(capture: &Path, format: &str) -> Command {
    let mut tracer = binary::command(&["report", "--format", format]);
    tracer.arg(capture);
    tracer
}

/// A program of the environment that the tools are installed in.
fn tool(name: &str) -> Command {
    Command::new(folder("TRACER_TEST_TOOLS").join("bin").join(name))
}

/// A file of a package of npm.
fn package(path: &str) -> PathBuf {
    folder("TRACER_TEST_PACKAGES").join("node_modules").join(path)
}

fn folder(variable: &str) -> PathBuf {
    let folder = env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} names no folder: run these tests by `cargo xtask test tools`"));
    PathBuf::from(folder)
}

/// What a command that succeeds prints.
fn run(mut command: impl std::borrow::BorrowMut<Command>) -> String {
    let output = command.borrow_mut().output().unwrap_or_else(|error| panic!("{error}: run a tool"));
    assert!(output.status.success(), "{}", binary::stderr(&output));
    binary::stdout(&output)
}

fn json<T: DeserializeOwned>(command: impl std::borrow::BorrowMut<Command>) -> T {
    let text = run(command);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
