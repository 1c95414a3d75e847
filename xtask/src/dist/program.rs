//! The program: one file that needs nothing of the system but its kernel.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use object::{
    Endianness, elf,
    read::elf::{ElfFile64, ProgramHeader as _},
};

use crate::{
    build::{places, remapping},
    workspace::{cargo, run, say},
};

/// glibc itself is linked in, so that the program runs where the system's is older, or is musl. What of glibc loads modules
/// at run time (name services, character sets) is not used: users are looked up in /etc/passwd, and addresses are of
/// loopback.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds it, from nothing where the folder is new.
pub fn build(object: &Path, folder: &Path, epoch: &str) -> Result<PathBuf> {
    say("dist", "tracer, as one static file");
    let maps: Vec<String> =
        places()?.iter().map(|(path, name)| format!("-ffile-prefix-map={}={name}", path.display())).collect();
    run(cargo()
        .args([
            "build",
            "--locked",
            "--profile",
            "dist",
            "--package",
            "tracer",
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(folder)
        .env(
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
            format!("-C target-feature=+crt-static {}", remapping()?),
        )
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // SQLite's.
        .env("CFLAGS", maps.join(" "))
        .env("SOURCE_DATE_EPOCH", epoch)
        .env("TRACER_EBPF_OBJECT", object))?;
    Ok(folder.join(TARGET).join("dist/tracer"))
}

/// An error if it needs anything of the system that it runs on, or tells of this machine.
pub fn check(program: &Path) -> Result<()> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let file = ElfFile64::<Endianness>::parse(&*bytes).context("the program is no ELF file")?;
    let endian = file.endian();
    for header in file.elf_program_headers() {
        if header.p_type(endian) == elf::PT_INTERP {
            bail!("the program is not static: it names a dynamic loader");
        }
        let dynamic = header.dynamic(endian, &*bytes)?.unwrap_or_default();
        if dynamic.iter().any(|entry| entry.d_tag.get(endian) == elf::DT_NEEDED) {
            bail!("the program is not static: it needs libraries");
        }
    }
    for (place, _) in places()? {
        let place: &OsStr = place.as_os_str();
        let is_in = bytes.windows(place.len()).any(|window| window == place.as_bytes());
        if is_in {
            bail!("the program tells of this machine: `{}` is in it", place.display());
        }
    }
    Ok(())
}
