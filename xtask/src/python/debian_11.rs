//! The Python of Debian 11: the one there is of its version that has function probes.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::package::Package;
use crate::{
    need,
    workspace::{say, target},
};

const PACKAGES: [Package; 3] = [
    Package {
        path: "pool/main/p/python3.9/python3.9-minimal_3.9.2-1_amd64.deb",
        sha256: "5d6003c5c20223a2547ac4976e09a9ec778dbe351507a6292bef3b60df5f4aa7",
    },
    Package {
        path: "pool/main/p/python3.9/libpython3.9-minimal_3.9.2-1_amd64.deb",
        sha256: "594283526d67e03e3c4e96534f6bfe5da1bf41da5d49360553c9b79fbf08c4ab",
    },
    Package {
        path: "pool/main/p/python3.9/libpython3.9-stdlib_3.9.2-1_amd64.deb",
        sha256: "32ac64d959ac2dbc5bb289532fc9834dab8f671b5455695a3a9315aad973c65b",
    },
];

/// A folder with it as `bin/python`, and with the standard library alone; unpacked where it is missing. `None` on other
/// distributions, and where Debian's mirror has it no more.
pub fn debian_11(task: &str) -> Option<PathBuf> {
    let folder = target().join("python/python-3.9.2");
    if folder.join("bin/python").exists() {
        return Some(folder);
    }
    if !need::is_debian() {
        say(task, "skipped Debian 11's Python: this is not Debian or Ubuntu");
        return None;
    }
    match unpack(task, &folder) {
        Ok(()) => Some(folder),
        Err(error) => {
            say(task, format!("skipped Debian 11's Python: {error:#}"));
            None
        }
    }
}

fn unpack(task: &str, folder: &Path) -> Result<()> {
    for package in PACKAGES {
        package.unpack(task, folder)?;
    }
    fs::create_dir_all(folder.join("bin"))?;
    // Written last, so that one which is broken is made again.
    Ok(symlink("../usr/bin/python3.9", folder.join("bin/python"))?)
}
