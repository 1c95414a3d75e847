//! Runs the tests that open exports in other tools, and installs those.

use std::{env, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    need, python, venv,
    workspace::{cargo, command, quiet, run, say, target},
};

/// Of npm: speedscope has its schema in it, and the Firefox Profiler has a command line.
const PACKAGES: [&str; 2] = ["speedscope@1.25.0", "@firefox-devtools/profiler-cli@0.10.0"];

/// Opens exports in the tools they are for. No root is needed where those are installed.
pub fn test() -> Result<()> {
    if command("callgrind_annotate").arg("--version").output().is_err() {
        need::packages("test", "callgrind_annotate", &["valgrind"])?;
    }
    let tools = venv::venv("test", &python::tools("test")?)?;
    let folder = target().join("tools");
    install(&tools, &folder)?;
    say("test", "exports in other tools");
    run(cargo()
        .args(["test", "--package", "tests", "--features", "tools", "--test", "tools", "--quiet"])
        .env("TRACER_TEST_TOOLS", tools)
        .env("TRACER_TEST_PACKAGES", folder))
}

/// Packages of npm, by the environment's node, and pprof, which Go builds when it is first run.
fn install(tools: &Path, folder: &Path) -> Result<()> {
    let stamp = folder.join("made-from");
    let made_from = format!("{}\n{}\n", tools.display(), PACKAGES.join("\n"));
    if fs::read_to_string(&stamp).is_ok_and(|found| found == made_from) {
        return Ok(());
    }
    say("test", "installing tools that exports are opened in (up to two minutes)");
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let bin = tools.join("bin");
    let path = env::join_paths(
        [bin.clone()].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
    )?;
    let mut npm = quiet(bin.join("npm"), folder);
    npm.args(["install", "--loglevel=error", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
        .arg(folder);
    run(npm.args(PACKAGES).env("PATH", path))?;
    let mut go = quiet(bin.join("go"), folder);
    go.args(["build", "-o"]).arg(folder.join("pprof")).arg("cmd/pprof");
    let cache = folder.join("go");
    run(go.envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off")]).env("GOCACHE", &cache))?;
    fs::remove_dir_all(&cache).with_context(|| format!("cannot remove {}", cache.display()))?;
    fs::write(&stamp, made_from).with_context(|| format!("cannot write {}", stamp.display()))
}
