//! What `tests/apps/private.py` keeps to itself, and is in nothing that the tracer writes.

use std::{
    io::{Seek as _, Write as _},
    process::Command,
};

/// In all of it.
const SECRET: &str = "SECRET-7f3a";

/// Panics with what is around it where it is in there.
#[track_caller]
pub fn check_nothing_private(what: &str, bytes: &[u8]) {
    assert!(!bytes.is_empty(), "{what} is empty");
    let found = bytes.windows(SECRET.len()).position(|window| window.eq_ignore_ascii_case(SECRET.as_bytes()));
    let around = |at: usize| {
        String::from_utf8_lossy(&bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())]).into_owned()
    };
    assert_eq!(found.map(around), None, "{what}");
}

/// The same of what gzip compressed.
#[track_caller]
pub fn check_nothing_private_compressed(what: &str, bytes: &[u8]) {
    let mut compressed = tempfile::tempfile().expect("make a file");
    compressed.write_all(bytes).and_then(|()| compressed.rewind()).expect("write it");
    let mut gzip = Command::new("gzip");
    gzip.args(["--decompress", "--stdout"]).stdin(compressed);
    let output = gzip.output().expect("start gzip");
    assert!(output.status.success(), "{what} is what gzip made");
    check_nothing_private(what, &output.stdout);
}
