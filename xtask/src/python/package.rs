//! Packages of Debian that are unpacked without being installed.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

use super::debian;
use crate::workspace::{command, output, run};

/// One of them.
pub struct Package {
    /// In Debian's repository.
    pub path: &'static str,
    pub sha256: &'static str,
}

impl Package {
    /// Puts what is in it into a folder, which is made.
    pub fn unpack(&self, task: &str, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let archive = folder.join("package.deb");
        let url = format!("{}/{}", debian::mirror(task)?, self.path);
        run(command("curl")
            .args(["--fail", "--silent", "--show-error", "--output"])
            .arg(&archive)
            .arg(&url))?;
        if !output(command("sha256sum").arg(&archive))?.starts_with(self.sha256) {
            bail!("{} has not the content that was expected of {url}: try again", archive.display());
        }
        run(command("dpkg-deb").arg("--extract").arg(&archive).arg(folder))?;
        fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))
    }
}
