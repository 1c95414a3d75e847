//! Virtual environments for the lab and the applications, one for each Python, in the target folder.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    need,
    workspace::{command, output, root, run, say, target},
};

/// Versions of pyenv's Pythons that the tests run on besides the system's.
pub const TEST_VERSIONS: [&str; 2] = ["3.12", "3.13"];
/// And those that are measured besides it.
pub const BENCH_VERSIONS: [&str; 5] = ["3.8", "3.9", "3.10", "3.12", "3.13"];

/// The system's Python.
pub fn system(task: &str) -> Result<PathBuf> {
    let python = Path::new("/usr/bin/python3");
    // Debian has pip's seed in a package of its own.
    if output(command(python).args(["-c", "import ensurepip, venv"])).is_err() {
        need::packages(task, "Python with virtual environments", &["python3", "python3-venv"])?;
    }
    Ok(python.to_path_buf())
}

/// Pythons of these versions under pyenv, where there are any.
pub fn pyenv(versions: &[&str]) -> Vec<PathBuf> {
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"));
    let Some(pyenv) = env::var_os("PYENV_ROOT").map(PathBuf::from).or(home) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(pyenv.join("versions")) else { return Vec::new() };
    let mut installed: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    installed.sort();
    versions
        .iter()
        .filter_map(|wanted| installed.iter().rev().find(|version| is_version(version, wanted)))
        .map(|version| version.join("bin/python3"))
        .filter(|python| python.exists())
        .collect()
}

/// The virtual environment of a Python with the packages that the tests name; made when it is missing or they changed.
pub fn venv(task: &str, python: &Path) -> Result<PathBuf> {
    let list = root().join("tests/apps/requirements.txt");
    let requirements =
        fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let version = output(command(python).arg("--version"))?;
    let folder = target().join("venv").join(version.replace(' ', "-").to_lowercase());
    // What the environment was made from; written last, so a broken one is made again.
    let stamp = folder.join("made-from");
    let made_from = format!("{}\n{requirements}", python.display());
    if fs::read_to_string(&stamp).is_ok_and(|found| found == made_from) {
        return Ok(folder);
    }
    say(task, format!("installing Python packages for {version} (about 20 s)"));
    run(command(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = command(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&list);
    run(pip.stdout(std::io::stderr()))?;
    fs::write(&stamp, made_from).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(folder)
}

/// Whether the folder's name is `3.12` or `3.12.SOMETHING` for `3.12`.
fn is_version(folder: &Path, wanted: &str) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
