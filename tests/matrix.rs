//! Every server with every style of concurrency: the applications of `tests/apps/matrix`, and how they are measured.

use std::ffi::OsString;

use crate::{
    compare::Comparison,
    lab::{Lab, PORT},
    python::Python,
    recording::Recording,
};

/// A server with an application, one of the rows of the matrix.
pub struct Server {
    pub name: &'static str,
    styles: Styles,
    /// A program of the Python's environment, and its arguments; `ADDRESS` and `PORT` stand for where it listens.
    command: &'static [&'static str],
    /// The first minor version of CPython that it runs on.
    since: u32,
    /// What it needs besides that program, by the name that is imported.
    package: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Styles {
    /// `tests/apps/matrix/styles.py`
    Async,
    /// The same, under Django's names.
    DjangoAsync,
    /// `tests/apps/matrix/sync_styles.py`
    Sync,
    /// `tests/apps/matrix/gevent_app.py`
    Gevent,
}

/// The servers of the matrix.
pub const SERVERS: &[Server] = &[
    server("uvicorn", Styles::Async, &["uvicorn", "--loop", "asyncio", "--port", "PORT", "matrix.asgi:app"]),
    server(
        "uvicorn-uvloop",
        Styles::Async,
        &["uvicorn", "--loop", "uvloop", "--port", "PORT", "matrix.asgi:app"],
    )
    .with("uvloop"),
    server(
        "uvicorn-4-workers",
        Styles::Async,
        &["uvicorn", "--loop", "asyncio", "--workers", "4", "--port", "PORT", "matrix.asgi:app"],
    ),
    server(
        "hypercorn",
        Styles::Async,
        &["hypercorn", "--backlog", "2048", "--bind", "ADDRESS", "matrix.asgi:app"],
    ),
    server(
        "gunicorn-uvicorn",
        Styles::Async,
        &["gunicorn", "-k", "uvicorn.workers.UvicornWorker", "-w", "2", "-b", "ADDRESS", "matrix.asgi:app"],
    ),
    server("gunicorn-sync", Styles::Sync, &["gunicorn", "-w", "8", "-b", "ADDRESS", "matrix.flask_app:app"]),
    server(
        "gunicorn-gthread",
        Styles::Sync,
        &["gunicorn", "-w", "2", "--threads", "8", "-b", "ADDRESS", "matrix.flask_app:app"],
    ),
    server(
        "gunicorn-gevent",
        Styles::Gevent,
        &["gunicorn", "-k", "gevent", "-w", "2", "-b", "ADDRESS", "matrix.gevent_app:app"],
    )
    .with("gevent"),
    server(
        "fastapi-def",
        Styles::Sync,
        &["uvicorn", "--loop", "asyncio", "--port", "PORT", "matrix.fastapi_def:app"],
    )
    .with("fastapi"),
    server("aiohttp", Styles::Async, &["python", "-m", "matrix.aiohttp_app", "PORT"]).with("aiohttp"),
    server("django-wsgi", Styles::Sync, &["gunicorn", "-w", "8", "-b", "ADDRESS", "matrix.django_app:wsgi"])
        .with("django"),
    server(
        "django-asgi",
        Styles::DjangoAsync,
        &["uvicorn", "--loop", "asyncio", "--port", "PORT", "matrix.django_app:asgi"],
    )
    .with("django"),
    server("tornado", Styles::Async, &["python", "-m", "matrix.tornado_app", "PORT"]).with("tornado"),
    Server {
        since: 9,
        ..server("sanic", Styles::Async, &["sanic", "--no-motd", "--port", "PORT", "matrix.sanic_app:app"])
    },
];

const ASYNC: &[&str] = &[
    "awaited",
    "gather",
    "create_task",
    "wait_for",
    "nested_run",
    "anyio_group",
    "executor",
    "own_pool",
    "thread",
    "anyio_thread",
    "from_thread",
    "loop_in_thread",
    "subprocess",
    "exhausted_pool",
    "semaphore",
    "proxied",
    "cancelled",
    "background",
    "background_thread",
    "greenlet",
];
/// With the first minor version that has them.
const ASYNC_SINCE: &[(&str, u32)] = &[("to_thread", 9), ("task_group", 11), ("eager", 12)];
/// Of servers on builds that have a package.
const ASYNC_WITH: &[(&str, &str)] = &[("aiohttp_pool", "aiohttp")];
const SYNC: &[&str] = &["ask", "submit", "pool_of_its_own", "thread", "child", "loop", "urllib3_pool"];
const GEVENT: &[&str] = &["ask", "spawn", "pooled", "queued", "slept", "given_up"];
/// The last gevent for 3.8 has pools whose queue is Python code.
const GEVENT_SINCE: &[(&str, u32)] = &[("submit", 9)];

