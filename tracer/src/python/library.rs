//! Libraries beside the interpreter that are probed.

use std::fs::{self, File};
use std::path::Path;

use super::binary::PythonPoint;
use super::{future, greenlet, openssl, queue};

/// A library that is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Library {
    /// `_queue`, which hands work to thread pools.
    Queue,
    /// `_asyncio`, which wakes tasks.
    Asyncio,
    /// gevent's own, which hands work to its greenlets.
    GreenletQueue,
    /// greenlet, which switches stacks.
    Greenlet,
    /// `_ssl`, which hands plaintext to OpenSSL and takes it.
    Ssl,
    /// OpenSSL itself.
    Openssl,
}

impl Library {
    const MODULES: [Library; 5] =
        [Library::Queue, Library::Asyncio, Library::Ssl, Library::GreenletQueue, Library::Greenlet];

    /// What is at a path; `None` where it is none of these.
    pub fn of(path: &str) -> Option<Library> {
        let name = Path::new(path).file_name()?.to_string_lossy();
        let (module, rest) = name.split_once('.')?;
        // `libssl.so.3`; a wheel that brings its own calls it `libssl-5c7ca1e9.so.3`.
        if module == "libssl" || module.starts_with("libssl-") {
            return Some(Library::Openssl);
        }
        Library::MODULES.into_iter().find(|library| rest.ends_with("so") && library.module() == module)
    }

