//! Pythons that pyenv has installed.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Those of these versions, where there are any.
pub fn installed(versions: &[&str]) -> Vec<PathBuf> {
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"));
    let Some(pyenv) = env::var_os("PYENV_ROOT").map(PathBuf::from).or(home) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(pyenv.join("versions")) else { return Vec::new() };
    let mut installed: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    installed.sort();
    versions
        .iter()
        .filter_map(|wanted| installed.iter().rev().find(|version| is_version(version, wanted)))
        .map(|version| version.join("bin/python3"))
        .filter(|python| python.exists())
        .collect()
}

/// Whether the folder's name is `3.12` or `3.12.SOMETHING` for `3.12`.
fn is_version(folder: &Path, wanted: &str) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
