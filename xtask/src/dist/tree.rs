//! The files as they are laid out below `/`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::workspace::{command, root, run};

/// Lays them out in a folder, which is made anew.
pub fn lay_out(program: &Path, tree: &Path) -> Result<PathBuf> {
    if tree.exists() {
        fs::remove_dir_all(tree).with_context(|| format!("cannot remove {}", tree.display()))?;
    }
    let pages = tree.with_extension("pages");
    run(command(program).arg("pages").arg(&pages))?;
    put(program, tree, "usr/bin/tracer", 0o755)?;
    for entry in fs::read_dir(&pages)? {
        let page = entry?.path();
        let name = page.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let place = match name.rsplit_once('.') {
            Some((_, "1")) => format!("usr/share/man/man1/{name}"),
            Some((command, "bash")) => format!("usr/share/bash-completion/completions/{command}"),
            Some((_, "fish")) => format!("usr/share/fish/vendor_completions.d/{name}"),
            _ => format!("usr/share/zsh/vendor-completions/{name}"),
        };
        put(&page, tree, &place, 0o644)?;
        if name.ends_with(".1") {
            run(command("gzip").args(["--no-name", "--best"]).arg(tree.join(place)))?;
        }
    }
    let unit = fs::read_to_string(root().join("deploy/tracer.service")).context("cannot read the unit")?;
    // Packages own /usr/bin; how to install by hand is no matter there.
    let unit: String = unit
        .lines()
        .filter(|line| !line.starts_with("# `systemctl enable"))
        .map(|line| match line.strip_prefix("# The daemon under systemd.") {
            Some(_) => "# The daemon under systemd: `systemctl enable --now tracer`.\n".to_owned(),
            None => format!("{}\n", line.replace("/usr/local/bin/", "/usr/bin/")),
        })
        .collect();
    write(&unit, tree, "lib/systemd/system/tracer.service", 0o644)?;
    for (file, place) in DOCUMENTS {
        put(&root().join(file), tree, &format!("usr/share/doc/tracer/{place}"), 0o644)?;
    }
    for folder in FOLDERS {
        put_all(&root().join(folder), tree, &format!("usr/share/doc/tracer/{folder}"))?;
    }
    Ok(tree.to_owned())
}

/// Folders that are packed whole.
const FOLDERS: [&str; 6] = [
    "docs",
    "deploy/helm",
    "deploy/kubernetes",
    "deploy/opentelemetry",
    "deploy/prometheus",
    "deploy/grafana",
];

/// The documents link to each other, and to what is deployed, as in the repository.
const DOCUMENTS: [(&str, &str); 7] = [
    ("tracer/data/tracer.toml", "tracer.toml"),
    ("README.md", "README.md"),
    ("ARCHITECTURE.md", "ARCHITECTURE.md"),
    ("web/tests/pictures/waterfall.png", "web/tests/pictures/waterfall.png"),
    ("deploy/copyright", "copyright"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("LICENSE-MIT", "LICENSE-MIT"),
];

/// All files of a folder.
fn put_all(folder: &Path, tree: &Path, place: &str) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let place = format!("{place}/{name}");
        if path.is_dir() {
            put_all(&path, tree, &place)?;
        } else {
            put(&path, tree, &place, 0o644)?;
        }
    }
    Ok(())
}

fn put(file: &Path, tree: &Path, place: &str, mode: u32) -> Result<()> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    write_bytes(&bytes, tree, place, mode)
}

/// Writes a file with its mode, whatever the mask of whoever does this.
pub fn write(text: &str, tree: &Path, place: &str, mode: u32) -> Result<()> {
    write_bytes(text.as_bytes(), tree, place, mode)
}

fn write_bytes(bytes: &[u8], tree: &Path, place: &str, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = tree.join(place);
    let permissions = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    let written = (|| {
        for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(tree)) {
            fs::create_dir_all(folder)?;
            permissions(folder, 0o755)?;
        }
        fs::write(&path, bytes)?;
        permissions(&path, mode)
    })();
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_documents_link_to_is_packed() {
        let packed = |link: &str| {
            DOCUMENTS.iter().any(|(_, place)| *place == link)
                || FOLDERS.iter().any(|folder| link.starts_with(&format!("{folder}/")))
        };
        let readme = fs::read_to_string(root().join("README.md")).expect("it is there");
        let links = readme.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        let links: Vec<&str> = links.filter(|link| !link.contains("://") && !link.starts_with('#')).collect();
        assert!(links.len() > 3, "{links:?}");
        assert_eq!(links.iter().find(|link| !packed(link)), None);
    }
}
