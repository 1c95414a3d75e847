//! A comparison as JSON, schema 1: `tracer/data/diff.schema.json`.

use super::types::Diff;

/// The JSON Schema that the output of [`render`] follows.
pub const SCHEMA: &str = include_str!("../../data/diff.schema.json");

/// The comparison as indented JSON with a final newline.
pub fn render(diff: &Diff) -> String {
    let mut json =
        serde_json::to_string_pretty(diff).expect("a comparison has string keys and no failing serializer");
    json.push('\n');
    json
}
