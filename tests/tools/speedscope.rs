//! speedscope's schema.

use std::fs;

use serde_json::Value;

use super::{Exports, package};

#[test]
fn speedscope_files_follow_the_schema() {
    let exports = Exports::new();
    let read = |path| -> Value {
        serde_json::from_str(&fs::read_to_string(path).expect("a file")).expect("it is JSON")
    };
    let schema = read(package("speedscope/dist/release/file-format-schema.json"));
    let validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    let file = read(exports.file("speedscope"));
    let errors: Vec<String> = validator.iter_errors(&file).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    // What the schema does not say.
    let frames = file["shared"]["frames"].as_array().expect("frames").len() as u64;
    let mut walls_ns = 0;
    for profile in file["profiles"].as_array().expect("profiles") {
        let samples = profile["samples"].as_array().expect("samples");
        let weights = profile["weights"].as_array().expect("weights");
        assert_eq!(samples.len(), weights.len());
        let indexes = samples.iter().flat_map(|stack| stack.as_array().expect("a stack"));
        assert!(indexes.into_iter().all(|index| index.as_u64().expect("an index") < frames));
        let sum: u64 = weights.iter().map(|weight| weight.as_u64().expect("a weight")).sum();
        assert_eq!(profile["endValue"].as_u64(), Some(sum));
        walls_ns += sum;
    }
    assert_eq!(walls_ns, exports.wall_ns());
}
