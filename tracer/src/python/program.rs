//! Which CPython a program will run that has not started yet.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::Read as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use object::ReadCache;

use super::elf::Elf;
use super::process::{Expectation, expectation, is_libpython};

/// Scripts that may name each other as interpreters, as the kernel allows.
const SCRIPTS: usize = 5;

/// Bytes of a script's first line that the kernel reads.
const FIRST_LINE_BYTES: u64 = 256;

/// The file with CPython in it that a command's program will run: itself, the interpreter that it names in its first line,
/// or its libpython. `None` where that can't be told, as of a shell script.
pub fn interpreter(program: &OsStr) -> Option<(PathBuf, File)> {
    let mut path = find(program)?;
    for _ in 0..SCRIPTS {
        let file = File::open(&path).ok()?;
        match script_interpreter(&file) {
            Some(next) => path = find(&next)?,
            None => return contains_python(path, file),
        }
    }
    None
}

/// A program as the shell finds it.
fn find(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(program.into());
    }
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// What the first line of a script names, behind `env` where it is that.
fn script_interpreter(file: &File) -> Option<OsString> {
    let mut head = Vec::new();
    file.take(FIRST_LINE_BYTES).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let interpreter = words.next()?;
    let named = if interpreter.ends_with(b"/env") {
        words.find(|word| !word.starts_with(b"-"))?
    } else {
        interpreter
    };
    Some(OsStr::from_bytes(named).to_owned())
}

fn contains_python(path: PathBuf, file: File) -> Option<(PathBuf, File)> {
    match expectation(&file) {
        Expectation::Python => Some((path, file)),
        Expectation::Later => {
            let cache = ReadCache::new(&file);
            let needed = Elf::parse(&cache).ok()?.needed();
            let library = needed.iter().find(|library| is_libpython(library))?;
            let path = beside(&path, library)?;
            Some((path.clone(), File::open(path).ok()?))
        }
        Expectation::Not => None,
    }
}

/// The library of a program in PREFIX/bin is in PREFIX/lib, in lib64 as Red Hat has it, or below as Debian has it.
fn beside(program: &Path, library: &str) -> Option<PathBuf> {
    let program = fs::canonicalize(program).ok()?;
    let prefix = program.parent()?.parent()?;
    let folders = ["lib", "lib64", &format!("lib/{}-linux-gnu", env::consts::ARCH)];
    folders.iter().map(|folder| prefix.join(folder).join(library)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn scripts_lead_to_their_interpreter() {
        for (head, named) in [
            (&b"#!/usr/bin/python3 -I\nimport os\n"[..], Some("/usr/bin/python3")),
            (b"#! /usr/bin/env python3\n", Some("python3")),
            (b"#!/usr/bin/env -S python3 -u\n", Some("python3")),
            (b"#!", None),
            (b"#!/usr/bin/env", None),
            (b"\x7fELF", None),
            (b"", None),
        ] {
            let mut file = tempfile::NamedTempFile::new().expect("make a file");
            file.write_all(head).expect("write it");
            let found = script_interpreter(&File::open(file.path()).expect("open it"));
            assert_eq!(found.as_deref(), named.map(OsStr::new), "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn what_runs_no_python_is_not_told() {
        for program in ["true", "/bin/sh", "/nonexistent", "no-such-program"] {
            assert!(interpreter(OsStr::new(program)).is_none(), "{program}");
        }
    }
}
