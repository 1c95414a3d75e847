//! A toolchain for musl, with the libraries that Python needs: Debian has the C library alone.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use anyhow::{Context as _, Result};

use super::archive::Archive;
use crate::{
    need,
    workspace::{jobs, make, quiet, run, say},
};

const ZLIB: Archive = Archive {
    path: "pool/main/z/zlib/zlib_1.3.dfsg+really1.3.1.orig.tar.gz",
    sha256: "60dd315c07f616887caa029408308a018ace66e3d142726a97db164b3b8f69fb",
    folder: "zlib-1.3.1",
};
const OPENSSL: Archive = Archive {
    path: "pool/main/o/openssl/openssl_3.5.4.orig.tar.gz",
    sha256: "967311f84955316969bdb1d8d4b983718ef42338639c621ec4c34fddef355e99",
    folder: "openssl-3.5.4",
};

/// Headers of the kernel, which musl has none of.
const KERNEL_HEADERS: [(&str, &str); 3] = [
    ("linux", "/usr/include/linux"),
    ("asm-generic", "/usr/include/asm-generic"),
    ("asm", "/usr/include/x86_64-linux-gnu/asm"),
];

/// Modules whose libraries are only there for glibc.
const WITHOUT: [&str; 11] = [
    "_bz2",
    "_ctypes",
    "_curses",
    "_curses_panel",
    "_dbm",
    "_gdbm",
    "_lzma",
    "_sqlite3",
    "_tkinter",
    "_uuid",
    "readline",
];

/// What of OpenSSL neither Python nor a vendor asks for: without it half of its files are to be compiled.
const WITHOUT_OF_OPENSSL: [&str; 30] = [
    "aria",
    "bf",
    "camellia",
    "cast",
    "cmp",
    "cms",
    "ct",
    "dsa",
    "gost",
    "idea",
    "legacy",
    "md4",
    "mdc2",
    "ml-dsa",
    "quic",
    "rc2",
    "rc4",
    "rfc3779",
    "rmd160",
    "seed",
    "siphash",
    "slh-dsa",
    "sm2",
    "sm4",
    "srp",
    "srtp",
    "ssl-trace",
    "ts",
    "weak-ssl-ciphers",
    "whirlpool",
];

/// Makes what is missing in `folder`; gives the options of CPython's `configure` that name it.
pub fn options(task: &str, folder: &Path) -> Result<Vec<String>> {
    let folder = folder.join("musl-libraries");
    let compiler = folder.join("cc");
    if !folder.join("made").exists() {
        need::packages(task, "musl's C library", &["musl-tools", "linux-libc-dev", "perl"])?;
        say(task, "building zlib and OpenSSL for musl (about two minutes)");
        write_compiler(&folder, &compiler)?;
        build_zlib(task, &folder, &compiler)?;
        build_openssl(task, &folder, &compiler)?;
        fs::write(folder.join("made"), "")?;
    }
    let prefix = folder.display();
    let mut options = vec![
        format!("CC={}", compiler.display()),
        // It would find glibc's.
        "PKG_CONFIG=/bin/false".to_owned(),
        format!("--with-openssl={prefix}"),
        format!("ZLIB_CFLAGS=-I{prefix}/include"),
        format!("ZLIB_LIBS=-L{prefix}/lib -lz"),
        "LDFLAGS=-Wl,--strip-all".to_owned(),
    ];
    options.extend(WITHOUT.iter().map(|module| format!("py_cv_module_{module}=n/a")));
    Ok(options)
}

/// musl-gcc with the kernel's headers; it says what it makes, where gcc says what it is itself made for.
fn write_compiler(folder: &Path, compiler: &Path) -> Result<()> {
    let headers = folder.join("kernel-headers");
    fs::create_dir_all(&headers).with_context(|| format!("cannot make {}", headers.display()))?;
    for (name, target) in KERNEL_HEADERS {
        let link = headers.join(name);
        let _ = fs::remove_file(&link);
        symlink(target, &link).with_context(|| format!("cannot make {}", link.display()))?;
    }
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --print-multiarch ] && exec echo x86_64-linux-musl\nexec musl-gcc \"$@\" -idirafter '{}'\n",
        headers.display()
    );
    fs::write(compiler, script).with_context(|| format!("cannot write {}", compiler.display()))?;
    Ok(fs::set_permissions(compiler, fs::Permissions::from_mode(0o755))?)
}

fn build_zlib(task: &str, folder: &Path, compiler: &Path) -> Result<()> {
    let source = ZLIB.unpacked(task, folder)?;
    run(quiet("./configure", &source)
        .args(["--static", &format!("--prefix={}", folder.display())])
        .env("CC", compiler)
        .env("CFLAGS", "-O2 -fPIC"))?;
    run(make(&source).arg("install"))
}

fn build_openssl(task: &str, folder: &Path, compiler: &Path) -> Result<()> {
    let source = OPENSSL.unpacked(task, folder)?;
    run(quiet("./Configure", &source)
        .args(["linux-x86_64", "no-shared", "no-tests", "no-docs", "no-apps", "no-asm", "no-engine", "-fPIC"])
        .args(WITHOUT_OF_OPENSSL.map(|part| format!("no-{part}")))
        .arg("-O1")
        .args([&format!("--prefix={}", folder.display()), "--libdir=lib", "--openssldir=/etc/ssl"])
        .env("CC", compiler))?;
    run(make(&source).args([&jobs(), "build_libs"]))?;
    run(make(&source).arg("install_dev"))
}
