//! Programs that are made of a Python application, servers that embed Python by the system's, and layouts of Python that no
//! environment of `venv` has.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{Interpreter, conda, system};
use crate::{
    need, venv,
    workspace::{quiet, root, run, say, target},
};

/// Debian's servers with a Python inside.
const SERVERS: [&str; 4] = ["apache2-bin", "libapache2-mod-wsgi-py3", "uwsgi-core", "uwsgi-plugin-python3"];

/// What Nuitka compiles with, and what changes where libraries are looked for.
const COMPILER: [&str; 3] = ["gcc", "patchelf", "python3-dev"];

/// What runs `tests/apps/builds.py`.
pub struct Programs {
    /// One file that PyInstaller made of it.
    pub pyinstaller: PathBuf,
    /// One file that Nuitka compiled it to.
    pub nuitka: PathBuf,
    /// A Python in the layout of conda; none on other distributions than Debian and Ubuntu.
    pub conda: Option<PathBuf>,
}

/// Makes those that are missing or older than the application. With them come the servers, where they can be had.
pub fn programs(task: &str) -> Result<Programs> {
    let exist = |files: &[&str]| files.iter().all(|file| fs::exists(file).unwrap_or_default());
    let have = [
        "/usr/sbin/apache2",
        "/usr/lib/apache2/modules/mod_wsgi.so",
        "/usr/lib/uwsgi/plugins/python3_plugin.so",
    ];
    if need::is_debian() && !exist(&have) {
        // PyInstaller needs the libpython that these bring.
        need::packages(task, "servers that embed Python", &SERVERS)?;
    }
    if need::is_debian() && !exist(&["/usr/bin/gcc", "/usr/bin/patchelf", "/usr/bin/python3-config"]) {
        need::packages(task, "what Nuitka compiles with", &COMPILER)?;
    }
    let python =
        Interpreter { requirements: "requirements-programs.txt", suffix: "-programs", ..system(task)? };
    let tools = venv::venv(task, &python)?;
    let folder = target().join("programs");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(Programs {
        pyinstaller: pyinstaller(task, &tools, &folder)?,
        nuitka: nuitka(task, &tools, &folder)?,
        conda: need::is_debian().then(|| conda::like_conda(task)).transpose()?,
    })
}

fn pyinstaller(task: &str, tools: &Path, folder: &Path) -> Result<PathBuf> {
    let program = folder.join("app");
    if is_made(&program) {
        return Ok(program);
    }
    say(task, "making one file of an application by PyInstaller");
    let mut pyinstaller = quiet(tools.join("bin/pyinstaller"), folder);
    pyinstaller.args(["--onefile", "--log-level", "WARN", "--name", "app", "--distpath", "."]);
    pyinstaller.arg("--paths").arg(root().join("tests/lab"));
    run(pyinstaller.args(["--workpath", "work", "--specpath", "work"]).arg(application()))?;
    Ok(program)
}

fn nuitka(task: &str, tools: &Path, folder: &Path) -> Result<PathBuf> {
    let program = folder.join("nuitka/app");
    if is_made(&program) {
        return Ok(program);
    }
    say(task, "compiling an application by Nuitka (about two minutes)");
    let mut nuitka = quiet(tools.join("bin/python"), folder);
    nuitka.args(["-m", "nuitka", "--onefile", "--quiet", "--output-filename=app", "--output-dir=nuitka"]);
    run(nuitka.arg(application()).env("PYTHONPATH", root().join("tests/lab")))?;
    Ok(program)
}

fn application() -> PathBuf {
    root().join("tests/apps/builds.py")
}

fn is_made(program: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    changed(program) > changed(&application())
}
