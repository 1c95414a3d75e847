//! A machine that qemu emulates: boots a kernel, and leaves what it found.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{image, suites::Kernel};
use crate::workspace::{command, run};

/// More than it takes on a busy host.
const LIMIT: Duration = Duration::from_secs(900);

const POLL: Duration = Duration::from_millis(100);

/// Room for what a machine leaves.
const RESULTS_BYTES: u64 = 64 << 20;

/// Said by the first program once all is done.
const DONE: &str = "guest: done";

/// Boots a kernel, runs `xtask/vm/guest` on it, and unpacks what that left into `results`, beside the kernel's messages. Gives how
/// many seconds it took. Where it does not come to its end, `results` is gone.
pub fn run_on(kernel: &Kernel, disk: &Path, results: &Path) -> Result<u64> {
    let start = Instant::now();
    fs::create_dir_all(results)?;
    let left = results.join("left.tar");
    File::create(&left)?.set_len(RESULTS_BYTES)?;
    let console = results.join("console");
    let first_root = image::first_root(kernel, results)?;
    let mut machine = command("qemu-system-x86_64");
    machine
        // Not what the host's processor may have to help with: on a virtual host that may not bear a kernel like these.
        .args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1024", "-smp", "1"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .arg("-kernel")
        .arg(kernel.file()?)
        .arg("-initrd")
        .arg(&first_root)
        .arg("-drive")
        .arg(format!("file={},if=virtio,format=raw,snapshot=on", disk.display()))
        .arg("-drive")
        .arg(format!("file={},if=virtio,format=raw", left.display()))
        .args([
            "-append",
            "console=ttyS0 panic=-1 quiet mitigations=off nokaslr no_timer_check random.trust_cpu=on",
        ])
        .stdin(Stdio::null());
    let mut machine = machine.spawn().context("cannot run qemu-system-x86_64")?;
    let ended = wait(&mut machine);
    fs::remove_file(&first_root)?;
    let messages = fs::read(&console).unwrap_or_default();
    let messages = String::from_utf8_lossy(&messages);
    if !ended? || !messages.contains(DONE) {
        let tail: Vec<&str> = messages.lines().rev().take(20).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        fs::remove_dir_all(results)?;
        bail!("it did not come to its end:\n{}", tail.join("\n"));
    }
    run(command("tar").arg("--extract").arg("--file").arg(&left).arg("--directory").arg(results))?;
    fs::remove_file(&left)?;
    Ok(start.elapsed().as_secs())
}

/// Whether it came to its end in time; else it is ended.
fn wait(machine: &mut Child) -> Result<bool> {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if let Some(status) = machine.try_wait()? {
            return Ok(status.success());
        }
        thread::sleep(POLL);
    }
    machine.kill()?;
    machine.wait()?;
    Ok(false)
}
