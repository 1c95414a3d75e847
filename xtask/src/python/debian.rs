//! The Pythons of Debian's development branch, in a root folder of their own: they need a newer C library.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::Interpreter;
use crate::{
    need,
    workspace::{command, run, say, target},
};

const VERSIONS: [&str; 3] = ["3.13", "3.14", "3.15"];

const PACKAGES: [&str; 2] = ["debootstrap", "debian-archive-keyring"];

/// Debian's repository, as debootstrap knows it, which Ubuntu has as well.
pub fn mirror(task: &str) -> Result<String> {
    let script = Path::new("/usr/sbin/debootstrap");
    if !script.exists() {
        need::packages(task, "debootstrap", &PACKAGES)?;
    }
    let text = fs::read_to_string(script).with_context(|| format!("cannot read {}", script.display()))?;
    let mirror = text.lines().find_map(|line| line.strip_prefix("DEF_MIRROR="));
    let mirror = mirror.with_context(|| format!("{} sets no DEF_MIRROR", script.display()))?;
    Ok(mirror.trim_matches('"').to_owned())
}

/// Unpacks what is missing, on Debian or Ubuntu.
pub fn sid(task: &str) -> Result<Vec<Interpreter>> {
    let root = target().join("python/debian-sid");
    let programs = VERSIONS.map(|version| Path::new("/usr/bin").join(format!("python{version}")));
    let is_there = |program: &&std::path::PathBuf| {
        program.strip_prefix("/").is_ok_and(|program| root.join(program).exists())
    };
    if programs.iter().filter(is_there).count() < programs.len() {
        need::packages(task, "debootstrap", &PACKAGES)?;
        say(task, "unpacking Debian sid with its Pythons (about two minutes)");
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root)?;
        let packages = VERSIONS.map(|version| format!("python{version}-venv")).join(",");
        run(command("debootstrap")
            .args(["--variant=minbase", &format!("--include={packages}"), "sid"])
            .arg(&root)
            .stdout(std::io::stderr()))?;
    }
    let rooted = |program| Interpreter { root: Some(root.clone()), ..Interpreter::new(program) };
    Ok(programs.map(rooted).into())
}
