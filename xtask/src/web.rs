//! The web page: built from `web/` into `tracer/data/web`, and tested in a browser.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build, need, python, venv,
    workspace::{cargo, command, quiet, root, run, say, target},
};

const BROWSER: &str = "/usr/bin/chromium";
const FONT: &str = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf";

/// Builds the page anew, which `cargo build` then embeds.
pub fn build() -> Result<()> {
    let node = Node::new("web")?;
    build_into(&node, &embedded())?;
    say("web", "the page is in tracer/data/web");
    Ok(())
}

/// The page is what its sources make, and does in a real browser what it should. With `takes_pictures` those are taken anew.
pub fn test(takes_pictures: bool) -> Result<()> {
    install_browser("test")?;
    let node = Node::new("test")?;
    say("test", "the page is formatted, its types are right, and it is what its sources make");
    run(&mut node.npm(&["run", "--silent", "check"]))?;
    let built = target().join("web/built");
    build_into(&node, &built)?;
    compare(&built, &embedded())?;

    say("test", "writing the history that the page shows");
    let history = target().join("web/history.db");
    for ending in ["", "-wal", "-shm"] {
        // It may not be there.
        let _ = fs::remove_file(target().join(format!("web/history.db{ending}")));
    }
    run(cargo()
        .args(["run", "--quiet", "--package", "tests", "--example", "web-history", "--"])
        .arg(&history)
        .stdout(std::io::stderr()))?;
    let tracer = build::build()?;
    say("test", "the page in a browser");
    let mut tests = node.npm(&["run", "--silent", "test"]);
    if takes_pictures {
        tests.args(["--", "--update-snapshots"]);
    }
    run(tests
        .env("TRACER", tracer)
        .env("TRACER_TEST_HISTORY", history)
        .env("TRACER_TEST_OUTPUT", target().join("web/results")))
}

/// What tests with a browser need; gives the `PATH` with node.
pub fn prepare(task: &str) -> Result<OsString> {
    install_browser(task)?;
    Ok(Node::new(task)?.path)
}

fn install_browser(task: &str) -> Result<()> {
    for (path, what, package) in
        [(BROWSER, "a browser", "chromium"), (FONT, "the font of the pictures", "fonts-dejavu-core")]
    {
        if !Path::new(path).exists() {
            need::packages(task, what, &[package])?;
        }
    }
    Ok(())
}

/// What is embedded.
fn embedded() -> PathBuf {
    root().join("tracer/data/web")
}

fn build_into(node: &Node, folder: &Path) -> Result<()> {
    let mut build = node.npm(&["run", "--silent", "build", "--", "--logLevel", "warn", "--outDir"]);
    run(build.arg(folder))
}

/// Whether two folders have the same files.
fn compare(built: &Path, embedded: &Path) -> Result<()> {
    if files(built)? != files(embedded)? {
        bail!(
            "{} is not what its sources in web/ make: run `cargo xtask web`, and commit what it changes",
            embedded.display()
        );
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<(OsString, Vec<u8>)>> {
    let read = || {
        let entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
        let file = |entry: fs::DirEntry| Ok((entry.file_name(), fs::read(entry.path())?));
        entries.into_iter().map(file).collect::<std::io::Result<Vec<_>>>()
    };
    let mut files = read().with_context(|| format!("cannot read {}", folder.display()))?;
    files.sort();
    Ok(files)
}

/// node of the environment of tools, with the packages that the page is built and tested with.
struct Node {
    folder: PathBuf,
    path: OsString,
}

impl Node {
    fn new(task: &str) -> Result<Node> {
        let bin = venv::venv(task, &python::tools(task)?)?.join("bin");
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([bin].into_iter().chain(env::split_paths(&path)))?;
        let node = Node { folder: root().join("web"), path };
        node.install(task)?;
        Ok(node)
    }

    /// `npm`, which takes its packages from the versions that are locked.
    fn npm(&self, arguments: &[&str]) -> Command {
        let mut npm = command("npm");
        npm.current_dir(&self.folder).args(arguments).env("PATH", &self.path);
        npm
    }

    fn install(&self, task: &str) -> Result<()> {
        let stamp = self.folder.join("node_modules/made-from");
        let lock =
            fs::read(self.folder.join("package-lock.json")).context("cannot read web/package-lock.json")?;
        if fs::read(&stamp).is_ok_and(|made_from| made_from == lock) {
            return Ok(());
        }
        say(task, "installing the packages of the page (some 10 s)");
        let mut npm = quiet("npm", &self.folder);
        npm.args(["ci", "--loglevel=error", "--no-audit", "--no-fund", "--ignore-scripts"]);
        run(npm.env("PATH", &self.path))?;
        fs::write(&stamp, lock).with_context(|| format!("cannot write {}", stamp.display()))
    }
}
