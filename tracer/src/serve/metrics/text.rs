//! The text format of Prometheus, made of OpenMetrics, which the library writes and `promtool check metrics` does not read:
//! there a counter's name is without `_total` in what describes it.

use prometheus_client::{encoding, registry::Registry};

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub fn render(registry: &Registry) -> String {
    let mut open_metrics = String::new();
    encoding::text::encode(&mut open_metrics, registry).expect("a string takes all that is written to it");
    convert(&open_metrics)
}

fn convert(open_metrics: &str) -> String {
    let mut page = String::with_capacity(open_metrics.len());
    let mut help = "";
    for line in open_metrics.lines() {
        if line.starts_with("# HELP ") {
            // What kind it is of comes after it.
            help = line;
            continue;
        }
        if line == "# EOF" {
            break;
        }
        let described = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '));
        match described {
            Some((name, kind)) => {
                let total = if kind == "counter" { "_total" } else { "" };
                let text =
                    help.strip_prefix("# HELP ").and_then(|rest| rest.strip_prefix(name)).unwrap_or_default();
                page.push_str(&format!("# HELP {name}{total}{text}\n# TYPE {name}{total} {kind}\n"));
            }
            None => {
                page.push_str(line);
                page.push('\n');
            }
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_described_by_the_name_that_they_have() {
        let open_metrics = "# HELP a Of a.\n# TYPE a counter\na_total{x=\"y\"} 1\n\
                            # HELP b Of b.\n# TYPE b gauge\nb 2\n# EOF\n";
        let page = "# HELP a_total Of a.\n# TYPE a_total counter\na_total{x=\"y\"} 1\n\
                    # HELP b Of b.\n# TYPE b gauge\nb 2\n";
        assert_eq!(convert(open_metrics), page);
    }
}
