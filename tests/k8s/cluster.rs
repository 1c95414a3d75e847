//! A Kubernetes of one node, in network and mount namespaces of its own: nothing of it listens on this host, or leaves it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use tests::{
    lab::{LIMIT, folder},
    running::{Finished, Running},
};

/// The node's name.
pub const NODE: &str = "n1";

/// The address of the API server's service, which pods are told of. No proxy leads to it: the API server has it.
const SERVICE: &str = "10.99.0.1";

const TOKEN: &str = "admin-of-the-test";

/// What makes images `NAME:1` of folders. The command is that of the pods' own containers.
const CONTAINERFILE: &str = "FROM scratch\nCOPY . /\nCMD [\"/bin/busybox\", \"sleep\", \"1000000\"]\n";

pub struct Cluster {
    /// In reverse order of their start; the namespaces, which hold all, come last.
    parts: Vec<Running>,
    api_server: Option<Running>,
    namespaces: Running,
    folder: TempDir,
}

/// A path that `cargo xtask test k8s` gives.
pub fn given(variable: &str) -> PathBuf {
    let path = env::var_os(variable);
    path.unwrap_or_else(|| panic!("{variable}: run this by `cargo xtask test k8s`")).into()
}

impl Cluster {
    /// Brings it up, with the images `pause`, `python` (the applications and the lab) and the tracer's.
    pub fn start() -> Cluster {
        let folder = tempfile::tempdir().expect("make a folder");
        let dir = folder.path();
        let mut namespaces = Command::new("unshare");
        namespaces.args(["--net", "--mount", "--propagation=private", "--"]);
        namespaces.arg(self::folder("k8s").join("namespaces.sh")).arg(dir).arg(SERVICE);
        let mut namespaces = Running::start(&mut namespaces, dir, "namespaces");
        namespaces.wait_for_stderr("ready", LIMIT);
        let mut cluster = Cluster { parts: Vec::new(), api_server: None, namespaces, folder };
        cluster.write_configuration();
        cluster.start_containerd();
        cluster.import_images();
        cluster.start_control_plane();
        cluster
    }

    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// A command in the cluster's namespaces.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--mount", "--target", &self.namespaces.pid().to_string(), "--"]);
        command
            .arg(program.as_ref())
            .env("KUBECONFIG", self.dir().join("kubeconfig"))
            .env("HOME", self.dir());
        command
    }

    pub fn run(&self, mut command: Command, name: &str) -> Finished {
        Running::start(&mut command, self.dir(), name).finish(LIMIT)
    }

    /// What kubectl prints; it succeeds.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let mut kubectl = self.command(given("TRACER_TEST_KUBECTL"));
        kubectl.args(arguments);
        self.run(kubectl, "kubectl").expect_code(0).stdout
    }

    /// The same as JSON.
    pub fn get(&self, arguments: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "--output", "json"][..], arguments].concat());
        serde_json::from_str(&text).expect("it is JSON")
    }

    pub fn helm(&self, arguments: &[&str]) {
        let mut helm = self.command(given("TRACER_TEST_HELM"));
        helm.args(arguments);
        self.run(helm, "helm").expect_code(0);
    }

    /// Waits until something holds.
    #[track_caller]
    pub fn wait_until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !holds() {
            assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}\n{}", self.state());
            thread::sleep(Duration::from_millis(250));
        }
    }

    /// Ends the API server, or starts it again.
    pub fn stop_api_server(&mut self) {
        let api_server = self.api_server.take().expect("it runs");
        api_server.signal(libc::SIGKILL);
        api_server.finish(LIMIT);
    }

    pub fn start_api_server(&mut self) {
        let dir = self.dir();
        let mut api_server = self.command(given("TRACER_TEST_KUBERNETES").join("kube-apiserver"));
        api_server
            .args(["--etcd-servers=http://127.0.0.1:12379", "--secure-port=443", "--bind-address=0.0.0.0"])
            .args(["--advertise-address=10.98.0.1", "--service-cluster-ip-range=10.99.0.0/24"])
            .arg("--kubelet-preferred-address-types=InternalIP")
            .args(["--authorization-mode=RBAC", "--service-account-issuer=https://cluster.test"])
            .arg(format!("--cert-dir={}", dir.join("certificates").display()))
            .arg(format!("--token-auth-file={}", dir.join("tokens.csv").display()))
            .arg(format!("--service-account-key-file={}", dir.join("accounts.pem").display()))
            .arg(format!("--service-account-signing-key-file={}", dir.join("accounts.pem").display()));
        self.api_server = Some(Running::start(&mut api_server, dir, "kube-apiserver"));
        self.wait_until("the API server is ready", || {
            let mut kubectl = self.command(given("TRACER_TEST_KUBECTL"));
            kubectl.args(["get", "--raw", "/readyz"]);
            self.run(kubectl, "readyz").stdout == "ok"
        });
    }

    /// What may say why something does not come about.
    fn state(&self) -> String {
        let mut kubectl = self.command(given("TRACER_TEST_KUBECTL"));
        kubectl.args(["describe", "pods", "--all-namespaces"]);
        self.run(kubectl, "describe").stdout
    }

    fn write_configuration(&self) {
        let dir = self.dir();
        let write = |name: &str, text: String| fs::write(dir.join(name), text).expect("write it");
        let place = |text: &str| text.replace("$DIR", &dir.display().to_string()).replace("$TOKEN", TOKEN);
        for name in ["containerd.toml", "kubeconfig", "kubelet.yaml", "tokens.csv"] {
            write(name, place(&fs::read_to_string(folder("k8s").join(name)).expect("it is there")));
        }
        fs::create_dir(dir.join("cni")).expect("make a folder");
        write(
            "cni/bridge.conflist",
            place(&fs::read_to_string(folder("k8s").join("bridge.conflist")).expect("it is there")),
        );
        let mut key = self.command("openssl");
        key.args(["genrsa", "-out"]).arg(dir.join("accounts.pem")).arg("2048");
        self.run(key, "openssl").expect_code(0);
    }

    fn start_part(&mut self, name: &str, command: &mut Command) {
        let part = Running::start(command, self.dir(), name);
        self.parts.insert(0, part);
    }

    fn start_containerd(&mut self) {
        let mut containerd = self.command("containerd");
        containerd.arg("--config").arg(self.dir().join("containerd.toml"));
        self.start_part("containerd", &mut containerd);
        self.wait_until("containerd is up", || self.run(self.ctr(&["version"]), "ctr").status.success());
    }

    fn ctr(&self, arguments: &[&str]) -> Command {
        let mut ctr = self.command("ctr");
        ctr.arg("--address")
            .arg(self.dir().join("containerd.sock"))
            .args(["--namespace", "k8s.io"])
            .args(arguments);
        ctr
    }

    fn import_images(&self) {
        let dir = self.dir();
        let pause = dir.join("pause");
        fs::create_dir_all(pause.join("bin")).expect("make a folder");
        fs::copy("/bin/busybox", pause.join("bin/busybox")).expect("busybox is installed");
        let python = dir.join("python");
        let mut make = Command::new(folder("lab").join("image.sh"));
        make.arg(&python).arg(tests::python::Python::system().packages());
        self.run(make, "image").expect_code(0);
        for name in ["apps", "lab"] {
            let mut copy = Command::new("cp");
            copy.arg("-r").arg(folder(name)).arg(python.join(name));
            self.run(copy, "copy").expect_code(0);
        }
        for name in ["pause", "python"] {
            let archive = self.archive(name);
            self.run(self.ctr(&["images", "import", &archive.display().to_string()]), "import")
                .expect_code(0);
        }
        let tracer = given("TRACER_TEST_IMAGE").display().to_string();
        self.run(self.ctr(&["images", "import", &tracer]), "import").expect_code(0);
    }

    /// Makes an image `localhost/NAME:1` of a folder.
    fn archive(&self, name: &str) -> PathBuf {
        let dir = self.dir();
        fs::write(dir.join("Containerfile"), CONTAINERFILE).expect("write it");
        let archive = dir.join(format!("{name}.tar"));
        let image = format!("localhost/{name}:1");
        let buildah = || {
            let mut buildah = self.command("buildah");
            buildah.args(["--storage-driver=vfs", "--root"]).arg(dir.join("containerd/buildah"));
            buildah
        };
        let mut build = buildah();
        build.args(["build", "--quiet", "--isolation=chroot", "--tag", &image, "--file"]);
        build.arg(dir.join("Containerfile")).arg(dir.join(name));
        self.run(build, "buildah").expect_code(0);
        let mut push = buildah();
        push.args(["push", "--quiet", &image, &format!("oci-archive:{}:{image}", archive.display())]);
        self.run(push, "buildah").expect_code(0);
        archive
    }

    fn start_control_plane(&mut self) {
        let dir = self.dir().to_owned();
        let programs = given("TRACER_TEST_KUBERNETES");
        let mut etcd = self.command("etcd");
        etcd.arg("--data-dir").arg(dir.join("etcd"));
        etcd.args([
            "--listen-client-urls=http://127.0.0.1:12379",
            "--advertise-client-urls=http://127.0.0.1:12379",
        ]);
        etcd.arg("--listen-peer-urls=http://127.0.0.1:12380");
        self.start_part("etcd", &mut etcd);
        self.start_api_server();
        let kubeconfig = format!("--kubeconfig={}", dir.join("kubeconfig").display());
        let own = ["--leader-elect=false", "--bind-address=127.0.0.1", "--port=0"];
        let mut controllers = self.command(programs.join("kube-controller-manager"));
        controllers
            .args([&kubeconfig])
            .args(own)
            .arg("--controllers=daemonset,deployment,replicaset,serviceaccount,serviceaccount-token,garbagecollector,nodelifecycle")
            .arg(format!("--cert-dir={}", dir.join("certificates-controllers").display()))
            .arg(format!("--service-account-private-key-file={}", dir.join("accounts.pem").display()))
            .arg(format!("--root-ca-file={}", dir.join("certificates/apiserver.crt").display()));
        self.start_part("kube-controller-manager", &mut controllers);
        let mut scheduler = self.command(programs.join("kube-scheduler"));
        scheduler.args([&kubeconfig]).args(own);
        scheduler.arg(format!("--cert-dir={}", dir.join("certificates-scheduler").display()));
        self.start_part("kube-scheduler", &mut scheduler);
        let mut kubelet = self.command(programs.join("kubelet"));
        kubelet
            .args([&kubeconfig])
            .args(["--container-runtime=remote", "--pod-infra-container-image=localhost/pause:1"])
            .arg(format!("--config={}", dir.join("kubelet.yaml").display()))
            .arg(format!("--container-runtime-endpoint=unix://{}", dir.join("containerd.sock").display()))
            .arg(format!("--root-dir={}", dir.join("kubelet").display()))
            .arg(format!("--cert-dir={}", dir.join("certificates-kubelet").display()))
            .args([&format!("--hostname-override={NODE}"), "--node-ip=10.98.0.1"]);
        self.start_part("kubelet", &mut kubelet);
        self.wait_until("the node is ready", || {
            let mut kubectl = self.command(given("TRACER_TEST_KUBECTL"));
            kubectl.args(["wait", "--for=condition=Ready", "--timeout=1s", &format!("node/{NODE}")]);
            self.run(kubectl, "wait").status.success()
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.state());
        }
        // The kubelet would start them again.
        self.parts.retain(|part| !part.name().starts_with("kubelet"));
        let mut end = self.command("sh");
        end.arg(folder("k8s").join("end.sh")).arg(self.dir());
        self.run(end, "end");
    }
}
