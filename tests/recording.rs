//! `tracer record` in the lab, and the report it leaves.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tracer::report::types::Report;

use crate::{
    lab::{LIMIT, Lab},
    running::{Finished, Running},
};

/// What `tracer record` says on stderr once all probes are attached.
const READY: &str = "recording";

pub struct Recording<'lab> {
    lab: &'lab Lab,
    capture: PathBuf,
    process: Running,
}

impl<'lab> Recording<'lab> {
    /// Records into a capture, with further options and, after `--`, perhaps a command. `name` names the files.
    pub fn start(lab: &'lab Lab, name: &str, options: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let capture = lab.dir().join(format!("{name}.capture"));
        let mut command = lab.command(program());
        command.args(["record", "-o"]).arg(&capture).args(options);
        let process = lab.start_command(&mut command, name);
        Recording { lab, capture, process }
    }

    /// Waits until the probes are attached. Where there is a command, it starts only then.
    pub fn wait_ready(&mut self) {
        self.process.wait_for_stderr(READY, LIMIT);
    }

    /// The file that it writes.
    pub fn capture(&self) -> &Path {
        &self.capture
    }

    pub fn process(&self) -> &Running {
        &self.process
    }

    /// Ends it by Ctrl-C and reads its report.
    pub fn interrupt(self) -> Report {
        self.process.interrupt();
        self.finish().1
    }

    /// Waits until it ends by itself, and reads its report.
    pub fn finish(self) -> (Finished, Report) {
        self.finish_within(LIMIT)
    }

    pub fn finish_within(self, limit: Duration) -> (Finished, Report) {
        let finished = self.process.finish(limit).expect_code(0);
        (finished, report(self.lab, &self.capture))
    }

    /// Ends it with SIGKILL.
    pub fn kill(self) {
        self.process.signal(libc::SIGKILL);
        self.process.finish(LIMIT);
    }
}

/// The report of a capture.
pub fn report(lab: &Lab, capture: &Path) -> Report {
    serde_json::from_str(&render(lab, capture, &["--format", "json"]))
        .unwrap_or_else(|error| panic!("the report is not of schema 1: {error}"))
}

/// What `tracer report` prints of a capture.
pub fn render(lab: &Lab, capture: &Path, options: &[&str]) -> String {
    let mut command = Command::new(program());
    command.arg("report").arg(capture).args(options);
    Running::start(&mut command, lab.dir(), "report").finish(LIMIT).expect_code(0).stdout
}

/// The same where it is no text.
pub fn render_bytes(lab: &Lab, capture: &Path, options: &[&str]) -> Vec<u8> {
    let file = lab.dir().join("rendered");
    let to_file = ["--output", file.to_str().expect("a path that is text")];
    render(lab, capture, &[options, &to_file].concat());
    fs::read(file).expect("it was written")
}

/// The program under test.
pub fn program() -> PathBuf {
    env::var_os("TRACER")
        .expect("TRACER names no program: run the live tests by `cargo xtask test live`")
        .into()
}
