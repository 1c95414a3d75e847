//! Builds the container image.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    build, need,
    workspace::{command, output, quiet, root, run, say, target},
};

/// What it is called where nothing else is said; so the chart calls it.
pub const NAME: &str = concat!("localhost/tracer:", env!("CARGO_PKG_VERSION"));

/// Builds the program and puts it into an image; the path of the archive.
pub fn image() -> Result<PathBuf> {
    let program = build::build()?;
    if !need::is_there("buildah") {
        need::packages("image", "buildah", &["buildah"])?;
    }
    let folder = target().join("image");
    let content = folder.join("content");
    let _ = fs::remove_dir_all(&content);
    copy(&program, &content, "/usr/bin/tracer")?;
    for library in libraries(&program)? {
        copy(Path::new(&library), &content, &library)?;
    }
    say("image", "stripping and packing");
    run(quiet("strip", &folder).args(["--strip-debug", "content/usr/bin/tracer"]))?;
    let archive = folder.join("tracer.tar");
    let _ = fs::remove_file(&archive);
    let storage = [format!("--root={}", folder.join("storage").display()), "--storage-driver=vfs".to_owned()];
    let mut build = quiet("buildah", &folder);
    build.args(&storage).args([
        "build",
        "--quiet",
        "--isolation=chroot",
        "--timestamp=0",
        "--tag",
        NAME,
        "--file",
    ]);
    run(build.arg(root().join("deploy/container/Containerfile")).arg(&content))?;
    let mut push = quiet("buildah", &folder);
    push.args(&storage).args(["push", "--quiet", NAME]);
    run(push.arg(format!("oci-archive:{}:{NAME}", archive.display())))?;
    let _ = fs::remove_dir_all(folder.join("storage"));
    say("image", format!("{} is {NAME}", archive.display()));
    Ok(archive)
}

/// What the dynamic linker loads for the program, itself included.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let listed = output(command("ldd").arg(program))?;
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(str::to_owned).collect())
}

fn copy(from: &Path, content: &Path, path: &str) -> Result<()> {
    let to = content.join(path.trim_start_matches('/'));
    fs::create_dir_all(to.parent().unwrap_or(content))?;
    fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}
