//! `tracer serve` in the lab.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    lab::{LIMIT, Lab},
    recording::program,
    running::{Finished, Running},
};

/// What `deploy/tracer.service` leaves it, in the words of setpriv.
const CAPABILITIES: &str = "-all,+bpf,+perfmon,+sys_ptrace,+dac_read_search,+checkpoint_restore";

/// The time in which the service manager wants to hear of it, in microseconds.
const WATCHDOG_US: &str = "400000";

pub struct Serving {
    process: Running,
    manager: UnixDatagram,
}

impl Serving {
    /// Starts it with a configuration and the capabilities of its unit, and waits until it says that it is ready. `name` names
    /// the files.
    pub fn start(lab: &Lab, name: &str, configuration: &str) -> Serving {
        let file = lab.dir().join(format!("{name}.toml"));
        fs::write(&file, configuration).expect("write a configuration");
        let socket: PathBuf = lab.dir().join(format!("{name}.notify"));
        let manager = UnixDatagram::bind(&socket).expect("make a socket");
        manager.set_read_timeout(Some(LIMIT)).expect("it takes a timeout");
        let mut command = lab.command("setpriv");
        command
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", WATCHDOG_US)
            .args(["--bounding-set", CAPABILITIES, "--no-new-privs"])
            .arg(program())
            .args(["serve", "--config"])
            .arg(&file);
        let process = lab.start_command(&mut command, name);
        let mut serving = Serving { process, manager };
        serving.process.wait_for_stderr("serving", LIMIT);
        assert_eq!(serving.told(), "READY=1");
        serving
    }

    pub fn process(&self) -> &Running {
        &self.process
    }

    pub fn wait_for_stderr(&mut self, text: &str) {
        self.process.wait_for_stderr(text, LIMIT);
    }

    /// What it tells the service manager next.
    pub fn told(&self) -> String {
        let mut message = [0; 256];
        let length = self.manager.recv(&mut message).expect("it tells something");
        String::from_utf8_lossy(&message[..length]).trim().to_owned()
    }

    /// Ends it by a signal; gives what is left of it, and how long that took.
    pub fn end(self, signal: i32) -> (Finished, Duration) {
        let start = Instant::now();
        self.process.signal(signal);
        let finished = self.process.finish(LIMIT);
        (finished, start.elapsed())
    }
}
