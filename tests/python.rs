//! The Pythons that the live tests run on.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::PathBuf,
};

use crate::lab::folder;

/// A virtual environment with the packages of `tests/apps/requirements.txt`.
#[derive(Clone, Debug)]
pub struct Python {
    /// As in `python-3.11.2`.
    pub name: String,
    bin: PathBuf,
    /// The root folder that it runs in, where that is one of its own.
    root: Option<PathBuf>,
}

impl Python {
    /// The system's, which is the first, and pyenv's, as `cargo xtask` prepared them.
    pub fn all() -> Vec<Python> {
        let venvs = env::var_os("TRACER_TEST_VENVS").expect(
            "TRACER_TEST_VENVS names no virtual environments: run the live tests by `cargo xtask test live`",
        );
        let pythons = Python::of(&venvs);
        assert!(!pythons.is_empty(), "TRACER_TEST_VENVS is empty");
        pythons
    }

    /// Builds that most hosts have none of, which have not all packages; none outside of Debian and Ubuntu.
    pub fn builds() -> Vec<Python> {
        env::var_os("TRACER_TEST_BUILDS").map_or_else(Vec::new, |venvs| Python::of(&venvs))
    }

    /// Debian 11's, with the standard library alone; none where it could not be had.
    pub fn debian_11() -> Option<Python> {
        env::var_os("TRACER_TEST_DEBIAN_11").and_then(|folder| Python::of(&folder).pop())
    }

    /// pyenv's of versions that no others of these are of, with the standard library alone: those that can be had.
    pub fn bare() -> Vec<Python> {
        let of_pyenv = ["3.8", "3.9", "3.10"].into_iter().filter_map(|version| {
            let Some(program) = pyenv(version) else {
                eprintln!("there is no Python {version} under pyenv: it is not tested");
                return None;
            };
            let bin = program.parent()?;
            let version = bin.parent()?.file_name()?.to_string_lossy();
            Some(Python { name: format!("python-{version}"), bin: bin.to_owned(), root: None })
        });
        of_pyenv.collect()
    }

    /// Environments with the packages of `tests/apps/requirements-sdks.txt`.
    pub fn sdks() -> Vec<Python> {
        let venvs = env::var_os("TRACER_TEST_SDKS").expect(
            "TRACER_TEST_SDKS names no virtual environments: run the live tests by `cargo xtask test live`",
        );
        Python::of(&venvs)
    }

    /// The system's with the packages of `tests/apps/requirements-otlp.txt`.
    pub fn otlp() -> Python {
        let venv = env::var_os("TRACER_TEST_OTLP").expect(
            "TRACER_TEST_OTLP names no virtual environment: run the live tests by `cargo xtask test live`",
        );
        Python::of(&venv).swap_remove(0)
    }

    /// The system's with the packages of `tests/apps/requirements-profilers.txt`.
    pub fn profilers() -> Python {
        let venv = env::var_os("TRACER_TEST_PROFILERS")
            .expect("TRACER_TEST_PROFILERS names no virtual environment: run `cargo xtask bench profilers`");
        Python::of(&venv).swap_remove(0)
    }

    fn of(venvs: &OsStr) -> Vec<Python> {
        env::split_paths(venvs)
            // Of an empty list there is one, which is empty.
            .filter(|venv| !venv.as_os_str().is_empty())
            .map(|venv| Python {
                name: venv.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                bin: venv.join("bin"),
                root: fs::read_to_string(venv.join("root")).ok().map(|root| PathBuf::from(root.trim())),
            })
            .collect()
    }

    /// The folder of its packages.
    pub fn packages(&self) -> PathBuf {
        let library = self.bin.join("../lib");
        let mut versions = fs::read_dir(&library).expect("it has a library").flatten();
        let version = versions.find(|entry| entry.file_name().to_string_lossy().starts_with("python3."));
        version.expect("of a version").path().join("site-packages")
    }

    /// The system's.
    pub fn system() -> Python {
        Python::all().swap_remove(0)
    }

    /// Whether it is a 3.11 for `3.11`.
    pub fn is_version(&self, version: &str) -> bool {
        let found = self.name.strip_prefix("python-").and_then(|found| found.strip_prefix(version));
        found.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// Whether OpenSSL is built into it without the names of its functions.
    pub fn has_sealed_tls(&self) -> bool {
        self.name.ends_with("-musl")
    }

    /// 11 for `python-3.11.2`.
    pub fn minor(&self) -> u32 {
        let minor = self.name.split('.').nth(1).and_then(|minor| minor.parse().ok());
        minor.unwrap_or_else(|| panic!("{} names no version, as python-3.11.2 does", self.name))
    }

    /// What runs a program of the environment, and its arguments before the program's own.
    pub fn command(&self, name: &str) -> Vec<OsString> {
        let program = self.program(name).into_os_string();
        match &self.root {
            None => vec![program],
            Some(root) => vec![folder("apps").join("in_root.sh").into(), root.into(), program],
        }
    }

    /// Whether the environment has a package, by the name that is imported.
    pub fn has_package(&self, name: &str) -> bool {
        let versions = self.bin.join("../lib").read_dir().into_iter().flatten().flatten();
        versions.into_iter().any(|version| version.path().join("site-packages").join(name).exists())
    }

    /// A program of the environment: `python`, `gunicorn`. Of one with a root of its own, only for [`Self::command`].
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

/// The interpreter of a version under pyenv, as in `3.6`, if there is one.
pub fn pyenv(version: &str) -> Option<PathBuf> {
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv"));
    let root = env::var_os("PYENV_ROOT").map(PathBuf::from).or(home)?;
    let mut found: Vec<PathBuf> = root
        .join("versions")
        .read_dir()
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{version}.")))
        .map(|entry| entry.path().join("bin/python3"))
        .filter(|python| python.exists())
        .collect();
    found.sort();
    found.pop()
}
