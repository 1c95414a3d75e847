//! Kernels of Debian's suites for the cloud, by apt with a configuration of its own: the host's is left alone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    python::debian,
    workspace::{command, output, run, say},
};

/// A kernel, unpacked.
pub struct Kernel {
    /// As `uname -r` says.
    pub release: String,
    /// Holds `boot` and modules.
    pub folder: PathBuf,
}

/// A suite of Debian, with that of its security where it has one.
struct Suite {
    name: &'static str,
    has_security: bool,
}

/// Each has another line of kernels: 5.10, 6.1, 6.12, and two of the newest.
const SUITES: [Suite; 5] = [
    Suite { name: "bullseye", has_security: true },
    Suite { name: "bookworm", has_security: true },
    Suite { name: "trixie", has_security: false },
    Suite { name: "sid", has_security: false },
    Suite { name: "trixie-backports", has_security: false },
];

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What was fetched is taken again for so long.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// The newest kernel of each suite, in `folder`. One that can't be had is told and left out.
pub fn fetch(task: &str, folder: &Path) -> Result<Vec<Kernel>> {
    let mirror = debian::mirror(task)?;
    let mut kernels: Vec<Kernel> = Vec::new();
    for suite in &SUITES {
        match suite.kernel(task, &mirror, &folder.join(suite.name)) {
            Ok(kernel) if kernels.iter().any(|other| other.release == kernel.release) => {}
            Ok(kernel) => kernels.push(kernel),
            Err(error) => say(task, format!("no kernel of Debian {}: {error:#}", suite.name)),
        }
    }
    Ok(kernels)
}

impl Suite {
    fn kernel(&self, task: &str, mirror: &str, folder: &Path) -> Result<Kernel> {
        let stamp = folder.join("release");
        let age = fs::metadata(&stamp).and_then(|stamp| stamp.modified()).map(|made| made.elapsed());
        if !matches!(age, Ok(Ok(age)) if age < FRESH) {
            say(task, format!("fetching the kernel of Debian {}", self.name));
            let _ = fs::remove_dir_all(folder);
            let release = self.fetch(mirror, folder)?;
            fs::write(&stamp, release)?;
        }
        let release = fs::read_to_string(&stamp)?;
        Ok(Kernel { release, folder: folder.join("unpacked") })
    }

    /// Downloads and unpacks it; gives its release.
    fn fetch(&self, mirror: &str, folder: &Path) -> Result<String> {
        for made in ["lists/partial", "cache/archives/partial", "unpacked"] {
            fs::create_dir_all(folder.join(made))?;
        }
        let source = |mirror: &str, suite: &str| format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
        let mut sources = source(mirror, self.name);
        if self.has_security {
            let security = format!("{}-security", mirror.trim_end_matches('/'));
            sources.push_str(&source(&security, &format!("{}-security", self.name)));
        }
        fs::write(folder.join("sources.list"), sources)?;
        fs::write(folder.join("apt.conf"), configuration(folder))?;
        let apt = |program: &str| in_suite(program, folder);
        run(apt("apt-get").args(["--quiet=2", "update"]).stdout(std::io::stderr()))?;
        // The package for the newest kernel depends on that, whose name has the release.
        let depends =
            output(apt("apt-cache").args(["depends", "--no-recommends", "linux-image-cloud-amd64"]))?;
        let image = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
        let release = image.context("linux-image-cloud-amd64 depends on no kernel")?.to_owned();
        // From 7.2 on the kernel is in packages of other names.
        let split = ["binary", "modules", "base"].map(|part| format!("linux-{part}-{release}"));
        let is_split = apt("apt-cache").arg("show").arg(&split[0]).output()?.status.success();
        let packages = if is_split { split.to_vec() } else { vec![format!("linux-image-{release}")] };
        run(apt("apt-get").args(["--quiet=2", "download"]).args(packages).stdout(std::io::stderr()))?;
        for entry in fs::read_dir(folder)? {
            let package = entry?.path();
            if package.extension().is_some_and(|extension| extension == "deb") {
                run(command("dpkg-deb").arg("--extract").arg(&package).arg(folder.join("unpacked")))?;
                fs::remove_file(package)?;
            }
        }
        for used in ["lists", "cache"] {
            fs::remove_dir_all(folder.join(used))?;
        }
        Ok(release)
    }
}

fn in_suite(program: &str, folder: &Path) -> Command {
    let mut apt = command(program);
    apt.current_dir(folder).env("APT_CONFIG", folder.join("apt.conf"));
    apt
}

/// Everything that apt keeps is in this folder, and nothing of a release's end is held against it.
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "{folder}/lists";
Dir::Cache "{folder}/cache";
APT::Sandbox::User "root";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
"#
    )
}

impl Kernel {
    /// The file that boots.
    pub fn file(&self) -> Result<PathBuf> {
        self.find(&|name| name.starts_with("vmlinuz"))
    }

    /// The file of a module; nothing where it is built in.
    pub fn module(&self, name: &str) -> Option<PathBuf> {
        self.find(&|file| file.strip_prefix(name).is_some_and(|rest| rest.starts_with(".ko"))).ok()
    }

    fn find(&self, is_it: &dyn Fn(&str) -> bool) -> Result<PathBuf> {
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if is_it(&entry.file_name().to_string_lossy()) {
                    return Ok(entry.path());
                }
            }
        }
        bail!("{} has no such file", self.folder.display())
    }
}
