//! Builds the probes and then the program that carries them.
//!
//! No toolchain brings `core` for the BPF target ready-made. Two ways lead there, and the first that works is taken: compile it from
//! rustc's own sources, or take Debian's BPF edition of the library with Debian's compiler.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    need,
    workspace::{cargo, command, output, root, run, say, target},
};

/// Options of rustc for the probes: BTF in the object, from full debug info, and the registers of this machine's `pt_regs`.
const RUSTFLAGS: &str = "-C link-arg=--btf --cfg=bpf_target_arch=\"x86_64\" -C debuginfo=2 -C panic=abort";

/// Builds everything; the path of the program.
pub fn build() -> Result<PathBuf> {
    let object = probes()?;
    say("build", "tracer");
    run(cargo().args(["build", "--release", "--package", "tracer"]).env("TRACER_EBPF_OBJECT", object))?;
    Ok(target().join("release/tracer"))
}

/// Builds what prints the verifier's counts; the path of the program. It does no work of its own to speak of, and the tests
/// need the same library.
pub fn verifier() -> Result<PathBuf> {
    run(cargo().args(["build", "--quiet", "--package", "tracer", "--example", "verifier"]))?;
    Ok(target().join("debug/examples/verifier"))
}

/// Options of rustc under which no path of this machine is in what it makes.
pub fn remapping() -> Result<String> {
    let places = places()?;
    let options = places.iter().map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display()));
    Ok(options.collect::<Vec<_>>().join(" "))
}

/// Where sources lie on this machine, and what they are called instead.
pub fn places() -> Result<[(PathBuf, &'static str); 3]> {
    let sysroot = output(command("rustc").args(["--print", "sysroot"]))?;
    let home = env::var_os("HOME").unwrap_or_default();
    let cargo_home = env::var_os("CARGO_HOME").map_or_else(|| Path::new(&home).join(".cargo"), PathBuf::from);
    Ok([(root().to_owned(), "tracer"), (cargo_home, "cargo"), (sysroot.into(), "rust")])
}

/// The eBPF object.
pub fn probes() -> Result<PathBuf> {
    probes_in(&target().join("ebpf"))
}

/// The eBPF object, built in a folder.
pub fn probes_in(folder: &Path) -> Result<PathBuf> {
    let toolchain = toolchain()?;
    say("build", "eBPF object");
    let folder = toolchain.folder(folder);
    run(toolchain.cargo("build")?.args(["--release", "--target-dir"]).arg(&folder))?;
    let object = folder.join("bpfel-unknown-none/release/tracer-ebpf");
    if fs::metadata(&object).map(|object| object.len()).unwrap_or(0) == 0 {
        bail!("the build left no eBPF object at {}", object.display());
    }
    Ok(object)
}

/// Holds the probes against clippy, by the compiler that builds them.
pub fn lint_probes() -> Result<()> {
    let toolchain = toolchain()?;
    let mut clippy = toolchain.cargo("clippy")?;
    clippy.args(["--quiet", "--target-dir"]).arg(toolchain.folder(&target().join("ebpf")));
    // aya's maps take keys by reference or by value; a reference does not copy the key on the 512 bytes of stack.
    let allowed = ["-A", "clippy::needless_borrows_for_generic_args"];
    run(clippy.args(["--", "-D", "warnings"]).args(allowed))
}

/// What compiles the probes.
struct Toolchain {
    name: &'static str,
    linker: PathBuf,
    /// Another compiler than cargo's own.
    rustc: Option<&'static str>,
    arguments: &'static [&'static str],
}

impl Toolchain {
    /// One for each toolchain: cargo goes by the time of the object, and an older one of another compiler is not newer.
    fn folder(&self, of: &Path) -> PathBuf {
        of.join(self.name)
    }

    /// A command of cargo on the program of the probes.
    fn cargo(&self, task: &str) -> Result<Command> {
        let mut command = cargo();
        command
            .args([task, "--package", "tracer-ebpf", "--bin", "tracer-ebpf", "--features", "probes"])
            .args(["--target", "bpfel-unknown-none"])
            .args(self.arguments)
            // The probes need unstable features of the language; nothing else here does.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &self.linker)
            .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_RUSTFLAGS", format!("{RUSTFLAGS} {}", remapping()?))
            // These are for the machine's own programs, and cargo would take them instead of the line above.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        if let Some(rustc) = self.rustc {
            command.env("RUSTC", rustc);
        }
        Ok(command)
    }
}

/// The first way that can be had. Whether the probes then compile is another matter, and no reason to install more.
fn toolchain() -> Result<Toolchain> {
    let first = match stock() {
        Ok(toolchain) => return Ok(toolchain),
        Err(error) => error,
    };
    say("build", format!("the stock toolchain can't build the probes: {first:#}"));
    say("build", "trying Debian's BPF edition of core instead");
    debian().with_context(|| format!("no way to build the probes works; the first said: {first:#}"))
}

/// The stock toolchain, which compiles `core` from its component rust-src.
fn stock() -> Result<Toolchain> {
    let sysroot = output(command("rustc").args(["--print", "sysroot"]))?;
    let sources = Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/Cargo.toml");
    if !sources.exists() {
        say("build", "installing rustc's component rust-src");
        run(command("rustup").args(["component", "add", "rust-src"]))
            .context("the sources of core are missing: run `rustup component add rust-src`")?;
        // rustup goes by its own records, and may find nothing to do.
        if !sources.exists() {
            bail!(
                "rustup has the component rust-src, but there is no {}: run `rustup component remove rust-src` and \
                 `rustup component add rust-src`",
                sources.display()
            );
        }
    }
    // The default features take LLVM from rustc, so no LLVM package is needed.
    let linker = linker("0.10.3", |_| ())?;
    Ok(Toolchain { name: "stock", linker, rustc: None, arguments: &["-Z", "build-std=core"] })
}

/// Debian's rustc for browsers, for which `core` is packaged, and its LLVM.
fn debian() -> Result<Toolchain> {
    let core = Path::new("/usr/lib/rustlib/bpfel-unknown-none");
    let llvm = Path::new("/usr/lib/llvm-22");
    if !core.exists() || !llvm.join("include/llvm").exists() {
        need::packages(
            "build",
            "Rust's core library for BPF",
            &["rustc-web", "libstd-rust-web-dev-bpf", "llvm-22-dev", "libpolly-22-dev", "libzstd-dev"],
        )?;
    }
    let linker = linker("0.13.0", |install| {
        install.args(["--no-default-features", "--features", "llvm-22"]).env("LLVM_PREFIX", llvm);
    })?;
    Ok(Toolchain { name: "debian", linker, rustc: Some("/usr/bin/rustc"), arguments: &[] })
}

/// bpf-linker of that version, as found or installed into the target folder.
fn linker(version: &str, configure: impl FnOnce(&mut Command)) -> Result<PathBuf> {
    let folder = target().join(format!("bpf-linker-{version}"));
    let ours = folder.join("bin/bpf-linker");
    for candidate in [Path::new("bpf-linker"), &ours] {
        if output(command(candidate).arg("--version"))
            .is_ok_and(|found| found.ends_with(&format!(" {version}")))
        {
            return Ok(candidate.to_path_buf());
        }
    }
    say("build", format!("installing bpf-linker {version} (about a minute)"));
    let mut install = cargo();
    install.args(["install", "--locked", "bpf-linker", "--version", version, "--root"]).arg(&folder);
    configure(&mut install);
    run(&mut install)?;
    Ok(ours)
}
