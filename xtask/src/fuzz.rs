//! Runs the fuzz targets of `tests/fuzz`, each for a bounded time, from the inputs that are kept beside them.

use std::fs::{self, File};

use anyhow::{Context as _, Result};

use crate::{
    need,
    workspace::{cargo, command, root, run, say, target},
};

/// The targets, and the folder with their first inputs.
const TARGETS: [(&str, &str); 4] = [
    ("wire", "tests/fuzz/corpus/wire"),
    ("plain", "tests/fuzz/corpus/plain"),
    ("decode", "tests/fuzz/corpus/decode"),
    ("capture", "tests/captures"),
];

/// With a name, only that target.
pub fn fuzz(name: Option<&str>, seconds: u32) -> Result<()> {
    if command("c++").arg("--version").output().is_err() {
        need::packages("fuzz", "a C++ compiler, for libFuzzer", &["g++"])?;
    }
    let folder = target().join("fuzz");
    say("fuzz", "building the targets");
    let wrapper = root().join("tests/fuzz/rustc.sh");
    run(cargo()
        .args(["build", "--quiet", "--release", "--package", "fuzz", "--bins"])
        .env("RUSTC_WORKSPACE_WRAPPER", wrapper))?;
    let programs = target().join("release");
    for (target, seeds) in TARGETS.iter().filter(|(target, _)| name.is_none_or(|name| name == *target)) {
        say("fuzz", format!("{target}, for {seconds} s"));
        // What it finds of interest goes there; what makes it fail is printed with its file.
        let found = folder.join("corpus").join(target);
        fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let log = folder.join(format!("{target}.log"));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        run(command(programs.join(format!("fuzz-{target}")))
            .args(["-timeout=10", "-rss_limit_mb=2048"])
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", folder.display()))
            .arg(&found)
            .arg(root().join(seeds))
            .stderr(output))
        .with_context(|| {
            format!("{} tells what was found, and the file that has the input", log.display())
        })?;
    }
    Ok(())
}
