//! How the daemon is.

use serde_json::Value;

use crate::report::text::format::{count, duration, plural, printable};

/// A line for each figure.
pub fn render(health: &Value) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let history = &health["history"];
    let lost = health["lost"].as_object().into_iter().flatten();
    let lost: Vec<String> = lost
        .filter(|(_, lost)| number(lost) > 0)
        .map(|(kind, lost)| format!("{kind} {}", count(number(lost))))
        .collect();
    let uptime_ns = number(&health["uptime_ns"]);
    let share = 100.0 * number(&health["cpu_ns"]) as f64 / uptime_ns.max(1) as f64;
    let held = &health["held"];
    let lines = [
        ("version", text(&health["version"])),
        ("up for", duration(uptime_ns)),
        ("Python processes", count(number(&health["processes"]))),
        ("requests", count(number(&health["requests"]))),
        ("events", count(number(&health["events"]))),
        ("lost", if lost.is_empty() { "nothing".to_owned() } else { lost.join(", ") }),
        ("behind the kernel", duration(number(&health["ring_lag_ns"]))),
        ("CPU", format!("{} ({share:.1} % of a core)", duration(number(&health["cpu_ns"])))),
        ("memory", megabytes(number(&health["resident_bytes"]))),
        ("open files", count(number(&health["open_files"]))),
        (
            "followed now",
            [
                plural(number(&held["open_requests"]), "request"),
                plural(number(&held["threads"]), "thread"),
                plural(number(&held["connections"]), "connection"),
            ]
            .join(", "),
        ),
        ("history", history["path"].as_str().map_or_else(|| "none is kept".to_owned(), printable)),
        ("its size", megabytes(number(&history["bytes"]))),
        ("its trouble", history["trouble"].as_str().map_or_else(|| "none".to_owned(), printable)),
    ];
    lines.map(|(name, text)| format!("{name:<18}{text}\n")).concat()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| "?".to_owned(), printable)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
