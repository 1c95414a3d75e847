//! The report as JSON, schema 1: `tracer/data/report.schema.json`.

use super::{filter::Filter, types::Report};

/// The JSON Schema that the output of [`render`] follows.
pub const SCHEMA: &str = include_str!("../../data/report.schema.json");

/// The report as indented JSON with a final newline. The filter narrows `requests` and `findings`; what is
/// about the whole capture stays.
pub fn render(report: &Report, filter: &Filter) -> String {
    let narrowed = Report {
        schema: report.schema,
        capture: report.capture.clone(),
        processes: report.processes.clone(),
        requests: filter.select(report).into_iter().cloned().collect(),
        findings: report.findings.iter().filter(|finding| filter.keeps(finding)).cloned().collect(),
        function_counts: report.function_counts.clone(),
    };
    let mut json = serde_json::to_string_pretty(&narrowed)
        .expect("the report has string keys and no failing serializer");
    json.push('\n');
    json
}