    /// The module's name, with which those of its files begin.
    pub fn module(self) -> &'static str {
        match self {
            Library::Queue => "_queue",
            Library::Asyncio => "_asyncio",
            Library::GreenletQueue => "_gevent_cqueue",
            Library::Greenlet => "_greenlet",
            Library::Ssl => "_ssl",
            Library::Openssl => "libssl",
        }
    }

    /// What an interpreter at `path` would load, as seen from the root folder `root` of its process; `None` where it is
    /// not in the place that CPython's installation gives it, which for free-threaded builds is named `python3.13t`, nor
    /// beside it, where Nuitka puts it.
    pub fn beside(self, root: &Path, path: &str, version: &str) -> Option<File> {
        let minor = version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        let (path, free_threaded) = (Path::new(path), format!("{minor}t"));
        // The interpreter is in PREFIX/bin, libpython in PREFIX/lib, or in lib64 as Red Hat has it, or below it as Debian
        // has it; what is made into one program by PyInstaller has all of it in one folder.
        let folder = path.parent()?;
        let prefix = folder.parent()?;
        let libs = [prefix.join("lib"), prefix.join("lib64"), prefix.to_owned(), folder.to_owned()];
        let is_free_threaded = path.file_name()?.to_string_lossy().contains(&free_threaded);
        let mut names = [minor, free_threaded];
        if is_free_threaded {
            names.reverse();
        }
        let within = |folder: &Path| Some(root.join(folder.strip_prefix("/").ok()?));
        let installed =
            names.iter().flat_map(|name| libs.iter().map(move |lib| (name, lib))).find_map(|(name, lib)| {
                let folder = lib.join(format!("python{name}/lib-dynload"));
                let entries = fs::read_dir(within(&folder)?).ok()?;
                let mut files = entries.flatten();
                let library =
                    files.find(|entry| Library::of(&entry.file_name().to_string_lossy()) == Some(self))?;
                File::open(library.path()).ok()
            });
        installed.or_else(|| File::open(within(folder)?.join(format!("{}.so", self.module()))).ok())
    }

    /// Finds its points in a file, for an interpreter whose `PyObject` has so many bytes. The error is a clause for the
    /// user.
    pub fn points(self, file: &File, object_head: u64) -> Result<Vec<PythonPoint>, String> {
        match self {
            Library::Asyncio => future::points(file, object_head).map_err(|error| error.to_string()),
            Library::Queue => queue::points(file).map_err(|error| error.to_string()),
            Library::GreenletQueue => queue::greenlet_points(file).map_err(|error| error.to_string()),
            Library::Greenlet => greenlet::points(file).map_err(|error| error.to_string()),
            Library::Ssl => openssl::module_points(file).map_err(|error| error.to_string()),
            Library::Openssl => openssl::points(file).map_err(|error| error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::binary::Role;
    use super::*;

    #[test]
    fn libraries_are_known_by_their_names() {
        for (path, library) in [
            ("/usr/lib/python3.11/lib-dynload/_queue.cpython-311-x86_64-linux-gnu.so", Some(Library::Queue)),
            (
                "/srv/site-packages/greenlet/_greenlet.cpython-313-x86_64-linux-gnu.so",
                Some(Library::Greenlet),
            ),
            ("/srv/site-packages/gevent/_gevent_cqueue.abi3.so", Some(Library::GreenletQueue)),
            (
                "/opt/lib/python3.9/lib-dynload/_asyncio.cpython-39-x86_64-linux-gnu.so",
                Some(Library::Asyncio),
            ),
            ("/usr/lib/x86_64-linux-gnu/libssl.so.3", Some(Library::Openssl)),
            ("/usr/lib/libssl.so.1.1", Some(Library::Openssl)),
            ("/srv/site-packages/psycopg_binary.libs/libssl-81ffa89e.so.3", Some(Library::Openssl)),
            ("/usr/lib/x86_64-linux-gnu/libssl3.so", None),
            ("/srv/_queue.so", Some(Library::Queue)),
            ("/srv/my_queue.so", None),
            ("/srv/_queue.py", None),
            ("", None),
        ] {
            assert_eq!(Library::of(path), library, "{path}");
        }
    }

    #[test]
    fn each_python_has_the_modules_of_the_standard_library() {
        let pyenv = std::env::var_os("PYENV_ROOT")
            .map(std::path::PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")));
        let versions =
            pyenv.map(|pyenv| pyenv.join("versions")).and_then(|versions| fs::read_dir(versions).ok());
        let pyenv = versions.into_iter().flatten().flatten().filter_map(|version| {
            let name = version.file_name().into_string().ok()?;
            let minor: u32 = name.strip_prefix("3.")?.split('.').next()?.parse().ok()?;
            (minor >= 8).then(|| (version.path().join("bin/python3").display().to_string(), name))
        });
        let debian = fs::read_link("/usr/bin/python3").ok().map(|target| {
            let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (format!("/usr/bin/{name}"), name.trim_start_matches("python").to_owned())
        });
        let mut n_pythons = 0;
        for (path, version) in pyenv.chain(debian) {
            let beside = |library: Library| library.beside(Path::new("/"), &path, &version);
            let (Some(queue), Some(asyncio)) = (beside(Library::Queue), beside(Library::Asyncio)) else {
                eprintln!("skipped {path}: it has no _queue and _asyncio in its lib-dynload");
                continue;
            };
            let points = Library::Queue.points(&queue, 16).expect("it has the methods");
            let of = |role| points.iter().filter(move |point| point.role == role);
            assert_eq!(of(Role::QueuePut).count(), 2, "{path}: {points:?}");
            assert_eq!(of(Role::QueueGet).count(), 2, "{path}: {points:?}");
            assert!((1..=6).contains(&of(Role::QueueGot).count()), "{path}: {points:?}");
            assert!(
                points.iter().all(|point| !point.stepped || point.role == Role::QueueGot),
                "{path}: {points:?}"
            );
            let points = Library::Asyncio.points(&asyncio, 16).expect("it has the method");
            assert!((1..=2).contains(&points.len()), "{path}: {points:?}");
            n_pythons += 1;
        }
        assert!(n_pythons > 0, "no Python of this machine has its modules in libraries");
    }

    #[test]
    fn modules_are_found_from_wherever_libpython_is() {
        for (library, modules) in [
            ("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", "usr/lib/python3.11/lib-dynload"),
            ("/usr/lib64/libpython3.11.so.1.0", "usr/lib64/python3.11/lib-dynload"),
            ("/usr/bin/python3.11", "usr/lib64/python3.11/lib-dynload"),
            ("/tmp/_MEIx/libpython3.11.so.1.0", "tmp/_MEIx/python3.11/lib-dynload"),
        ] {
            let root = tempfile::tempdir().expect("make a directory");
            fs::create_dir_all(root.path().join(modules)).expect("make a directory");
            fs::write(root.path().join(modules).join("_queue.so"), "").expect("write a file");
            assert!(Library::Queue.beside(root.path(), library, "3.11.2").is_some(), "{library}");
            assert!(Library::Queue.beside(root.path(), library, "3.12.2").is_none(), "{library}");
        }
    }

    #[test]
    fn modules_are_found_beside_a_program_of_nuitka() {
        let root = tempfile::tempdir().expect("make a directory");
        let folder = root.path().join("tmp/onefile_1");
        fs::create_dir_all(&folder).expect("make a directory");
        fs::write(folder.join("_queue.so"), "").expect("write a file");
        let beside = |library: Library| library.beside(root.path(), "/tmp/onefile_1/app.bin", "3.11.2");
        assert!(beside(Library::Queue).is_some());
        assert!(beside(Library::Asyncio).is_none());
    }

    #[test]
    fn builds_of_one_prefix_have_libraries_of_their_own() {
        let root = tempfile::tempdir().expect("make a directory");
        for (name, content) in [("python3.13", "gil"), ("python3.13t", "free")] {
            let folder = root.path().join("usr/lib").join(name).join("lib-dynload");
            fs::create_dir_all(&folder).expect("make a directory");
            fs::write(folder.join("_queue.so"), content).expect("write a file");
        }
        let content = |path| {
            let file = Library::Queue.beside(root.path(), path, "3.13.5").expect("it is there");
            std::io::read_to_string(file).expect("it reads")
        };
        assert_eq!(content("/usr/bin/python3.13"), "gil");
        assert_eq!(content("/usr/bin/python3.13t"), "free");
        assert_eq!(content("/usr/lib/libpython3.13t.so.1.0"), "free");
    }
}
