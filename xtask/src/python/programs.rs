//! Programs that are made of a Python application, and servers that embed Python, by the system's.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use super::{Interpreter, system};
use crate::{
    need, venv,
    workspace::{quiet, root, run, say, target},
};

/// Debian's servers with a Python inside.
const SERVERS: [&str; 4] = ["apache2-bin", "libapache2-mod-wsgi-py3", "uwsgi-core", "uwsgi-plugin-python3"];

/// One file, made by PyInstaller of `tests/apps/builds.py`. With it come the servers, where they can be had.
pub fn programs(task: &str) -> Result<PathBuf> {
    let have = [
        "/usr/sbin/apache2",
        "/usr/lib/apache2/modules/mod_wsgi.so",
        "/usr/lib/uwsgi/plugins/python3_plugin.so",
    ];
    if need::is_debian() && !have.iter().all(|file| fs::exists(file).unwrap_or_default()) {
        // PyInstaller needs the libpython that these bring.
        need::packages(task, "servers that embed Python", &SERVERS)?;
    }
    let python =
        Interpreter { requirements: "requirements-programs.txt", suffix: "-programs", ..system(task)? };
    let tools = venv::venv(task, &python)?;
    let (folder, apps) = (target().join("programs"), root().join("tests/apps"));
    let program = folder.join("app");
    let source = apps.join("builds.py");
    let made = |path| fs::metadata(path).and_then(|file| file.modified()).ok();
    if made(&program).is_some_and(|program| made(&source).is_some_and(|source| source < program)) {
        return Ok(program);
    }
    say(task, "making one file of an application by PyInstaller");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut pyinstaller = quiet(tools.join("bin/pyinstaller"), &folder);
    pyinstaller.args(["--onefile", "--log-level", "WARN", "--name", "app", "--distpath", "."]);
    pyinstaller.arg("--paths").arg(root().join("tests/lab"));
    run(pyinstaller.args(["--workpath", "work", "--specpath", "work"]).arg(source))?;
    Ok(program)
}
