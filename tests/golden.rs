//! Expected outputs in files, so that a change of output is a diff to review.

use std::{fs, path::Path};

/// Compares with `tests/golden/NAME`; with `UPDATE_GOLDEN=1` in the environment writes it instead.
///
/// # Panics
/// When they differ, with the first line that does.
pub fn assert_matches(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().expect("it is in a directory")).expect("make the directory");
        fs::write(&path, actual).expect("write the expected output");
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if expected == actual {
        return;
    }
    let lines = expected.lines().chain(std::iter::repeat("<end>")).zip(actual.lines().chain(["<end>"]));
    let differing = lines.enumerate().find(|(_, (expected, actual))| expected != actual);
    panic!(
        "tests/golden/{name} differs (line, (expected, actual)): {differing:#?}\n\
         if the new output is right: UPDATE_GOLDEN=1 cargo test -p tests\n\n{actual}"
    );
}
