//! Records the captures of the replay tests anew: each application in the lab under a small load. A capture replaces the kept one
//! only when its report agrees with the truth. Arguments: names of captures; none means all.

use std::{env, ffi::OsString, fs};

use tests::{
    compare::Comparison,
    lab::{Lab, PORT, folder},
    python::Python,
    recording::Recording,
    truth::Truth,
};
use tracer::report::types::Report;

struct Subject {
    name: &'static str,
    /// Arguments of Python.
    command: &'static str,
    /// It ends by itself, and is its own only request.
    is_run: bool,
    /// Sends the requests.
    load: fn(&Lab, &Python),
    check: fn(&Report, &Truth),
}

const SUBJECTS: [Subject; 10] = [
    Subject {
        name: "demo",
        command: "-m uvicorn demo:app --loop asyncio --no-access-log --log-level warning",
        is_run: false,
        load: |lab, _| {
            let model = "model=ttft=100-400,gap=20,n=10";
            let paths = ["wait", "blocking", "fanout"].map(|route| format!("/{route}/{{id}}?{model}"));
            let [wait, blocking, fanout] = paths.each_ref().map(String::as_str);
            lab.drive(&["--requests", "2", "--concurrency", "4", wait, "/cpu/{id}", blocking, fanout]);
        },
        check: compare,
    },
    Subject {
        name: "chat",
        command: "-m uvicorn chat:app --loop asyncio --no-access-log --log-level warning",
        is_run: false,
        load: |lab, _| {
            lab.drive(&[
                "--requests",
                "6",
                "--concurrency",
                "3",
                "/chat/{id}?model=ttft=100-400,gap=10,n=10",
            ]);
        },
        check: compare,
    },
    Subject {
        name: "flask-sync",
        command: "-m gunicorn --workers 2 --log-level warning flask_app:app",
        is_run: false,
        load: flask,
        check: compare,
    },
    Subject {
        name: "flask-threads",
        command: "-m gunicorn --threads 4 --log-level warning flask_app:app",
        is_run: false,
        load: flask,
        check: compare,
    },
    Subject {
        name: "gevent",
        command: "-m gunicorn --worker-class gevent --log-level warning matrix.gevent_app:app",
        is_run: false,
        load: |lab, _| by_styles(lab, &["ask", "spawn", "submit", "queued", "slept"]),
        check: compare,
    },
    Subject {
        name: "turns",
        command: "-m uvicorn matrix.asgi:app --loop asyncio --no-access-log --log-level warning",
        is_run: false,
        load: |lab, _| by_styles(lab, &["semaphore", "exhausted_pool"]),
        check: compare,
    },
    Subject { name: "script", command: "script.py", is_run: true, load: |_, _| (), check: compare },
    Subject { name: "native", command: "native.py 100", is_run: true, load: |_, _| (), check: compare },
    Subject { name: "split-hello", command: "split_hello.py", is_run: true, load: |_, _| (), check: compare },
    Subject {
        name: "edge",
        command: "-m uvicorn edge:app --loop asyncio --no-access-log --log-level warning --ws wsproto",
        is_run: false,
        load: |lab, python| {
            lab.drive(&["--requests", "1", "--prefix", "warm", "/quick/{id}"]);
            lab.forget();
            let mut edges = lab.command(python.program("python"));
            edges.args(["edges.py", PORT]).arg(lab.dir().join("client.jsonl"));
            lab.run(&mut edges, "edges").expect_code(0);
        },
        check: compare_with_caller,
    },
];

fn main() {
    let wanted: Vec<String> = env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| SUBJECTS.iter().all(|subject| subject.name != **name)) {
        panic!("no capture is called {unknown}; there are {:?}", SUBJECTS.map(|subject| subject.name));
    }
    for subject in SUBJECTS {
        if wanted.is_empty() || wanted.iter().any(|name| name == subject.name) {
            record(&subject);
        }
    }
}

