//! A process that a test started: its output goes to files, it has a time limit, and it does not outlive the test.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(20);

pub struct Running {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// What is left of it.
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Running {
    /// Starts it as the leader of a process group; `name` names its output files in `dir`.
    pub fn start(command: &mut Command, dir: &Path, name: &str) -> Running {
        let stdout = dir.join(format!("{name}.stdout"));
        let stderr = dir.join(format!("{name}.stderr"));
        let create =
            |path: &Path| File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let child = command
            .process_group(0)
            .stdout(create(&stdout))
            .stderr(create(&stderr))
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        Running { name: name.to_string(), child, stdout, stderr }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: i32) {
        kill(self.child.id() as i32, signal);
    }

    /// What Ctrl-C on a terminal does: SIGINT for the whole process group.
    pub fn interrupt(&self) {
        kill(-(self.child.id() as i32), libc::SIGINT);
    }

    /// Waits until its stderr contains a text.
    pub fn wait_for_stderr(&mut self, text: &str, limit: Duration) {
        self.wait_for(&self.stderr.clone(), text, limit);
    }

    /// The same of its stdout.
    pub fn wait_for_stdout(&mut self, text: &str, limit: Duration) {
        self.wait_for(&self.stdout.clone(), text, limit);
    }

    fn wait_for(&mut self, output: &Path, text: &str, limit: Duration) {
        let start = Instant::now();
        while !read(output).contains(text) {
            let ended = self.child.try_wait().expect("wait for a child");
            if ended.is_some() || start.elapsed() > limit {
                panic!("{} has not said `{text}` (ended: {ended:?}):\n{}", self.name, read(&self.stderr));
            }
            thread::sleep(POLL);
        }
    }

    /// Waits for its end.
    pub fn finish(mut self, limit: Duration) -> Finished {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait for a child") {
                return Finished { status, stdout: read(&self.stdout), stderr: read(&self.stderr) };
            }
            if start.elapsed() > limit {
                panic!("{} still runs after {limit:?}; its stderr:\n{}", self.name, read(&self.stderr));
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Also what it left behind in its group.
        kill(-(self.child.id() as i32), libc::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Finished {
    /// Panics with its output unless it ended with this exit code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Finished {
        assert_eq!(
            self.status.code(),
            Some(code),
            "{}\nstdout:\n{}\nstderr:\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }
}

fn kill(pid: i32, signal: i32) {
    // SAFETY: kill takes two numbers; a process that has ended is an error that nobody needs.
    unsafe { libc::kill(pid, signal) };
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
