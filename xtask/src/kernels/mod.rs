//! Boots the kernels that the tracer is for, and runs it on each: in machines that qemu emulates, so nothing is asked of the
//! host's processor, and neither the host's kernel nor its network is touched.

mod image;
mod machine;
mod suites;

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use suites::Kernel;

use crate::{
    build, need, python, venv,
    workspace::{cargo, run, say, target},
};

/// Machines at a time.
const MACHINES: usize = 2;

/// Kernels without which the matrix says too little.
const FEWEST: usize = 4;

const PACKAGES: [&str; 4] = ["qemu-system-x86", "busybox-static", "e2fsprogs", "runc"];

/// Fetches the kernels, boots each with the tracer in it, and holds what it did against what is expected.
pub fn test() -> Result<()> {
    let start = Instant::now();
    if !["qemu-system-x86_64", "busybox", "mke2fs", "runc"].into_iter().all(need::is_there) {
        need::packages("test", "what emulates a machine, and containers in it", &PACKAGES)?;
    }
    let contents = image::Contents {
        tracer: build::build()?,
        verifier: build::verifier()?,
        object: build::probes()?,
        python: python::system("test")?.program,
        venv: venv::venv("test", &python::system("test")?)?,
        runc: need::place("runc").context("runc is not on the PATH")?,
    };
    let folder = target().join("kernels");
    let kernels = suites::fetch("test", &folder)?;
    if kernels.len() < FEWEST {
        bail!("only {} kernels can be had of Debian's mirror, of at least {FEWEST}", kernels.len());
    }
    let disk = image::disk(&folder, &contents)?;
    say("test", format!("{} kernels, {MACHINES} at a time (up to eight minutes)", kernels.len()));
    let results = folder.join("results");
    let _ = fs::remove_dir_all(&results);
    let failed = boot_all(&kernels, &disk, &results);
    say("test", format!("kernels: what they did, after {} s", start.elapsed().as_secs()));
    judge(&results)?;
    match failed {
        0 => Ok(()),
        failed => bail!("{failed} of {} kernels did not come to their end", kernels.len()),
    }
}

/// Runs all; gives how many did not come to their end, of which nothing is left to be judged.
fn boot_all(kernels: &[Kernel], disk: &Path, results: &Path) -> usize {
    let waiting = Mutex::new(kernels.iter());
    let failed = AtomicUsize::new(0);
    let boot = || {
        while let Some(kernel) = waiting.lock().ok().and_then(|mut waiting| waiting.next()) {
            match machine::run_on(kernel, disk, &results.join(&kernel.release)) {
                Ok(seconds) => say("test", format!("kernel {}: {seconds} s", kernel.release)),
                Err(error) => {
                    say("test", format!("kernel {}: {error:#}", kernel.release));
                    failed.fetch_add(1, Relaxed);
                }
            }
        }
    };
    // Each ends when no kernel is waiting any more.
    thread::scope(|scope| (0..MACHINES).for_each(|_| drop(scope.spawn(boot))));
    failed.into_inner()
}

fn judge(results: &Path) -> Result<()> {
    run(cargo()
        .args(["test", "--package", "tests", "--features", "kernels", "--test", "kernels", "--quiet"])
        .args(["--", "--test-threads=1", "--nocapture"])
        .env("TRACER_TEST_KERNELS", results))
}
