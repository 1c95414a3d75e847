//! Sources, from Debian's copies of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use super::debian;
use crate::{
    need,
    workspace::{command, output, run},
};

/// An archive of sources.
pub struct Archive {
    /// In Debian's repository.
    pub path: &'static str,
    pub sha256: &'static str,
    /// The folder that it holds.
    pub folder: &'static str,
}

/// What building needs, of Debian's packages.
const PACKAGES: [&str; 7] =
    ["build-essential", "curl", "libffi-dev", "libssl-dev", "pkg-config", "xz-utils", "zlib1g-dev"];

impl Archive {
    /// The folder of the sources, under `folder`.
    pub fn unpacked(&self, task: &str, folder: &Path) -> Result<PathBuf> {
        let source = folder.join(self.folder);
        if source.exists() {
            return Ok(source);
        }
        need::packages(task, "what builds Python", &PACKAGES)?;
        fs::create_dir_all(folder)?;
        let url = format!("{}/{}", debian::mirror(task)?, self.path);
        let archive = folder.join(format!("{}.tar", self.folder));
        run(command("curl")
            .args(["--fail", "--silent", "--show-error", "--output"])
            .arg(&archive)
            .arg(&url))?;
        let sum = output(command("sha256sum").arg(&archive))?;
        if !sum.starts_with(self.sha256) {
            bail!(
                "{} has not the content that was expected of {url}: remove it, and try again",
                archive.display()
            );
        }
        run(command("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(folder))?;
        Ok(source)
    }
}
