//! Builds of CPython that no distribution has, from Debian's copy of its source.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{Interpreter, archive::Archive, musl};
use crate::workspace::{self, quiet, run, say, target};

const VERSION: &str = "3.13.5";
const SOURCE: Archive = Archive {
    path: "pool/main/p/python3.13/python3.13_3.13.5.orig.tar.xz",
    sha256: "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640",
    folder: "Python-3.13.5",
};

/// As CPython's own, but without debug info, which is a third of the compiler's time.
const OPT: &str = "OPT=-DNDEBUG -fwrapv -O3";

struct Build {
    name: &'static str,
    program: &'static str,
    options: &'static [&'static str],
    /// More options, of what has to be made first.
    made: fn(&str, &Path) -> Result<Vec<String>>,
    requirements: &'static str,
    suffix: &'static str,
}

const BUILDS: [Build; 3] = [
    Build {
        name: "free-threaded",
        program: "bin/python3.13t",
        options: &["--disable-gil"],
        made: nothing,
        requirements: "requirements-free-threaded.txt",
        suffix: "t",
    },
    // One file, modules and all, without symbols.
    Build {
        name: "static",
        program: "bin/python3.13",
        options: &["MODULE_BUILDTYPE=static", "LDFLAGS=-Wl,--strip-all"],
        made: nothing,
        requirements: "requirements.txt",
        suffix: "-static",
    },
    // As Alpine's.
    Build {
        name: "musl",
        program: "bin/python3.13",
        options: &[],
        made: musl::options,
        requirements: "requirements-musl.txt",
        suffix: "-musl",
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
    let source = SOURCE.unpacked(task, folder)?;
    let made = (build.made)(task, folder)?;
    say(task, format!("building a {} Python {VERSION} (about three minutes)", build.name));
    let work = folder.join(format!("build-{}", build.name));
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work)?;
    run(quiet(source.join("configure"), &work)
        .args(["--quiet", "--disable-test-modules", "--without-ensurepip", OPT])
        .arg(format!("--prefix={}", prefix.display()))
        .args(build.options)
        .args(made))?;
    run(workspace::make(&work).args([&workspace::jobs(), "EXTRA_CFLAGS=-w"]))?;
    run(workspace::make(&work).arg("install"))?;
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
}

fn nothing(_task: &str, _folder: &Path) -> Result<Vec<String>> {
    Ok(Vec::new())
}
