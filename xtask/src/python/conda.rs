//! A Python as conda lays it out: one prefix with all that it needs, wherever that is moved to.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::system;
use crate::workspace::{command, output, run, target};

/// Libraries that conda takes of the system, too.
const OF_THE_SYSTEM: [&str; 3] = ["libc.so", "libm.so", "ld-linux"];

/// Debian's Python in a prefix as conda makes one, where it is missing: as conda's, it has libpython within. Needs patchelf.
pub fn like_conda(task: &str) -> Result<PathBuf> {
    let system = fs::canonicalize(system(task)?.program)?;
    let name = system.file_name().unwrap_or_default();
    let prefix = target().join("python/conda");
    let program = prefix.join("bin").join(name);
    if prefix.join("conda-meta").exists() {
        return Ok(program);
    }
    let _ = fs::remove_dir_all(&prefix);
    for folder in ["bin", "lib"] {
        fs::create_dir_all(prefix.join(folder))?;
    }
    fs::copy(&system, &program).with_context(|| format!("cannot copy {}", system.display()))?;
    let library = Path::new("/usr/lib").join(name);
    run(command("cp").args(["--recursive", "--no-dereference"]).arg(&library).arg(prefix.join("lib")))?;
    move_libraries(&prefix, &program)?;
    Ok(program)
}

/// Puts the libraries that an installed Python is linked with into its own prefix, and leads it there, as conda-build does:
/// by patchelf, with paths that begin where the file is. The libraries are the host's.
fn move_libraries(prefix: &Path, program: &Path) -> Result<()> {
    let library_folder = prefix.join("lib");
    let modules = modules(&library_folder)?;
    let mut libraries = BTreeSet::new();
    for file in modules.iter().chain([&program.to_owned()]) {
        let listed = output(command("ldd").arg(file))?;
        libraries.extend(listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
    }
    for library in libraries {
        let name = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !OF_THE_SYSTEM.iter().any(|of_system| name.starts_with(of_system)) {
            let own = library_folder.join(name);
            fs::copy(&library, &own).with_context(|| format!("cannot copy {}", library.display()))?;
            lead(&own, "$ORIGIN")?;
        }
    }
    for module in &modules {
        lead(module, "$ORIGIN/../..")?;
    }
    lead(program, "$ORIGIN/../lib")?;
    // By which conda knows a prefix of its own.
    let meta = prefix.join("conda-meta");
    fs::create_dir_all(&meta)?;
    fs::write(meta.join("history"), "").with_context(|| format!("cannot write into {}", meta.display()))
}

/// The modules in libraries of the standard library.
fn modules(library_folder: &Path) -> Result<Vec<PathBuf>> {
    let mut modules = Vec::new();
    for version in fs::read_dir(library_folder)? {
        let entries = fs::read_dir(version?.path().join("lib-dynload")).into_iter().flatten();
        modules.extend(entries.flatten().map(|entry| entry.path()));
    }
    Ok(modules)
}

fn lead(file: &Path, to: &str) -> Result<()> {
    run(command("patchelf").args(["--force-rpath", "--set-rpath", to]).arg(file))
}
