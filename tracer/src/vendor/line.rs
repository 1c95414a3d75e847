//! One line of a vendor file.

use super::Vendor;

/// A vendor file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VendorFileError {
    #[error("cannot read the vendor file {file}: {source}; give the path of a readable text file")]
    Read { file: String, source: std::io::Error },
    #[error("{file}, line {line}: found {found}, needed {needed}; change the line or put `#` before it")]
    Line { file: String, line: usize, found: String, needed: &'static str },
}

/// A response header with the vendor's own time.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeHeader {
    name: String,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    Milliseconds,
    Seconds,
    /// `dur` of the first metric that has one (W3C Server Timing), in milliseconds.
    ServerTiming,
}

impl TimeHeader {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The time that a value of this header gives; `None` when it gives none that could be true.
    pub fn read_ns(&self, value: &str) -> Option<u64> {
        let number = match self.unit {
            Unit::Milliseconds | Unit::Seconds => value.trim(),
            Unit::ServerTiming => {
                value.split([',', ';']).find_map(|parameter| parameter.trim().strip_prefix("dur="))?
            }
        };
        let ns_per_unit = if self.unit == Unit::Seconds { 1e9 } else { 1e6 };
        let ns = number.trim().trim_matches('"').parse::<f64>().ok()? * ns_per_unit;
        // No answer takes longer than a day.
        (0.0..86_400e9).contains(&ns).then_some(ns.round() as u64)
    }
}

/// What a line says.
pub enum Line {
    Vendor(Vendor),
    /// `is_shared`: it has other things than models, too.
    Host {
        host: String,
        id: String,
        is_shared: bool,
    },
    Port {
        port: u16,
        id: String,
    },
}

/// Parses a file up to the first line that is wrong, and gives what is wrong with it.
pub fn parse(file: &str, text: &str) -> (Vec<Line>, Option<VendorFileError>) {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_line(line) {
            Ok(line) => lines.push(line),
            Err((found, needed)) => {
                let error = VendorFileError::Line { file: file.to_owned(), line: index + 1, found, needed };
                return (lines, Some(error));
            }
        }
    }
    (lines, None)
}

/// What was found, and what was needed.
type Mismatch = (String, &'static str);

fn parse_line(line: &str) -> Result<Line, Mismatch> {
    let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
    match fields[..] {
        [host, id] => parse_host(host, id),
        [id, name, provider, request_ids, times, paths] => {
            if id.is_empty() {
                return Err(("an empty vendor id".to_owned(), "a name"));
            }
            Ok(Line::Vendor(Vendor {
                id: id.to_owned(),
                name: name.to_owned(),
                provider: if provider == "-" { id } else { provider }.to_owned(),
                request_id_headers: list(request_ids).map(str::to_owned).collect(),
                time_headers: list(times).map(parse_time).collect::<Result<_, _>>()?,
                operations: list(paths).map(parse_operation).collect::<Result<_, _>>()?,
            }))
        }
        _ => Err((format!("{} fields", fields.len()), "6 fields between tabs for a vendor, or 2 for a host")),
    }
}

fn parse_host(field: &str, id: &str) -> Result<Line, Mismatch> {
    if id.is_empty() {
        return Err(("no vendor behind the host".to_owned(), "a vendor id"));
    }
    let id = id.to_owned();
    if let Some(port) = field.strip_prefix(':') {
        let port = port.parse().map_err(|_| (format!("port {port:?}"), "a number from 0 to 65535"))?;
        return Ok(Line::Port { port, id });
    }
    let shared = field.strip_suffix('/');
    let host = shared.unwrap_or(field);
    let is_host = host.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && host.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':'));
    if !is_host {
        return Err((
            format!("host {field:?}"),
            "a host name without scheme, port and path, `*` for any characters, `/` behind one that has other things, too",
        ));
    }
    Ok(Line::Host { host: host.to_ascii_lowercase(), id, is_shared: shared.is_some() })
}

fn parse_time(field: &str) -> Result<TimeHeader, Mismatch> {
    let needed = "HEADER:ms, HEADER:s or HEADER:dur";
    let (name, unit) = field.rsplit_once(':').ok_or_else(|| (format!("time header {field:?}"), needed))?;
    let unit = match unit {
        "ms" => Unit::Milliseconds,
        "s" => Unit::Seconds,
        "dur" => Unit::ServerTiming,
        other => return Err((format!("unit {other:?}"), needed)),
    };
    Ok(TimeHeader { name: name.to_owned(), unit })
}

fn parse_operation(field: &str) -> Result<(String, String), Mismatch> {
    let (pattern, operation) =
        field.rsplit_once('=').ok_or_else(|| (format!("path {field:?}"), "PATTERN=OPERATION"))?;
    Ok((pattern.to_owned(), operation.to_owned()))
}

fn list(field: &str) -> impl Iterator<Item = &str> {
    field.split(',').map(str::trim).filter(|item| !item.is_empty() && *item != "-")
}
