//! What the program is made of, in the form of CycloneDX.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::VERSION;
use crate::workspace::{cargo, command, output, root, run, say, target};

const TOOL: &str = "0.5.9";

/// Writes it; crates that only builds and tests need are not in it.
pub fn write(folder: &Path, epoch: &str) -> Result<()> {
    let tool = tool()?;
    let name = format!("tracer-{VERSION}.cdx");
    run(command(&tool)
        .args(["cyclonedx", "--quiet", "--format", "json", "--target", "x86_64-unknown-linux-gnu"])
        .args(["--no-build-deps", "--override-filename", &name])
        .arg("--manifest-path")
        .arg(root().join("tracer/Cargo.toml"))
        .stdout(std::io::stderr())
        // With it there are no random numbers and no other time in there.
        .env("SOURCE_DATE_EPOCH", epoch))?;
    let mut text = None;
    // It writes one beside each manifest of the workspace.
    for member in ["tracer", "tracer-ebpf", "xtask", "tests", "tests/fuzz"] {
        let file = root().join(member).join(format!("{name}.json"));
        if member == "tracer" {
            text =
                Some(fs::read_to_string(&file).with_context(|| format!("there is no {}", file.display()))?);
        }
        if file.exists() {
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
    }
    // Where this workspace lies is nobody's business.
    let text = text.unwrap_or_default().replace(&format!("{}/", root().display()), "/");
    let path = folder.join(format!("{name}.json"));
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// cargo-cyclonedx, as installed into the target folder.
fn tool() -> Result<std::path::PathBuf> {
    let folder = target().join(format!("cargo-cyclonedx-{TOOL}"));
    let tool = folder.join("bin/cargo-cyclonedx");
    if output(command(&tool).args(["cyclonedx", "--version"])).is_err() {
        say("dist", format!("installing cargo-cyclonedx {TOOL} (about a minute)"));
        run(cargo()
            .args(["install", "--locked", "cargo-cyclonedx", "--version", TOOL, "--root"])
            .arg(folder))?;
    }
    Ok(tool)
}