fn record(subject: &Subject) {
    let python = Python::system();
    let lab = Lab::start();
    let command = neutral(&lab, &python).map(OsString::from);
    let arguments = subject.command.split_whitespace().map(OsString::from);
    let recording = Recording::start(&lab, subject.name, command.into_iter().chain(arguments));
    (subject.load)(&lab, &python);
    let report = if subject.is_run { recording.finish().1 } else { recording.interrupt() };
    eprintln!("{}", subject.name);
    (subject.check)(&report, &lab.truth());

    let kept = folder("captures").join(subject.name).with_extension("trace");
    let bytes = fs::copy(lab.dir().join(subject.name).with_extension("capture"), &kept)
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", kept.display()));
    let requests = report.requests.len();
    eprintln!("  kept {}: {bytes} bytes, {requests} requests", kept.display());
}

/// What runs the environment's Python under a path that says nothing of the machine, on applications under another
/// such, in the lab's own mount namespace.
fn neutral(lab: &Lab, python: &Python) -> [&'static str; 4] {
    let program = python.program("python");
    let venv = program.ancestors().nth(2).expect("python lies in VENV/bin");
    let mut mount = lab.command("sh");
    mount
        .arg("-c")
        .arg(
            "mount -t tmpfs none /srv && mkdir /srv/venv /srv/tests && mount --bind \"$0\" /srv/venv \
             && mount --bind \"$1\" /srv/tests",
        )
        .arg(venv)
        .arg(folder(""));
    lab.run(&mut mount, "mount").expect_code(0);
    ["--", "env", "--chdir=/srv/tests/apps", "/srv/venv/bin/python"]
}

/// Two calls and two requests without; before that each worker has done what it does only once.
fn flask(lab: &Lab, _: &Python) {
    lab.drive(&["--requests", "6", "--concurrency", "4", "--prefix", "warm", "/cpu/{id}?ms=1"]);
    lab.forget();
    let ask = "/ask/{id}?model=ttft=100-300,gap=10,n=5";
    lab.drive(&["--requests", "3", "--concurrency", "3", ask, "/cpu/{id}?ms=20"]);
}

/// Some requests of each style of the matrix, once each has made what it makes only once.
fn by_styles(lab: &Lab, styles: &[&str]) {
    let paths: Vec<String> =
        styles.iter().map(|style| format!("/{style}/{{id}}?model=ttft=100-300,gap=10,n=5")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    lab.drive(&[&["--requests", "1", "--concurrency", "8", "--prefix", "warm"][..], &paths].concat());
    lab.forget();
    lab.drive(&[&["--requests", "3", "--concurrency", "8"][..], &paths].concat());
}

fn compare(report: &Report, truth: &Truth) {
    Comparison::new("against application and vendor", report, truth).check();
}

/// By what the caller saw: of each request one, with its status, and as long as it took.
fn compare_with_caller(report: &Report, truth: &Truth) {
    assert!(!truth.responses.is_empty(), "the caller logged nothing");
    for response in &truth.responses {
        let found: Vec<_> = report
            .requests
            .iter()
            .filter(|request| request.path.as_deref() == Some(&response.path))
            .collect();
        let [request] = found.as_slice() else {
            panic!("{} requests are {}", found.len(), response.path);
        };
        let true_ns = response.last_byte_ns.expect("it was answered") - response.sent_ns;
        eprintln!(
            "  {:<16} status {:?} complete {} wall {:.2} ms, as the caller saw it {:.2} ms",
            response.path,
            request.status,
            request.complete,
            request.wall_ns as f64 / 1e6,
            true_ns as f64 / 1e6
        );
        assert_eq!(request.status, response.status, "status of {}", response.path);
        assert!(request.complete, "{} is complete", response.path);
        let allowed_ns = (true_ns / 50).max(2_000_000);
        assert!(request.wall_ns.abs_diff(true_ns) <= allowed_ns, "wall time of {}", response.path);
    }
}
