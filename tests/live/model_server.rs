//! Calls to a real model server, llama.cpp's, which answers from a model of 2 MB. Run by `cargo xtask test model-server`, which
//! has both.

use std::{env, path::PathBuf};

use serde::Deserialize;
use tests::{
    lab::{LIMIT, Lab, folder},
    python::Python,
    recording::Recording,
    running::Running,
};
use tracer::report::types::Call;

use crate::application::{local_models, traced};

const PORT: &str = "8081";

/// What the client says of a call.
#[derive(Debug, Deserialize)]
struct Told {
    operation: String,
    stream: bool,
    input_tokens: u64,
    output_tokens: Option<u64>,
    timings: Option<Timings>,
}

/// The server's own account.
#[derive(Debug, Deserialize)]
struct Timings {
    prompt_ms: f64,
    predicted_ms: f64,
}

#[test]
#[ignore = "run by `cargo xtask test model-server`"]
fn a_model_server_is_told_as_it_tells_itself() {
    for python in Python::all() {
        let lab = Lab::start();
        let _server = serve(&lab);
        let recording = Recording::start(&lab, "record", traced(local_models(&python, PORT)));
        let (finished, report) = recording.finish();
        let is_told = |line: &&str| line.starts_with('{');
        let parse = |line| serde_json::from_str(line).expect("what the client says");
        let mut told: Vec<Told> = finished.stdout.lines().filter(is_told).map(parse).collect();
        let mut calls: Vec<&Call> = report.requests.iter().flat_map(|request| &request.calls).collect();
        assert_eq!(told.len(), 8, "{}", finished.stdout);
        assert_eq!(calls.len(), told.len(), "{}", python.name);
        // Those that are made at once come in any order.
        told.sort_by_key(|told| told.output_tokens);
        calls.sort_by_key(|call| call.output_tokens);
        for (call, told) in calls.into_iter().zip(&told) {
            check(call, told, &python);
        }
    }
}

fn check(call: &Call, told: &Told, python: &Python) {
    let name = &python.name;
    assert_eq!(call.host.as_deref(), Some("127.0.0.1"), "{name}");
    assert_eq!(call.operation.as_deref(), Some(told.operation.as_str()), "{name}: {told:?}");
    assert_eq!(call.status, Some(200), "{name}: {told:?}");
    assert_eq!(call.model.as_deref(), Some("tiny"), "{name}: {told:?}");
    assert_eq!(call.stream.unwrap_or(false), told.stream, "{name}: {told:?}");
    assert_eq!(call.input_tokens, Some(told.input_tokens), "{name}: {told:?}");
    assert_eq!(call.output_tokens, told.output_tokens, "{name}: {told:?}");
    let ms = |ns: Option<u64>| ns.expect("it was answered") as f64 / 1e6;
    if let Some(Timings { prompt_ms, predicted_ms }) = told.timings {
        let (first_byte_ms, stream_ms) = (ms(call.first_byte_ns), ms(call.stream_ns));
        eprintln!(
            "{name}: {} tokens: first byte {first_byte_ms:.2} ms, of which it says {prompt_ms:.2}; stream {stream_ms:.2} ms, of \
             which it says {predicted_ms:.2}",
            told.output_tokens.unwrap_or(0)
        );
        assert!(first_byte_ms >= prompt_ms, "{name}: it began to answer before it had read the prompt");
        // Of an answer in one piece all is before its first byte.
        let whole_ms = first_byte_ms + stream_ms;
        assert!(whole_ms >= prompt_ms + predicted_ms, "{name}: it told less than the server took");
    }
}

/// The model is made at each start: it takes less than a second.
fn serve(lab: &Lab) -> Running {
    let python =
        PathBuf::from(env::var_os("TRACER_TEST_MODEL").expect("run by `cargo xtask test model-server`"))
            .join("bin/python");
    let model = lab.dir().join("tiny.gguf");
    let mut write = lab.command(&python);
    lab.run(write.arg(folder("lab").join("tiny_model.py")).arg(&model), "model").expect_code(0);
    let mut server = lab.command(&python);
    server.arg(folder("lab").join("model_server.py")).arg(&model).arg(PORT);
    let mut running = lab.start_command(&mut server, "server");
    running.wait_for_stdout("ready", LIMIT);
    running
}
