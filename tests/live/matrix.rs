//! A small part of the matrix of `cargo xtask bench truth`: each kind of server, with every style that can be exact.

use tests::{
    compare::Comparison,
    lab::Lab,
    matrix::{Load, Server},
    python::Python,
    recording::Recording,
};

use crate::application::{handoff, traced};

#[test]
fn uvicorn_on_every_python() {
    Python::all().iter().chain(&Python::builds()).for_each(|python| check("uvicorn", python));
}

#[test]
fn servers_that_serve_a_connection_by_one_task() {
    for server in ["hypercorn", "aiohttp", "tornado", "sanic"] {
        check(server, &Python::system());
    }
}

#[test]
fn servers_with_threads_and_processes() {
    for server in ["uvicorn-uvloop", "gunicorn-uvicorn", "gunicorn-gthread", "fastapi-def", "django-wsgi"] {
        check(server, &Python::system());
    }
}

/// To look at a static build takes longer than gunicorn takes to make its workers.
#[test]
fn workers_that_are_made_while_their_python_is_looked_at() {
    let python = Python::builds().into_iter().find(|python| python.name.ends_with("-static"));
    check("gunicorn-gthread", &python.expect("it is among the builds"));
}

#[test]
fn a_connection_that_is_accepted_in_one_process_and_served_in_another() {
    let lab = Lab::start();
    let recording = Recording::start(&lab, "handoff", traced(handoff(&Python::system())));
    let load = ["--requests", "20", "--concurrency", "4", "/ask/{id}?model=ttft=100-300,gap=10,n=10"];
    lab.drive(&[&["--prefix", "warm"][..], &load].concat());
    lab.forget();
    lab.drive(&load);
    let report = recording.interrupt();
    Comparison::new("accepted and served by different processes", &report, &lab.truth()).check();
}

#[test]
fn greenlets_on_every_python() {
    let pythons = Python::all().into_iter().chain(Python::builds());
    let pythons: Vec<Python> = pythons.filter(|python| server("gunicorn-gevent").runs_on(python)).collect();
    pythons.iter().for_each(|python| check("gunicorn-gevent", python));
}

/// What they take up in turn can't be seen.
#[test]
fn threads_that_greenlets_share_are_unknown_and_never_wrong() {
    let styles = ["native".to_owned()];
    let load = Load { styles: &styles, ..LOAD };
    let (_lab, comparison) = server("gunicorn-gevent").measure(&Python::system(), load);
    assert_eq!(comparison.found, comparison.requests, "requests found");
    assert_eq!(comparison.links.wrong, 0, "calls linked to a wrong request");
}

/// What they take up in turn can't be seen.
#[test]
fn tasks_that_requests_share_are_unknown_and_never_wrong() {
    for (name, style) in [("uvicorn", "queued"), ("uvicorn-uvloop", "queued"), ("uvicorn", "left_in_queue")] {
        let styles = [style.to_owned()];
        let load = Load { requests: 40, styles: &styles, ..LOAD };
        let (_lab, comparison) = server(name).measure(&Python::system(), load);
        eprintln!("{comparison}");
        assert_eq!(comparison.found, comparison.requests, "requests found by {name}, {style}");
        assert_eq!(comparison.links.wrong, 0, "calls linked to a wrong request by {name}, {style}");
    }
}

const LOAD: Load = Load { concurrency: 16, requests: 5, styles: &[] };

#[track_caller]
fn check(name: &str, python: &Python) {
    let (_lab, comparison) = server(name).measure(python, LOAD);
    if python.has_sealed_tls() { comparison.check_sealed() } else { comparison.check() }
}

fn server(name: &str) -> &'static Server {
    Server::named(name).unwrap_or_else(|| panic!("the matrix has no server {name}"))
}
