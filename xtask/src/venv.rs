//! Virtual environments for the lab and the applications, one for each Python, in the target folder.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};

use crate::{
    python::{self, Interpreter},
    workspace::{command, output, root, run, say, target},
};

const UV: &str = "0.13.9";

/// The virtual environment of a Python with the packages that the tests name; made when it is missing or they changed.
pub fn venv(task: &str, python: &Interpreter) -> Result<PathBuf> {
    let list = root().join("tests/apps").join(python.requirements);
    let requirements =
        fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let version = output(in_root(python, &python.program).arg("--version"))?;
    let name = format!("{}{}", version.replace(' ', "-").to_lowercase(), python.suffix);
    let folder = target().join("venv").join(&name);
    // What the environment was made from; written last, so a broken one is made again.
    let stamp = folder.join("made-from");
    let made_from = format!("{}\n{:?}\n{requirements}", python.program.display(), python.root);
    if fs::read_to_string(&stamp).is_ok_and(|found| found == made_from) {
        return Ok(folder);
    }
    say(task, format!("installing Python packages for {name} (up to a minute)"));
    run(in_root(python, &python.program).args(["-m", "venv", "--without-pip", "--clear"]).arg(&folder))?;
    let mut uv = in_root(python, &uv(task)?);
    // What is imported at each start is compiled once.
    uv.args(["pip", "install", "--quiet", "--compile-bytecode", "--python"]).arg(folder.join("bin/python"));
    run(uv.arg("--requirement").arg(&list).envs(uv_environment()).stdout(std::io::stderr()))?;
    if let Some(python_root) = &python.root {
        write(&folder.join("root"), &python_root.display().to_string())?;
    }
    write(&stamp, &made_from)?;
    Ok(folder)
}

/// uv, which takes a quarter of the time of pip, as environments share what it has fetched. Installed into the target folder.
fn uv(task: &str) -> Result<PathBuf> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = target().join("venv/uv");
    let program = folder.join("bin/uv");
    if output(command(&program).arg("--version")).is_ok_and(|found| found.starts_with(&format!("uv {UV} "))) {
        return Ok(program);
    }
    let system = python::system(task)?.program;
    run(command(system).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = command(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", &format!("uv=={UV}")]);
    run(pip.stdout(std::io::stderr()))?;
    Ok(program)
}

/// Where pip is told to take packages from, and whom it trusts, uv is as well.
fn uv_environment() -> Vec<(&'static str, OsString)> {
    let mut environment = vec![
        ("UV_CACHE_DIR", target().join("venv/cache").into()),
        ("UV_NO_CONFIG", "1".into()),
        ("UV_PYTHON_DOWNLOADS", "never".into()),
        ("UV_SYSTEM_CERTS", "1".into()),
    ];
    environment.extend(env::var_os("PIP_INDEX_URL").map(|index| ("UV_DEFAULT_INDEX", index)));
    environment
}

/// Prepares the environments of these Pythons, and gives their folders as a variable of the environment holds them.
pub fn venvs(task: &str, pythons: &[Interpreter]) -> Result<OsString> {
    let venvs = pythons.iter().map(|python| venv(task, python)).collect::<Result<Vec<_>>>()?;
    Ok(env::join_paths(venvs)?)
}

/// A program of a Python, in the root folder that it runs in.
fn in_root(python: &Interpreter, program: &Path) -> Command {
    match &python.root {
        None => command(program),
        Some(python_root) => {
            let mut entered = command(root().join("tests/apps/in_root.sh"));
            entered.arg(python_root).arg(program);
            entered
        }
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
