//! What a machine boots from: a disk with the tracer, Python and the applications, and a first root folder with what the
//! kernel has as modules.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};

use super::suites::Kernel;
use crate::workspace::{command, output, root, run};

/// Files of the host and of the workspace that go onto the disk.
pub struct Contents {
    pub tracer: PathBuf,
    pub verifier: PathBuf,
    /// The eBPF object, for the verifier.
    pub object: PathBuf,
    /// The interpreter, or a link to it.
    pub python: PathBuf,
    /// Its virtual environment.
    pub venv: PathBuf,
    /// What runs containers.
    pub runc: PathBuf,
}

/// Folders of Python and of the environment that none of the applications there imports, and which are large.
const LEFT_OUT: [&str; 14] = [
    "aiohttp",
    "django",
    "ensurepip",
    "gevent",
    "idlelib",
    "lib2to3",
    "pip",
    "pydoc_data",
    "sanic",
    "setuptools",
    "sqlalchemy",
    "test",
    "tkinter",
    "tornado",
];

/// What the scripts of `xtask/vm` call busybox for.
const BUSYBOX: &str = "/bin/busybox";

/// Modules that a kernel may need to see its disks, in the order in which they need each other.
const MODULES: [&str; 6] =
    ["virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"];

/// Makes the disk; no machine changes it.
pub fn disk(folder: &Path, contents: &Contents) -> Result<PathBuf> {
    let stage = folder.join("stage");
    let _ = fs::remove_dir_all(&stage);
    for made in ["bin", "dev", "etc", "out", "proc", "root", "run", "sys", "tmp", "usr/bin"] {
        fs::create_dir_all(stage.join(made))?;
    }
    copy(Path::new(BUSYBOX), &stage.join("bin/busybox"))?;
    symlink("busybox", stage.join("bin/sh"))?;
    for script in ["guest", "containers", "bundle.py"] {
        copy(&root().join("xtask/vm").join(script), &stage.join(script))?;
    }
    copy(&contents.runc, &stage.join("usr/bin/runc"))?;
    for (file, place) in
        [(&contents.tracer, "tracer"), (&contents.verifier, "verifier"), (&contents.object, "probes")]
    {
        run(command("cp").arg(file).arg(stage.join(place)))?;
    }
    // The largest part of them; the eBPF object has in it what it is relocated by.
    run(command("strip").args(["tracer", "verifier"].map(|name| stage.join(name))))?;
    let python = fs::canonicalize(&contents.python).context("the system's Python")?;
    copy(&python, &stage.join("usr/bin/python3"))?;
    let library = Path::new("/usr/lib").join(python.file_name().context("a Python without a name")?);
    copy_folder(&library, &stage.join(library.strip_prefix("/")?))?;
    copy_folder(&contents.venv, &stage.join("venv"))?;
    for part in ["apps", "lab"] {
        copy_folder(&root().join("tests").join(part), &stage.join("tests").join(part))?;
    }
    copy_libraries(&stage)?;
    for (file, text) in [
        ("passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("hosts", "127.0.0.1 localhost\n"),
        ("resolv.conf", ""),
        ("nsswitch.conf", ""),
    ] {
        fs::write(stage.join("etc").join(file), text)?;
    }
    let disk = folder.join("disk.img");
    let _ = fs::remove_file(&disk);
    let used = output(command("du").args(["--summarize", "--block-size=1M"]).arg(&stage))?;
    let used_mb: u64 = used.split_ascii_whitespace().next().unwrap_or_default().parse()?;
    // The tables of the file system take a fifth at most.
    run(command("mke2fs")
        .args(["-q", "-t", "ext4", "-O", "^has_journal", "-d"])
        .arg(&stage)
        .arg(&disk)
        .arg(format!("{}M", used_mb + used_mb / 4 + 64)))?;
    fs::remove_dir_all(&stage)?;
    Ok(disk)
}

/// Makes the first root folder of a kernel.
pub fn first_root(kernel: &Kernel, folder: &Path) -> Result<PathBuf> {
    let stage = folder.join("first");
    for made in ["bin", "dev", "mods", "proc", "root", "sys"] {
        fs::create_dir_all(stage.join(made))?;
    }
    copy(Path::new(BUSYBOX), &stage.join("bin/busybox"))?;
    copy(&root().join("xtask/vm/init"), &stage.join("init"))?;
    for (number, module) in MODULES.iter().filter_map(|name| kernel.module(name)).enumerate() {
        let unpacked = File::create(stage.join(format!("mods/{number}.ko")))?;
        let unpack = match module.extension().and_then(|extension| extension.to_str()) {
            Some("xz") => "xzcat",
            Some("ko") => "cat",
            _ => bail!("{} is packed in a way that is not known", module.display()),
        };
        run(command(BUSYBOX).arg(unpack).arg(&module).stdout(unpacked))?;
    }
    let archive = folder.join("first.cpio");
    let mut pack = command(BUSYBOX);
    pack.args(["sh", "-c", "busybox find . | busybox cpio -o -H newc"]).current_dir(&stage);
    run(pack.stdout(File::create(&archive)?).stderr(Stdio::null()))?;
    fs::remove_dir_all(&stage)?;
    Ok(archive)
}

/// The libraries that the programs and libraries below a folder are linked with, at the places where the host has them.
fn copy_libraries(stage: &Path) -> Result<()> {
    let mut linked = Vec::new();
    visit(stage, &mut |path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_program = ["tracer", "verifier", "python3", "runc"].contains(&&*name);
        if is_program || name.ends_with(".so") {
            linked.push(path.to_path_buf());
        }
    })?;
    let mut libraries = BTreeSet::new();
    for file in linked {
        // Fails on what is linked with nothing.
        let listed = command("ldd").arg(&file).output()?;
        let text = String::from_utf8_lossy(&listed.stdout);
        libraries
            .extend(text.split_ascii_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned));
    }
    for library in libraries {
        let place = stage.join(library.trim_start_matches('/'));
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        copy(Path::new(&library), &place)?;
    }
    Ok(())
}

fn visit(folder: &Path, see: &mut dyn FnMut(&Path)) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            visit(&entry.path(), see)?;
        } else if entry.file_type()?.is_file() {
            see(&entry.path());
        }
    }
    Ok(())
}

/// Copies a folder, but for what is [`LEFT_OUT`].
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (source, place) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &place)?;
        } else if kind.is_file() {
            copy(&source, &place)?;
        } else if !LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
            copy_folder(&source, &place)?;
        }
    }
    Ok(())
}

/// Links a file or, where that can't be, copies it; the time of its last change stays, by which Python knows what it compiled.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let from = fs::canonicalize(from).with_context(|| format!("cannot find {}", from.display()))?;
    if fs::hard_link(&from, to).is_ok() {
        return Ok(());
    }
    let copied = || -> io::Result<()> {
        fs::copy(&from, to)?;
        File::options().write(true).open(to)?.set_modified(fs::metadata(&from)?.modified()?)
    };
    copied().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}
