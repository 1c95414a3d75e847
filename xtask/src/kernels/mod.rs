//! Boots the kernels that the tracer is for, and runs it on each: in machines that qemu emulates, so nothing is asked of the
//! host's processor, and neither the host's kernel nor its network is touched.

mod image;
mod machine;
mod suites;

use std::{fs, path::PathBuf, sync::Mutex, thread, time::Instant};

use anyhow::{Context as _, Result, bail};

use crate::{
    build, need, python, venv,
    workspace::{cargo, run, say, target},
};

/// Machines at a time.
const MACHINES: usize = 2;

/// Kernels without which the matrix says too little.
const FEWEST: usize = 4;

const PACKAGES: [&str; 3] = ["qemu-system-x86", "busybox-static", "e2fsprogs"];

/// Fetches the kernels, boots each with the tracer in it, and holds what it did against what is expected.
pub fn test() -> Result<()> {
    let start = Instant::now();
    if !need::is_there("qemu-system-x86_64") || !need::is_there("busybox") || !need::is_there("mke2fs") {
        need::packages("test", "what emulates a machine", &PACKAGES)?;
    }
    let contents = image::Contents {
        tracer: build::build()?,
        verifier: build::verifier()?,
        object: build::probes()?,
        python: python::system("test")?.program,
        venv: venv::venv("test", &python::system("test")?)?,
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
    let waiting = Mutex::new(kernels.iter());
    let next = || waiting.lock().ok()?.next();
    thread::scope(|scope| {
        let boot = || -> Result<()> {
            while let Some(kernel) = next() {
                let seconds = machine::run_on(kernel, &disk, &results.join(&kernel.release))?;
                say("test", format!("kernel {}: {seconds} s", kernel.release));
            }
            Ok(())
        };
        let machines: Vec<_> = (0..MACHINES).map(|_| scope.spawn(boot)).collect();
        machines
            .into_iter()
            .try_for_each(|machine| machine.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
    })
    .context("running a kernel")?;
    say("test", format!("kernels: what they did, after {} s", start.elapsed().as_secs()));
    judge(results)
}

fn judge(results: PathBuf) -> Result<()> {
    run(cargo()
        .args(["test", "--package", "tests", "--features", "kernels", "--test", "kernels", "--quiet"])
        .args(["--", "--test-threads=1", "--nocapture"])
        .env("TRACER_TEST_KERNELS", results))
}
