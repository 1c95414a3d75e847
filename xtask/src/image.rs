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
    let folder = target().join("image");
    let content = content(&folder)?;
    copy(&program, &content, "/usr/bin/tracer")?;
    for library in libraries(&program)? {
        copy(Path::new(&library), &content, &library)?;
    }
    say("image", "stripping and packing");
    run(quiet("strip", &folder).args(["--strip-debug", "content/usr/bin/tracer"]))?;
    let archive = folder.join("tracer.tar");
    pack("image", &folder, &archive, "0")?;
    say("image", format!("{} is {NAME}", archive.display()));
    Ok(archive)
}

/// Puts a program that needs no library into an image, as it is: the same program and time give the same bytes.
pub fn image_of(task: &str, program: &Path, folder: &Path, archive: &Path, epoch: &str) -> Result<()> {
    let content = content(folder)?;
    copy(program, &content, "/usr/bin/tracer")?;
    pack(task, folder, archive, epoch)
}

/// Makes the archive of what is in the folder's content.
fn pack(task: &str, folder: &Path, archive: &Path, epoch: &str) -> Result<()> {
    if !need::is_there("buildah") {
        need::packages(task, "buildah", &["buildah"])?;
    }
    let storage = [format!("--root={}", folder.join("storage").display()), "--storage-driver=vfs".to_owned()];
    let buildah = || {
        let mut buildah = quiet("buildah", folder);
        buildah.args(&storage);
        buildah
    };
    run(buildah()
        .args(["build", "--quiet", "--isolation=chroot", "--tag", NAME])
        // Of the image and of each file in it.
        .arg(format!("--timestamp={epoch}"))
        .arg("--file")
        .arg(root().join("deploy/container/Containerfile"))
        .arg(folder.join("content")))?;
    // As files: an archive of buildah's own has the time at which it was written.
    let layout = folder.join("layout");
    let _ = fs::remove_dir_all(&layout);
    run(buildah().args(["push", "--quiet", NAME]).arg(format!("oci:{}:{NAME}", layout.display())))?;
    tar(&layout, archive, epoch, &[])?;
    for used in ["storage", "layout", "content"] {
        fs::remove_dir_all(folder.join(used)).with_context(|| format!("cannot remove the image's {used}"))?;
    }
    Ok(())
}

/// An archive of a folder in which nothing tells of when, where and by whom it was made.
pub fn tar(folder: &Path, archive: &Path, epoch: &str, options: &[String]) -> Result<()> {
    run(command("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"])
        // Whatever the mask of whoever does this.
        .arg("--mode=u=rwX,go=rX")
        .arg(format!("--mtime=@{epoch}"))
        .args(options)
        .arg("--create")
        .arg("--file")
        .arg(archive)
        .arg("--directory")
        .arg(folder)
        .arg("."))
}

/// An empty folder for what goes into the image.
fn content(folder: &Path) -> Result<PathBuf> {
    let content = folder.join("content");
    let _ = fs::remove_dir_all(&content);
    fs::create_dir_all(&content).with_context(|| format!("cannot make {}", content.display()))?;
    Ok(content)
}

/// What the dynamic linker loads for the program, itself included.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let listed = output(command("ldd").arg(program))?;
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(str::to_owned).collect())
}

/// Copies a file; folders and programs in the image may be read by all, whatever the mask of whoever does this.
fn copy(from: &Path, content: &Path, path: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let to = content.join(path.trim_start_matches('/'));
    let copied = (|| {
        fs::create_dir_all(to.parent().unwrap_or(content))?;
        fs::copy(from, &to)?;
        for path in to.ancestors().take_while(|path| path.starts_with(content)) {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        std::io::Result::Ok(())
    })();
    copied.with_context(|| format!("cannot copy {} into the image", from.display()))
}
