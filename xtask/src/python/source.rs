//! Builds of CPython that no distribution has, from Debian's copy of its source.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::Interpreter;
use crate::{
    need,
    workspace::{command, output, run, say, target},
};

const VERSION: &str = "3.13.5";
const URL: &str = "http://deb.debian.org/debian/pool/main/p/python3.13/python3.13_3.13.5.orig.tar.xz";
const SHA256: &str = "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640";

/// What the builds need, of Debian's packages.
const PACKAGES: [&str; 7] =
    ["build-essential", "curl", "libffi-dev", "libssl-dev", "pkg-config", "xz-utils", "zlib1g-dev"];

struct Build {
    name: &'static str,
    program: &'static str,
    options: &'static [&'static str],
    requirements: &'static str,
    suffix: &'static str,
}

const BUILDS: [Build; 2] = [
    Build {
        name: "free-threaded",
        program: "bin/python3.13t",
        options: &["--disable-gil"],
        requirements: "requirements-free-threaded.txt",
        suffix: "t",
    },
    // One file, modules and all, without symbols.
    Build {
        name: "static",
        program: "bin/python3.13",
        options: &["MODULE_BUILDTYPE=static", "LDFLAGS=-Wl,--strip-all"],
        requirements: "requirements.txt",
        suffix: "-static",
    },
];

/// Builds what is missing, on Debian or Ubuntu.
pub fn built(task: &str) -> Result<Vec<Interpreter>> {
    let folder = target().join("python");
    BUILDS
        .iter()
        .map(|build| {
            let prefix = folder.join(build.name);
            let program = prefix.join(build.program);
            if !program.exists() {
                make(task, &folder, build, &prefix)?;
            }
            let Build { requirements, suffix, .. } = *build;
            Ok(Interpreter { requirements, suffix, ..Interpreter::new(program) })
        })
        .collect()
}

fn make(task: &str, folder: &Path, build: &Build, prefix: &Path) -> Result<()> {
    let source = source(task, folder)?;
    say(task, format!("building a {} Python {VERSION} (about three minutes)", build.name));
    let work = folder.join(format!("build-{}", build.name));
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work)?;
    let quiet = |program: &str| {
        let mut command = command(program);
        command.current_dir(&work).stdout(std::io::stderr());
        command
    };
    run(quiet(&source.join("configure").to_string_lossy())
        .args(["--quiet", "--disable-test-modules"])
        .arg(format!("--prefix={}", prefix.display()))
        .args(build.options))?;
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    run(quiet("make").args(["--silent", &format!("--jobs={jobs}"), "EXTRA_CFLAGS=-w"]))?;
    run(quiet("make").args(["--silent", "install"]))?;
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
}

/// The folder of the source.
fn source(task: &str, folder: &Path) -> Result<PathBuf> {
    let source = folder.join(format!("Python-{VERSION}"));
    if source.exists() {
        return Ok(source);
    }
    need::packages(task, "what builds Python", &PACKAGES)?;
    fs::create_dir_all(folder)?;
    let archive = folder.join("source.tar.xz");
    run(command("curl").args(["--fail", "--silent", "--show-error", "--output"]).arg(&archive).arg(URL))?;
    let sum = output(command("sha256sum").arg(&archive))?;
    if !sum.starts_with(SHA256) {
        bail!(
            "{} has not the content that was expected of {URL}: remove it, and try again",
            archive.display()
        );
    }
    run(command("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(folder))?;
    Ok(source)
}
