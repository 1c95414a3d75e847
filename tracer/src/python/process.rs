//! A running process that has CPython mapped.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use object::ReadCache;
use tracer_ebpf::settings::PythonLayout;

use crate::container;
use crate::event::{ProcessFacts, Unknown};
use crate::report::bucket::Bucket;

use super::binary::{Binary, Subject, exports_python};
use super::elf::Elf;
use super::identity::FileId;
use super::layout::{self, CodeLayout};
use super::library::Library;
use super::procfs::{self, Mapping};
use super::{clock, cmdline};

/// A process that has CPython mapped. Its identity is `tgid` together with its start.
#[derive(Debug)]
pub struct PythonProcess {
    pub tgid: u32,
    /// Since boot, in steps of a clock tick (10 ms).
    pub start_ns_since_boot: u64,
    /// Since the epoch; 0 where the time of boot is not known.
    pub start_unix_ns: u64,
    pub exe: String,
    /// Shortened, without what looks like a secret.
    pub cmdline: String,
    pub container_id: Option<String>,
    /// Its number in its innermost pid namespace.
    pub namespaced_pid: u32,
    /// Mapped files that contain CPython; the first is the interpreter.
    pub binaries: Vec<MappedBinary>,
    /// Libraries that are probed and that it has loaded.
    pub libraries: Vec<LoadedLibrary>,
}

/// A library with its file, or why that can't be opened.
pub type LoadedLibrary = (Library, Result<File, ProcessError>);

/// A file that contains CPython, as a process has mapped it.
#[derive(Debug)]
pub struct MappedBinary {
    /// The mapped file itself, also where its path now names another or is in another mount namespace.
    pub file: File,
    pub identity: FileId,
    /// As in the process's mount namespace.
    pub path: String,
    /// What is added to a virtual address of the file to get the address in the process.
    pub load_bias: u64,
}

/// Whether a process that has just started will run Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// The executable contains CPython.
    Python,
    /// The executable needs libpython, which the dynamic linker will map.
    Later,
    Not,
}

/// Why a process could not be inspected.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("process {tgid} ended while it was inspected")]
    Gone { tgid: u32 },
    #[error(
        "read {} of process {tgid}: {source}: run as root, or with CAP_SYS_PTRACE and CAP_SYS_ADMIN",
        path.display()
    )]
    Denied { tgid: u32, path: PathBuf, source: io::Error },
    #[error("read {} of process {tgid}: {source}", path.display())]
    Read { tgid: u32, path: PathBuf, source: io::Error },
    #[error("{} of process {tgid} has not the form that proc(5) gives", path.display())]
    Form { tgid: u32, path: PathBuf },
    #[error(
        "process {tgid} maps {path}, inode {mapped}, but inode {found} is now there: restart the process, or \
         run as root"
    )]
    Replaced { tgid: u32, path: String, mapped: u64, found: u64 },
}

/// Inspects a process; `None` where it maps no CPython.
pub fn inspect(tgid: u32) -> Result<Option<PythonProcess>, ProcessError> {
    let entry = Entry { tgid };
    let start_ticks = entry.start_ticks()?;
    let exe = match entry.exe() {
        Ok(exe) => exe,
        // A kernel thread has no executable, a zombie no longer.
        Err(ProcessError::Gone { .. }) if entry.path("").exists() => return Ok(None),
        Err(error) => return Err(error),
    };
    let mappings = procfs::executable_mappings(&entry.text("maps")?);
    let binaries = binaries(entry, &exe, &mappings)?;
    if binaries.is_empty() {
        return Ok(None);
    }
    let start_ns_since_boot = clock::ticks_to_ns(start_ticks);
    let process = PythonProcess {
        tgid,
        start_ns_since_boot,
        start_unix_ns: clock::boot_unix_ns().map_or(0, |boot| boot.saturating_add(start_ns_since_boot)),
        exe,
        cmdline: cmdline::shorten(&entry.read("cmdline")?),
        container_id: container::id(tgid),
        namespaced_pid: procfs::namespaced_pid(&entry.text("status")?).unwrap_or(tgid),
        binaries,
        libraries: entry.libraries(&mappings),
    };
    // The number may have passed to another process meanwhile.
    if entry.start_ticks()? != start_ticks {
        return Err(ProcessError::Gone { tgid });
    }
    Ok(Some(process))
}

