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

/// Coverage that libFuzzer is guided by, in options that the stable compiler has.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// With a name, only that target.
pub fn fuzz(name: Option<&str>, seconds: u32) -> Result<()> {
    if command("c++").arg("--version").output().is_err() {
        need::packages("fuzz", "a C++ compiler, for libFuzzer", &["g++"])?;
    }
    let folder = target().join("fuzz");
    say("fuzz", "building the targets");
    // For a named platform, so that build scripts and macros go without coverage.
    let platform = "x86_64-unknown-linux-gnu";
    run(cargo()
        .args(["build", "--quiet", "--release", "--package", "tests", "--features", "fuzz", "--bins"])
        .args(["--target", platform, "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", COVERAGE)
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
        // Building takes longer than a usual run.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false"))?;
    for (target, seeds) in TARGETS.iter().filter(|(target, _)| name.is_none_or(|name| name == *target)) {
        say("fuzz", format!("{target}, for {seconds} s"));
        // What it finds of interest goes there; what makes it fail is printed with its file.
        let found = folder.join("corpus").join(target);
        fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let log = folder.join(format!("{target}.log"));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        run(command(folder.join(platform).join("release").join(format!("fuzz-{target}")))
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
