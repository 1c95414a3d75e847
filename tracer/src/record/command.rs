//! The command that is traced: held until the tracer is ready for it.

use std::{
    ffi::{OsStr, OsString},
    io::{PipeReader, Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    process::{ExitStatus, Stdio},
};

use anyhow::{Context as _, anyhow};

pub struct Command {
    child: tokio::process::Child,
}

impl Command {
    /// Starts a program. `trace` is called with its process id before its first instruction runs.
    pub fn start(
        program: &OsStr,
        arguments: &[OsString],
        trace: impl FnOnce(u32) -> anyhow::Result<()>,
    ) -> anyhow::Result<Command> {
        let (mut told, tell) = std::io::pipe().context("can't make a pipe to the command")?;
        let (wait, mut go) = std::io::pipe().context("can't make a pipe to the command")?;
        let (tell_fd, wait_fd, go_fd) = (tell.as_raw_fd(), wait.as_raw_fd(), go.as_raw_fd());
        let mut command = std::process::Command::new(program);
        command.args(arguments).stdin(Stdio::inherit());
        // SAFETY: only getpid, write, read and close are called between fork and exec, all of them safe there;
        // the descriptors are open, because the pipes outlive the start below.
        unsafe {
            command.pre_exec(move || hold(tell_fd, wait_fd, go_fd));
        }
        let mut command = tokio::process::Command::from(command);
        // Starting returns only when the program runs, so it waits in a thread of its own for the go.
        let runtime = tokio::runtime::Handle::current();
        let started = std::thread::spawn(move || {
            let _guard = runtime.enter();
            let child = command.spawn();
            drop((tell, wait));
            child
        });
        let traced = process_id(&mut told).and_then(|tgid| trace(tgid).map(|()| tgid));
        let may_run = traced.is_ok();
        go.write_all(&[u8::from(may_run)]).ok();
        drop(go);
        let child = started.join().map_err(|_| anyhow!("starting the command failed"))?;
        match (traced, child) {
            (Ok(_), Ok(child)) => Ok(Command { child }),
            (Err(error), _) if may_run || error.downcast_ref::<std::io::Error>().is_none() => Err(error),
            (_, child) => {
                child.with_context(|| format!("can't start `{}`", program.display()))?;
                Err(anyhow!("can't start `{}`", program.display()))
            }
        }
    }

    pub async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Asks the command to end, if it has not. The tracer does not wait for it.
    pub fn end(&mut self) {
        if let (Ok(None), Some(pid)) = (self.child.try_wait(), self.child.id()) {
            // SAFETY: sends a signal to a child that was not waited for, so the id is still its own.
            unsafe { libc::kill(pid as libc::pid_t, libc::SIGTERM) };
        }
    }
}

/// Between fork and exec: tells the process id, then waits for one byte. A tracer that can't trace it, or is
/// gone, closes the pipe or says 0: then the program is not run.
fn hold(tell: i32, wait: i32, go: i32) -> std::io::Result<()> {
    // SAFETY: plain system calls on descriptors of this process and on memory of this function.
    unsafe {
        libc::close(go);
        let pid = libc::getpid().to_ne_bytes();
        if libc::write(tell, pid.as_ptr().cast(), pid.len()) != pid.len() as isize {
            return Err(std::io::Error::last_os_error());
        }
        let mut byte = 0u8;
        if libc::read(wait, (&raw mut byte).cast(), 1) != 1 || byte != 1 {
            return Err(std::io::Error::from_raw_os_error(libc::ECANCELED));
        }
    }
    Ok(())
}

fn process_id(told: &mut PipeReader) -> anyhow::Result<u32> {
    let mut pid = [0; 4];
    told.read_exact(&mut pid)?;
    Ok(u32::from_ne_bytes(pid))
}
