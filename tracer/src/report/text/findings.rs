//! Findings: what, how much, why, and what to do.

use serde_json::Value;

use super::{format, paint::Paint, wrap};
use crate::report::{
    filter::Filter,
    types::{Finding, Report},
};

const INDENT: usize = 4;

pub fn render(report: &Report, filter: &Filter, width: usize, paint: Paint) -> String {
    let findings: Vec<&Finding> = report.findings.iter().filter(|finding| filter.keeps(finding)).collect();
    if findings.is_empty() {
        return String::new();
    }
    let mut text = format!("{}\n", paint.title("findings, by cost"));
    for (index, finding) in findings.into_iter().enumerate() {
        let title = format!(
            "{} ({} over {})",
            format::printable(&finding.title),
            format::duration(finding.cost_ns),
            format::plural(finding.requests, "request"),
        );
        let number = format!("{:>2}. ", index + 1);
        text.push_str(&paint.warning(&wrap::words(&title, &number, INDENT, width)));
        let lead = " ".repeat(INDENT);
        let evidence = evidence(finding);
        if !evidence.is_empty() {
            text.push_str(&paint.dim(&wrap::facts(&evidence, &lead, INDENT, width)));
        }
        let advice = format!("→ {}", format::printable(&finding.advice));
        text.push_str(&wrap::words(&advice, &lead, INDENT + 2, width));
    }
    text
}

/// Evidence as names and figures; keys end in their unit, as in JSON. What the title names is left out.
fn evidence(finding: &Finding) -> Vec<String> {
    let is_named = |value: &Value| value.as_str().is_some_and(|text| finding.title.contains(text));
    finding
        .evidence
        .iter()
        .filter(|(_, value)| !value.is_null() && !is_named(value))
        .map(|(key, value)| format::printable(&figure(key, value)))
        .collect()
}

fn figure(key: &str, value: &Value) -> String {
    let name = |suffix: &str| key.trim_end_matches(suffix).replace('_', " ");
    match value {
        Value::Number(number) if key.ends_with("_ns") => {
            format!("{} {}", name("_ns"), format::duration(number.as_u64().unwrap_or_default()))
        }
        Value::Number(number) if key.ends_with("share") => {
            format!("{} {:.0} %", name(""), 100.0 * number.as_f64().unwrap_or_default())
        }
        Value::String(text) => format!("{} {text}", name("")),
        Value::Array(values) => {
            let values: Vec<String> =
                values.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
            format!("{} {}", name(""), values.join(" "))
        }
        other => format!("{} {other}", name("")),
    }
}
