//! What the tasks need of the machine: installed where we may, else named with the command that installs it.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, bail};

use crate::workspace::{command, run, say};

/// apt has a lock, and does not wait for it.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Installs packages of Debian or Ubuntu. `what` they are is for the message where that can't be done.
pub fn packages(task: &str, what: &str, packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if !is_debian() {
        bail!(
            "{what} is missing: install what this distribution has in place of Debian's {names}, and try again"
        );
    }
    if !is_root() {
        bail!("{what} is missing: run `sudo apt-get install {names}`, and try again");
    }
    let _alone = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    say(task, format!("installing {what} ({names})"));
    if install(packages).is_err() {
        say(task, "fetching the list of packages");
        run(apt().args(["update", "--quiet=2"]))?;
        install(packages)?;
    }
    Ok(())
}

/// Whether a program can be started by its name.
pub fn is_there(program: &str) -> bool {
    place(program).is_some()
}

/// Where a program is that is started by its name.
pub fn place(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|file| file.exists())
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions and can't fail.
    unsafe { libc::geteuid() == 0 }
}

fn install(packages: &[&str]) -> Result<()> {
    run(apt().args(["install", "--yes", "--quiet=2", "--no-install-recommends"]).args(packages))
}

fn apt() -> std::process::Command {
    let mut apt = command("apt-get");
    // Its messages are progress.
    apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
    apt
}

/// Whether packages of Debian fit. By the names that os-release(5) defines.
pub fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|names| names.trim_matches('"').split(' '))
        .any(|name| name == "debian" || name == "ubuntu")
}
