//! Containers of the test's own, started by runc as its users do: file systems are overlays of one image.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    lab::{Lab, folder},
    running::Running,
};

/// Python within an image.
pub const PYTHON: &str = "/usr/bin/python3";

/// What containerd knows the image as.
pub const IMAGE: &str = "localhost/python:1";

/// An image, from which containers are made.
pub struct Image<'lab> {
    lab: &'lab Lab,
    folder: PathBuf,
}

impl<'lab> Image<'lab> {
    /// One with the system's Python, and `tests/apps/contained.py` in its root folder.
    pub fn make(lab: &'lab Lab) -> Image<'lab> {
        let folder = lab.dir().join("image");
        fs::create_dir(&folder).expect("make a folder");
        let mut make = Command::new(self::folder("lab").join("image.sh"));
        Running::start(make.arg(&folder), lab.dir(), "image").finish(crate::lab::LIMIT).expect_code(0);
        fs::copy(self::folder("apps").join("contained.py"), folder.join("contained.py")).expect("copy it");
        // What containers change lies in memory: the folder of the test may be an overlay itself, which can't hold it.
        fs::create_dir(lab.dir().join("changes")).expect("make a folder");
        let mut mount = lab.command("mount");
        mount.args(["-t", "tmpfs", "tmpfs"]).arg(lab.dir().join("changes"));
        lab.run(&mut mount, "mount").expect_code(0);
        Image { lab, folder }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A container that is not started. `name` is unique within the test.
    pub fn container(&self, name: &str, arguments: &[&str]) -> Container<'lab> {
        let bundle = self.lab.dir().join(name);
        let root = bundle.join("rootfs");
        fs::create_dir_all(&root).expect("make a folder");
        let changes = self.lab.dir().join("changes").join(name);
        let options = format!(
            "lowerdir={},upperdir={changes}/upper,workdir={changes}/work",
            self.folder.display(),
            changes = changes.display()
        );
        let mut shell = self.lab.command("sh");
        let script = "mkdir -p $1/upper $1/work && mount -t overlay -o $2 overlay $3";
        shell.args(["-c", script, "sh"]).arg(&changes).arg(options).arg(&root);
        self.lab.run(&mut shell, "overlay").expect_code(0);
        // Names of containers are the host's.
        let id = format!("tracer-test-{}-{name}", std::process::id());
        let mut container = Container { lab: self.lab, id, bundle };
        container.configure(arguments);
        container
    }
}

/// A container of runc. It ends with the test at the latest.
pub struct Container<'lab> {
    lab: &'lab Lab,
    pub id: String,
    bundle: PathBuf,
}

impl Container<'_> {
    fn configure(&mut self, arguments: &[&str]) {
        self.lab
            .run(self.lab.command("runc").args(["spec", "--bundle"]).arg(&self.bundle), "spec")
            .expect_code(0);
        let file = self.bundle.join("config.json");
        let text = fs::read_to_string(&file).expect("runc has written it");
        let mut spec: Value = serde_json::from_str(&text).expect("it is JSON");
        spec["process"]["terminal"] = json!(false);
        spec["process"]["args"] =
            [PYTHON, "/contained.py"].iter().chain(arguments).map(|word| json!(word)).collect();
        spec["root"]["readonly"] = json!(false);
        spec["linux"]["cgroupsPath"] = json!(format!("/{}", self.id));
        fs::write(&file, spec.to_string()).expect("write the configuration");
    }

    /// Runs it. The process is runc, which ends as the container does.
    pub fn start(&self) -> Running {
        let mut run = self.lab.command("runc");
        self.lab.start_command(run.args(["run", "--bundle"]).arg(&self.bundle).arg(&self.id), &self.id)
    }

    /// Runs another program in it.
    pub fn exec(&self, arguments: &[&str]) -> Running {
        let mut exec = self.lab.command("runc");
        exec.args(["exec", &self.id, PYTHON]).args(arguments);
        self.lab.start_command(&mut exec, &format!("{}-exec", self.id))
    }

    /// Runs a command on its root folder, as `$root` of a shell has it.
    pub fn change(&self, script: &str) {
        let mut shell = self.lab.command("sh");
        shell.args(["-euc", script]).env("root", self.bundle.join("rootfs"));
        self.lab.run(&mut shell, "change").expect_code(0);
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // It has been deleted where it ended by itself.
        let _ = self.lab.command("runc").args(["delete", "--force", &self.id]).output();
    }
}

/// A containerd of the test's own.
pub struct Containerd {
    socket: PathBuf,
    _process: Running,
}

impl Containerd {
    /// Starts it, with the image.
    pub fn start(lab: &Lab, image: &Image) -> Containerd {
        let socket = lab.dir().join("containerd.sock");
        let folder = lab.dir().join("changes/containerd");
        let configuration = lab.dir().join("containerd.toml");
        let text = format!(
            "version = 2\nroot = '{folder}/root'\nstate = '{folder}/state'\n\
             disabled_plugins = ['io.containerd.grpc.v1.cri']\ngrpc.address = '{}'\n",
            socket.display(),
            folder = folder.display()
        );
        fs::write(&configuration, text).expect("write its configuration");
        fs::create_dir(lab.dir().join("shared")).expect("make a folder");
        let mut containerd = lab.command("containerd");
        let process = lab.start_command(containerd.arg("--config").arg(configuration), "containerd");
        let containerd = Containerd { socket, _process: process };
        let start = std::time::Instant::now();
        while lab.run(containerd.ctr(lab).arg("version"), "ctr").status.code() != Some(0) {
            assert!(start.elapsed() < crate::lab::LIMIT, "containerd does not come up");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let archive = lab.dir().join("image.tar");
        let script = "b='buildah --storage-driver=vfs --root '$1/buildah
            printf 'FROM scratch\\nCOPY . /\\n' > $1/Containerfile
            $b build --quiet --isolation=chroot --tag $3 --file $1/Containerfile $2
            $b push --quiet $3 oci-archive:$4:$3";
        let mut pack = lab.command("sh");
        pack.args(["-euc", script, "sh"])
            .arg(lab.dir().join("changes"))
            .arg(&image.folder)
            .arg(IMAGE)
            .arg(&archive);
        lab.run(&mut pack, "pack").expect_code(0);
        lab.run(containerd.ctr(lab).args(["images", "import"]).arg(&archive), "import").expect_code(0);
        containerd
    }

    /// Runs `contained.py` in a container, which notes what Kubernetes would. The process is `ctr`, which ends as that does.
    pub fn run(&self, lab: &Lab, name: &str) -> Running {
        let id = format!("tracer-test-{}-{name}", std::process::id());
        let mut run = self.ctr(lab);
        run.args(["run", "--rm", "--cgroup", &format!("/{id}")]);
        for (key, value) in [
            ("image-name", IMAGE),
            ("container-name", "app"),
            ("sandbox-namespace", "llm"),
            ("sandbox-name", name),
        ] {
            run.args(["--annotation", &format!("io.kubernetes.cri.{key}={value}")]);
        }
        let mount =
            format!("type=bind,src={},dst=/shared,options=rbind:ro", lab.dir().join("shared").display());
        run.args(["--mount", &mount, IMAGE, &id, PYTHON, "/contained.py", "5", "7", "/shared/go"]);
        lab.start_command(&mut run, &id)
    }

    fn ctr(&self, lab: &Lab) -> Command {
        let mut ctr = lab.command("ctr");
        ctr.arg("--address").arg(&self.socket);
        ctr
    }
}
