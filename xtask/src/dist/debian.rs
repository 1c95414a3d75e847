//! The package for Debian and what descends from it.

use std::path::Path;

use anyhow::Result;

use super::{VERSION, tree};
use crate::{
    need,
    workspace::{command, run},
};

/// Nothing is depended on: the program is static.
fn control() -> String {
    format!(
        "\
Package: tracer
Version: {VERSION}
Architecture: amd64
Maintainer: tracer <tracer@localhost>
Section: admin
Priority: optional
Description: where the time of every request of a Python LLM application went
 Traces Python processes by eBPF, without touching them, and splits the wall
 time of each request into waiting on the vendor, the network, Python, the GIL,
 the event loop and the host. Needs Linux 5.10 or newer.
"
    )
}

/// A package is no order to trace: the daemon is started by whoever enables it, and again after an upgrade.
const AFTER: &str = "\
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    if [ -n \"$2\" ]; then
        systemctl try-restart tracer.service
    fi
fi
";

const BEFORE_REMOVAL: &str = "\
#!/bin/sh
set -e
if [ \"$1\" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now tracer.service
fi
";

/// What the daemon kept goes with what was configured.
const AFTER_REMOVAL: &str = "\
#!/bin/sh
set -e
if [ \"$1\" = purge ]; then
    rm -rf /var/lib/tracer
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
";

/// Makes it of a tree of files.
pub fn package(tree: &Path, folder: &Path, epoch: &str) -> Result<()> {
    if command("dpkg-deb").arg("--version").output().is_err() {
        need::packages("dist", "dpkg-deb", &["dpkg"])?;
    }
    let package = tree.with_extension("deb");
    if package.exists() {
        std::fs::remove_dir_all(&package)?;
    }
    run(command("cp").arg("--archive").arg(tree).arg(&package))?;
    tree::write(&control(), &package, "DEBIAN/control", 0o644)?;
    for (name, script) in [("postinst", AFTER), ("prerm", BEFORE_REMOVAL), ("postrm", AFTER_REMOVAL)] {
        tree::write(script, &package, &format!("DEBIAN/{name}"), 0o755)?;
    }
    run(command("dpkg-deb")
        // Debian 11 reads no zstd.
        .args(["--root-owner-group", "-Zxz", "--build"])
        .arg(package)
        .arg(folder.join(format!("tracer_{VERSION}_amd64.deb")))
        .stdout(std::io::stderr())
        // Times of files that are younger are set to it.
        .env("SOURCE_DATE_EPOCH", epoch))
}
