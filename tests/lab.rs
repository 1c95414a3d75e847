//! The lab of `tests/lab`: a vendor and a resolver on loopback, in namespaces of their own.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    python::Python,
    running::{Finished, Running},
    truth::Truth,
};

/// More than any of the applications takes to come up on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);
/// More than a call in the background takes, with what goes before it.
const LONGEST_CALL: Duration = Duration::from_secs(1);
pub const PORT: &str = "8000";

pub struct Lab {
    dir: TempDir,
    process: Child,
}

impl Lab {
    /// Panics, with what is missing, where it can't be started.
    pub fn start() -> Lab {
        Lab::start_with(&[])
    }

    /// The same with options of `lab.py`.
    pub fn start_with(options: &[&str]) -> Lab {
        // SAFETY: geteuid has no preconditions and can't fail.
        let is_root = unsafe { libc::geteuid() == 0 };
        assert!(is_root, "the live tests need root: run `sudo -E env PATH=\"$PATH\" cargo xtask test live`");
        let dir = tempfile::tempdir().expect("make a directory");
        let mut process = Command::new(Python::system().program("python"))
            .arg(folder("lab").join("lab.py"))
            .args(options)
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the lab");
        let mut ready = String::new();
        let stdout = process.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut ready).expect("read the lab's stdout");
        assert_eq!(ready, "ready\n", "the lab did not come up: see its stderr above");
        Lab { dir, process }
    }

    /// For files of the test; gone with the lab, unless the test fails.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Leaves its files behind, to be looked at.
    pub fn keep(&mut self) {
        self.dir.disable_cleanup(true);
        eprintln!("what was recorded stays in {}", self.dir().display());
    }

    /// A command inside the lab, in the folder of the applications.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let certificates = self.dir().join("ca.pem");
        let mut command = Command::new("nsenter");
        command
            .args(["--net", "--mount", "--target", &self.process.id().to_string(), "--", "env"])
            .arg(format!("--chdir={}", folder("apps").display()))
            .arg(program.as_ref())
            .env("SSL_CERT_FILE", &certificates)
            .env("REQUESTS_CA_BUNDLE", &certificates)
            .env("AWS_CA_BUNDLE", &certificates)
            .env("OPENAI_API_KEY", "sk-lab")
            .env("TRUTH_FILE", self.dir().join("app.jsonl"));
        command
    }

    /// Starts a command inside, which ends with the test at the latest.
    pub fn start_command(&self, command: &mut Command, name: &str) -> Running {
        Running::start(command, self.dir(), name)
    }

    /// Runs a command inside to its end.
    pub fn run(&self, command: &mut Command, name: &str) -> Finished {
        self.start_command(command, name).finish(LIMIT)
    }

    /// Sends requests by `tests/apps/drive.py`, and panics unless all are answered by 200.
    pub fn drive(&self, options: &[&str]) {
        let mut drive = self.command(Python::system().program("python"));
        drive
            .args(["drive.py", "--port", PORT, "--truth"])
            .arg(self.dir().join("client.jsonl"))
            .args(options);
        self.run(&mut drive, "drive").expect_code(0);
    }

    /// Until no call is answered any more, of those that tasks make after their request was answered.
    pub fn wait_for_background(&self) {
        let count = || self.truth().exchanges.len();
        let mut before = count();
        loop {
            thread::sleep(LONGEST_CALL);
            let now = count();
            if now == before {
                return;
            }
            before = now;
        }
    }

    /// Everything that was logged up to now.
    pub fn truth(&self) -> Truth {
        Truth::read(self.dir())
    }

    /// Starts the logs of application and client anew.
    pub fn forget(&self) {
        for log in ["app.jsonl", "client.jsonl"] {
            let _ = fs::write(self.dir().join(log), "");
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The end of its standard input is the end of the lab.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        if thread::panicking() {
            self.keep();
        }
    }
}

/// `tests/NAME`.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
