//! Makes what is handed out, in `target/dist`: the program as one static file, a package for Debian, an archive for
//! everything else, an image for containers, a list of what is inside, and checksums. The same commit makes the same bytes.

mod debian;
mod program;
mod sbom;
mod tree;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build, image,
    workspace::{command, output, run, say, target},
};

/// What is handed out is called by this version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes it all; with `twice` from nothing a second time, and compares.
pub fn dist(twice: bool) -> Result<()> {
    let folder = target().join("dist");
    let sums = make(&folder, &target().join("dist-build"))?;
    if twice {
        let again = target().join("dist-again");
        // Only here: a release is not made without cause.
        let build = target().join("dist-build-again");
        let sums_again = make(&again, &build)?;
        if sums != sums_again {
            bail!("two builds differ; {}:\n{sums}\n{}:\n{sums_again}", folder.display(), again.display());
        }
        fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
        say("dist", "the second build made the same bytes");
    }
    print!("{sums}");
    Ok(())
}

/// Fills a folder; the checksums of what is in it.
fn make(folder: &Path, build: &Path) -> Result<String> {
    let epoch = epoch()?;
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let object = build::probes_in(build)?;
    let program = program::build(&object, build, &epoch)?;
    program::check(&program)?;
    say("dist", "packages");
    let tree = tree::lay_out(&program, &build.join("tree"))?;
    debian::package(&tree, folder, &epoch)?;
    archive(&tree, folder, &epoch)?;
    let image = folder.join(format!("tracer-{VERSION}-oci.tar"));
    image::image_of("dist", &program, &build.join("image"), &image, &epoch)?;
    sbom::write(folder, &epoch)?;
    fs::copy(&program, folder.join("tracer")).context("cannot copy the program")?;
    checksums(folder)
}

/// The time that is written into everything: that of the commit.
fn epoch() -> Result<String> {
    match env::var("SOURCE_DATE_EPOCH") {
        Ok(epoch) => Ok(epoch),
        Err(_) => output(command("git").args(["log", "-1", "--format=%ct"])),
    }
}

/// The tree of files below a name of its own, compressed.
fn archive(tree: &Path, folder: &Path, epoch: &str) -> Result<()> {
    let name = format!("tracer-{VERSION}-x86_64-linux");
    let tar = folder.join(format!("{name}.tar"));
    image::tar(tree, &tar, epoch, &[format!("--transform=s,^\\.,{name},")])?;
    run(command("gzip").args(["--no-name", "--best"]).arg(tar))
}

/// Writes `SHA256SUMS`, as `sha256sum --check` reads it.
fn checksums(folder: &Path) -> Result<String> {
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into())).collect::<std::io::Result<_>>()?;
    names.sort();
    let sums = output(command("sha256sum").current_dir(folder).args(names))? + "\n";
    fs::write(folder.join("SHA256SUMS"), &sums).context("cannot write SHA256SUMS")?;
    Ok(sums)
}