/// Whether a process that has just started will run Python, by its executable alone.
pub fn expects_python(tgid: u32) -> Result<Expectation, ProcessError> {
    let entry = Entry { tgid };
    let path = entry.path("exe");
    let file = File::open(&path).map_err(|source| entry.error(path, source))?;
    Ok(expectation(&file))
}

/// Whether a process with this executable will run Python.
pub fn expectation(exe: &File) -> Expectation {
    let cache = ReadCache::new(exe);
    match Elf::parse(&cache) {
        Ok(elf) if exports_python(&elf) => Expectation::Python,
        Ok(elf) if elf.needed().iter().any(|library| library.starts_with("libpython")) => Expectation::Later,
        _ => Expectation::Not,
    }
}

impl PythonProcess {
    /// The file of a module of the standard library: the library that the process has loaded, or else the one that it
    /// would load, or else the interpreter. The error is a clause for the user.
    pub fn library(&self, library: Library, interpreter: &Binary) -> Result<File, String> {
        let entry = Entry { tgid: self.tgid };
        if let Some((_, file)) = self.libraries.iter().find(|(loaded, _)| *loaded == library) {
            let file = file.as_ref().map_err(ToString::to_string)?;
            return file.try_clone().map_err(|error| error.to_string());
        }
        let version = interpreter.version.as_deref().unwrap_or_default();
        let is_built_in =
            |binary: &&MappedBinary| library.points(&binary.file, interpreter.object_head).is_ok();
        self.binaries
            .iter()
            .find_map(|binary| library.beside(&entry.path("root"), &binary.path, version))
            .or_else(|| self.binaries.iter().find(is_built_in)?.file.try_clone().ok())
            .ok_or_else(|| {
                let path = self.binaries.first().map_or("", |binary| &binary.path);
                let module = library.module();
                format!("neither a lib-dynload/{module}.*.so beside {path} nor {module} in it")
            })
    }

    /// Where the process keeps its frames and code; `None` where that is not known of its version.
    pub fn layouts(&self, interpreter: &Binary) -> Option<(PythonLayout, CodeLayout)> {
        let bias = self.binaries.first()?.load_bias;
        let (runtime, size) = interpreter.runtime?;
        let runtime = runtime.wrapping_add(bias);
        let memory = File::open(Entry { tgid: self.tgid }.path("mem")).ok()?;
        let code_type = interpreter.code_type?.wrapping_add(bias);
        layout::layouts(
            interpreter.version.as_deref()?,
            (runtime, runtime.wrapping_add(size)),
            code_type,
            &memory,
        )
    }

    /// What the model is told of the process. `interpreter` is what its first binary holds.
    pub fn facts(&self, interpreter: &Binary) -> ProcessFacts {
        let bias = self.binaries.first().map_or(0, |binary| binary.load_bias);
        let runtime = interpreter.runtime.map(|(vaddr, size)| {
            let start = vaddr.wrapping_add(bias);
            (start, start.wrapping_add(size))
        });
        let reason = |what: Subject| {
            interpreter
                .missing
                .iter()
                .find(|missing| missing.what == what)
                .map(|missing| missing.reason.clone())
        };
        let unknown: Vec<Unknown> = [
            (Bucket::PythonGc, reason(Subject::Gc)),
            (Bucket::PythonImport, reason(Subject::Imports)),
            (Bucket::WaitGil, reason(Subject::Gil)),
            (Bucket::WaitLoop, reason(Subject::Contexts)),
        ]
        .into_iter()
        .filter_map(|(bucket, reason)| Some(Unknown { bucket: bucket.name().to_owned(), reason: reason? }))
        .collect();
        ProcessFacts {
            start_unix_ns: self.start_unix_ns,
            exe: self.exe.clone(),
            cmdline: self.cmdline.clone(),
            python: interpreter.version.clone(),
            container_id: self.container_id.clone(),
            runtime,
            unknown,
            sampled: Vec::new(),
        }
    }
}

/// The libraries that a process has loaded of those that are probed; none where that can't be read.
pub fn libraries(tgid: u32) -> Vec<LoadedLibrary> {
    let entry = Entry { tgid };
    let maps = entry.text("maps").unwrap_or_default();
    entry.libraries(&procfs::executable_mappings(&maps))
}