const fn server(name: &'static str, styles: Styles, command: &'static [&'static str]) -> Server {
    Server { name, styles, command, since: 8, package: None }
}

/// A load on a server.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    pub concurrency: u32,
    /// Requests of each style.
    pub requests: u32,
    /// Styles; all that are exact where it is empty.
    pub styles: &'a [String],
}

impl Server {
    const fn with(self, package: &'static str) -> Server {
        Server { package: Some(package), ..self }
    }

    pub fn named(name: &str) -> Option<&'static Server> {
        SERVERS.iter().find(|server| server.name == name)
    }

    pub fn runs_on(&self, python: &Python) -> bool {
        let program = self.command.first().expect("a command has a program");
        python.minor() >= self.since
            && python.program(program).exists()
            && self.package.is_none_or(|package| python.has_package(package))
    }

    /// Records the server under a load, and holds the report against the truth. The lab has what was recorded.
    pub fn measure(&self, python: &Python, load: Load) -> (Lab, Comparison) {
        let lab = Lab::start();
        let command = [OsString::from("--")].into_iter().chain(self.command(python));
        let recording = Recording::start(&lab, "record", command);
        let styles = if load.styles.is_empty() { self.styles(python) } else { load.styles.to_vec() };
        let paths: Vec<String> = styles.iter().map(|style| self.path(style, load.concurrency)).collect();
        let (requests, concurrency) = (load.requests.to_string(), load.concurrency.to_string());
        // Workers are there, and have made what they make once.
        let options = ["--requests", "2", "--concurrency", "16", "--prefix", "warm"].map(str::to_owned);
        drive(&lab, &options, &paths);
        lab.wait_for_background();
        lab.forget();
        drive(&lab, &["--requests".into(), requests, "--concurrency".into(), concurrency], &paths);
        lab.wait_for_background();
        let report = recording.interrupt();
        let title = format!("{}, {}, {} at a time", self.name, python.name, load.concurrency);
        let comparison = Comparison::new(title, &report, &lab.truth());
        (lab, comparison)
    }

    fn command(&self, python: &Python) -> Vec<OsString> {
        let (program, arguments) = self.command.split_first().expect("a command has a program");
        let arguments = arguments
            .iter()
            .map(|argument| argument.replace("ADDRESS", &format!("127.0.0.1:{PORT}")).replace("PORT", PORT));
        python.command(program).into_iter().chain(arguments.map(OsString::from)).collect()
    }

    /// What is exact with a Python.
    pub fn styles(&self, python: &Python) -> Vec<String> {
        let owned = |styles: &[&str]| styles.iter().map(|style| (*style).to_owned()).collect::<Vec<_>>();
        let since = |styles: &[(&str, u32)]| {
            let newer = styles.iter().filter(|(_, since)| python.minor() >= *since);
            newer.map(|(style, _)| (*style).to_owned()).collect::<Vec<_>>()
        };
        match self.styles {
            Styles::Sync => owned(SYNC),
            Styles::Gevent => [owned(GEVENT), since(GEVENT_SINCE)].concat(),
            Styles::Async | Styles::DjangoAsync => {
                let with = ASYNC_WITH.iter().filter(|(_, package)| python.has_package(package));
                let with = with.map(|(style, _)| (*style).to_owned()).collect();
                [owned(ASYNC), since(ASYNC_SINCE), with].concat()
            }
        }
    }

    /// Exchanges are told apart by their times: many at once, which wait for a machine that is busy with them, need times
    /// that differ by more.
    fn path(&self, style: &str, concurrency: u32) -> String {
        let prefix = if matches!(self.styles, Styles::DjangoAsync) { "async-" } else { "" };
        let times = if concurrency < 500 { "ttft=100-400,gap=5-15" } else { "ttft=100-1000,gap=5-40" };
        format!("/{prefix}{style}/{{id}}?model={times},n=10")
    }
}

fn drive(lab: &Lab, options: &[String], paths: &[String]) {
    let arguments: Vec<&str> = options.iter().chain(paths).map(String::as_str).collect();
    lab.drive(&arguments);
}
