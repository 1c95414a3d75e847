//! Findings: what, how much, why, and what to do.

use serde_json::Value;

use super::{format, paint::Paint, wrap};
use crate::report::{
    filter::Filter,
    group::Side,
    types::{Finding, Report},
};

const INDENT: usize = 4;

/// Findings of a side that are printed, the most costly ones.
const FINDINGS: usize = 8;

/// Parts of a figure that are printed, the largest ones.
const PARTS: usize = 3;

/// What is yours to fix, and what is the vendor's.
pub fn render(report: &Report, filter: &Filter, width: usize, paint: Paint) -> String {
    let sides = [(Side::Own, "yours to fix"), (Side::Vendor, "the vendor's"), (Side::Other, "of others")];
    let texts = sides.map(|(side, whose)| of_side(side, whose, report, filter, width, paint));
    texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

fn of_side(side: Side, whose: &str, report: &Report, filter: &Filter, width: usize, paint: Paint) -> String {
    let is_of = |finding: &&Finding| finding.side == side && filter.keeps(finding);
    let findings: Vec<&Finding> = report.findings.iter().filter(is_of).collect();
    if findings.is_empty() {
        return String::new();
    }
    let mut text = format!("{}\n", paint.title(&format!("findings, {whose}, by cost")));
    for (index, finding) in findings.iter().take(FINDINGS).enumerate() {
        text.push_str(&one(finding, index + 1, width, paint));
    }
    if let Some(rest) = findings.get(FINDINGS..).filter(|rest| !rest.is_empty()) {
        let cost_ns = rest.iter().map(|finding| finding.cost_ns).max().unwrap_or_default();
        let line =
            format!("and {} more, of at most {}: --format json", rest.len(), format::duration(cost_ns));
        text.push_str(&wrap::words(&line, "    ", INDENT, width));
    }
    text
}

/// One finding, with its place among them.
pub fn one(finding: &Finding, number: usize, width: usize, paint: Paint) -> String {
    let title = format!(
        "{} ({} over {})",
        format::printable(&finding.title),
        format::duration(finding.cost_ns),
        format::plural(finding.requests, "request"),
    );
    let mut text = paint.warning(&wrap::words(&title, &format!("{number:>2}. "), INDENT, width));
    let lead = " ".repeat(INDENT);
    let evidence = evidence(finding);
    if !evidence.is_empty() {
        text.push_str(&paint.dim(&wrap::facts(&evidence, &lead, INDENT, width)));
    }
    let advice = format!("→ {}", format::printable(&finding.advice));
    text.push_str(&wrap::words(&advice, &lead, INDENT + 2, width));
    text
}

/// Evidence as names and figures; keys end in their unit, as in JSON. What the title names is left out.
fn evidence(finding: &Finding) -> Vec<String> {
    let is_named = |value: &Value| value.as_str().is_some_and(|text| finding.title.contains(text));
    finding
        .evidence
        .iter()
        .filter(|(_, value)| !value.is_null() && !is_named(value))
        .flat_map(|(key, value)| figures(key, value))
        .map(|figure| format::printable(&figure))
        .collect()
}

/// A figure, or each part of one that is given by name: `holding up GET /chat 1.20 s`, `POST /ask 300 ms`.
fn figures(key: &str, value: &Value) -> Vec<String> {
    let Value::Object(parts) = value else { return vec![figure(key, value)] };
    let name = key.trim_end_matches("_ns").replace('_', " ");
    let mut parts: Vec<(&str, u64)> =
        parts.iter().map(|(part, ns)| (part.as_str(), ns.as_u64().unwrap_or_default())).collect();
    parts.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
    let lead = |index| if index == 0 { format!("{name} ") } else { String::new() };
    let shown = parts.iter().take(PARTS).enumerate();
    let mut figures: Vec<String> =
        shown.map(|(index, (part, ns))| format!("{}{part} {}", lead(index), format::duration(*ns))).collect();
    if parts.len() > PARTS {
        figures.push(format!("and {} more", parts.len() - PARTS));
    }
    figures
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