/// Opens the mapped files that contain CPython: the executable first, then libpython.
fn binaries(entry: Entry, exe: &str, mappings: &[Mapping]) -> Result<Vec<MappedBinary>, ProcessError> {
    let is_python = |mapping: &&Mapping| mapping.path == exe || is_libpython(&mapping.path);
    let mut mappings: Vec<&Mapping> = mappings.iter().filter(is_python).collect();
    mappings.sort_by_key(|mapping| mapping.path != exe);
    let mut binaries: Vec<MappedBinary> = Vec::new();
    for mapping in mappings {
        if binaries.iter().any(|binary| binary.path == mapping.path) {
            continue;
        }
        let file = entry.open(mapping)?;
        let load_bias = {
            let cache = ReadCache::new(&file);
            let elf = Elf::parse(&cache).ok().filter(exports_python);
            elf.and_then(|elf| Some(mapping.vaddrs.start.wrapping_sub(elf.executed_at(mapping.offset)?)))
        };
        let Some(load_bias) = load_bias else { continue };
        let identity =
            FileId::of(&file).map_err(|source| entry.error(mapping.path.clone().into(), source))?;
        binaries.push(MappedBinary { file, identity, path: mapping.path.clone(), load_bias });
    }
    Ok(binaries)
}

/// Whether a path names a library that contains CPython.
pub fn is_libpython(path: &str) -> bool {
    Path::new(path).file_name().is_some_and(|name| name.to_string_lossy().starts_with("libpython"))
}

/// A process's directory in `/proc`.
#[derive(Clone, Copy)]
struct Entry {
    tgid: u32,
}

impl Entry {
    fn path(self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.tgid.to_string()).join(name)
    }

    fn read(self, name: &str) -> Result<Vec<u8>, ProcessError> {
        let path = self.path(name);
        fs::read(&path).map_err(|source| self.error(path, source))
    }

    fn text(self, name: &str) -> Result<String, ProcessError> {
        self.read(name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn start_ticks(self) -> Result<u64, ProcessError> {
        let form = || ProcessError::Form { tgid: self.tgid, path: self.path("stat") };
        procfs::start_ticks(&self.text("stat")?).ok_or_else(form)
    }

    fn exe(self) -> Result<String, ProcessError> {
        let path = self.path("exe");
        let target = fs::read_link(&path).map_err(|source| self.error(path, source))?;
        let target = target.to_string_lossy().into_owned();
        Ok(target.strip_suffix(" (deleted)").map(str::to_owned).unwrap_or(target))
    }

    fn libraries(self, mappings: &[Mapping]) -> Vec<LoadedLibrary> {
        let known = mappings.iter().filter_map(|mapping| Some((Library::of(&mapping.path)?, mapping)));
        known.map(|(library, mapping)| (library, self.open(mapping))).collect()
    }

    /// Opens a mapped file. `map_files` leads to the file itself, but only with CAP_SYS_ADMIN or
    /// CAP_CHECKPOINT_RESTORE; else its path is tried, which may by now name another file.
    fn open(self, mapping: &Mapping) -> Result<File, ProcessError> {
        let range = format!("map_files/{:x}-{:x}", mapping.vaddrs.start, mapping.vaddrs.end);
        if let Ok(file) = File::open(self.path(&range)) {
            return Ok(file);
        }
        let path = self.path("root").join(mapping.path.trim_start_matches('/'));
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.ino(), file)));
        let (found, file) = opened.map_err(|source| match source.kind() {
            // The file is gone, the process need not be.
            io::ErrorKind::NotFound => ProcessError::Read { tgid: self.tgid, path, source },
            _ => self.error(path, source),
        })?;
        if found != mapping.ino {
            let (tgid, path) = (self.tgid, mapping.path.clone());
            return Err(ProcessError::Replaced { tgid, path, mapped: mapping.ino, found });
        }
        Ok(file)
    }

    fn error(self, path: PathBuf, source: io::Error) -> ProcessError {
        let tgid = self.tgid;
        match source.kind() {
            io::ErrorKind::NotFound => ProcessError::Gone { tgid },
            _ if source.raw_os_error() == Some(libc::ESRCH) => ProcessError::Gone { tgid },
            io::ErrorKind::PermissionDenied => ProcessError::Denied { tgid, path, source },
            _ => ProcessError::Read { tgid, path, source },
        }
    }
}
