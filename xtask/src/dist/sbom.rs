//! What the program is made of, in the form of CycloneDX.

use std::{collections::HashSet, fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;

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
    let text = without_tests(&text.unwrap_or_default())?;
    // Where this workspace lies is nobody's business.
    let text = text.replace(&format!("{}/", root().display()), "/");
    let path = folder.join(format!("{name}.json"));
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Leaves out what is not in the program: cargo-cyclonedx goes by everything that the workspace is locked to, with crates of tests
/// and of features that are off.
fn without_tests(text: &str) -> Result<String> {
    let mut list: Value = serde_json::from_str(text).context("cargo-cyclonedx wrote no JSON")?;
    let tree = output(cargo().args([
        "tree",
        "--locked",
        "--package=tracer",
        "--edges=normal",
        "--target=x86_64-unknown-linux-gnu",
        "--prefix=none",
        "--format={p}",
    ]))?;
    let inside: HashSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(" v")?;
            Some((name, rest.split(' ').next()?))
        })
        .collect();
    let word = |of: &Value, key: &str| of[key].as_str().unwrap_or_default().to_owned();
    let components = list["components"].as_array_mut().context("it lists no components")?;
    components
        .retain(|component| inside.contains(&(&*word(component, "name"), &*word(component, "version"))));
    let mut references: HashSet<String> =
        components.iter().map(|component| word(component, "bom-ref")).collect();
    references.insert(word(&list["metadata"]["component"], "bom-ref"));
    let dependencies = list["dependencies"].as_array_mut().context("it lists no dependencies")?;
    dependencies.retain(|dependency| references.contains(&word(dependency, "ref")));
    for on in dependencies.iter_mut().filter_map(|dependency| dependency["dependsOn"].as_array_mut()) {
        on.retain(|reference| reference.as_str().is_some_and(|reference| references.contains(reference)));
    }
    Ok(serde_json::to_string_pretty(&list)? + "\n")
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
