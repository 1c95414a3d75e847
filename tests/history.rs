//! A history that `tracer serve` writes in the lab.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tracer::report::types::Report;

use crate::{
    lab::{LIMIT, Lab},
    recording::program,
    running::Running,
};

/// How often it is asked whether something is in it.
const POLL: Duration = Duration::from_millis(250);

/// A history in the lab's folder, whatever is mounted there.
pub struct History(PathBuf);

impl History {
    /// `name` is relative to the folder.
    pub fn new(lab: &Lab, name: &str) -> History {
        History(lab.dir().join(name))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What makes the daemon write it.
    pub fn configuration(&self) -> String {
        format!("history.path = '{}'\n", self.path().display())
    }

    /// What `tracer report` prints of it.
    pub fn print(&self, lab: &Lab, options: &[&str]) -> String {
        let mut command = Command::new(program());
        command.args(["report", "--history"]).arg(self.path()).args(options);
        Running::start(&mut command, lab.dir(), "report").finish(LIMIT).expect_code(0).stdout
    }

    /// What is in it now, as seen from inside of the lab or outside. Nothing while there is no file.
    pub fn read(&self, lab: &Lab, inside: bool) -> Report {
        let mut command = if inside { lab.command(program()) } else { Command::new(program()) };
        command.args(["report", "--format", "json", "--history"]).arg(self.path());
        let finished = Running::start(&mut command, lab.dir(), "report").finish(LIMIT);
        if finished.status.code() == Some(2) && finished.stderr.contains("can't read the history") {
            return Report::default();
        }
        serde_json::from_str(&finished.expect_code(0).stdout).expect("a report")
    }

    /// What is in it now of a server: others may run on this host.
    pub fn of(&self, lab: &Lab, server: &Running) -> Report {
        let mut report = self.read(lab, false);
        report.requests.retain(|request| request.pid == server.pid());
        report
    }

    /// The same once so many requests are in it.
    pub fn wait_for(&self, lab: &Lab, server: &Running, requests: usize) -> Report {
        let deadline = Instant::now() + LIMIT;
        loop {
            let report = self.of(lab, server);
            if report.requests.len() >= requests {
                return report;
            }
            assert!(Instant::now() < deadline, "{} of {requests} requests", report.requests.len());
            thread::sleep(POLL);
        }
    }
}
