//! The vendor table: which hosts are LLM vendors, what their paths do, and which response headers are kept.

mod line;

use std::collections::HashMap;
use std::path::Path;

use percent_encoding::percent_decode_str;

use self::line::{Line, parse};
pub use self::line::{TimeHeader, VendorFileError};

/// The tables that come with the program; their format is described in them.
const BUILTIN: [(&str, &str); 2] =
    [("vendors.tsv", include_str!("../data/vendors.tsv")), ("hosts.tsv", include_str!("../data/hosts.tsv"))];

/// The id of the vendor that stands for every host.
const ANY: &str = "*";

/// An LLM vendor, a gateway to some, or a server of models.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vendor {
    /// Its name in the vendor table.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// OpenTelemetry `gen_ai.provider.name`: what reports and exports call it.
    pub provider: String,
    request_id_headers: Vec<String>,
    time_headers: Vec<TimeHeader>,
    /// Path pattern and operation.
    operations: Vec<(String, String)>,
}

impl Vendor {
    /// Response headers with the vendor's name for the request, the best first.
    pub fn request_id_headers(&self) -> impl Iterator<Item = &str> {
        self.request_id_headers.iter().map(String::as_str)
    }

    /// Response headers with the vendor's own figure of its time, the best first.
    pub fn time_headers(&self) -> impl Iterator<Item = &TimeHeader> {
        self.time_headers.iter()
    }

    fn operation(&self, path: &str) -> Option<&str> {
        let (_, operation) = self.operations.iter().find(|(pattern, _)| matches(pattern, path))?;
        Some(operation)
    }
}

/// A host, or all that fit a pattern.
#[derive(Clone, Debug)]
struct Host {
    vendor: String,
    /// It has other things than models, and only paths tell which.
    is_shared: bool,
}

/// All vendors, by host, by port and by path.
#[derive(Clone, Debug, Default)]
pub struct VendorTable {
    vendors: HashMap<String, Vendor>,
    /// What holds for every host.
    any: Vendor,
    /// By name.
    hosts: HashMap<String, Host>,
    /// By pattern, the longest first.
    globs: Vec<(String, Host)>,
    /// Usual port of a local server to vendor id.
    ports: HashMap<u16, String>,
}

impl VendorTable {
    /// The table that comes with the program.
    pub fn builtin() -> Self {
        let mut table = Self::default();
        for (file, text) in BUILTIN {
            // A test parses every line of it, so that none can be missing here.
            let (lines, _) = parse(file, text);
            table.extend(lines);
        }
        table
    }

    /// The table that comes with the program, and what the user's file adds to it or changes in it. A line of the
    /// file is one of `vendors.tsv` (six fields) or of `hosts.tsv` (two), see there.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, and at its first line that is neither.
    pub fn with_file(path: &Path) -> Result<Self, VendorFileError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| VendorFileError::Read { file: file.clone(), source })?;
        let mut table = Self::builtin();
        let (lines, error) = parse(&file, &text);
        if let Some(error) = error {
            return Err(error);
        }
        table.extend(lines);
        Ok(table)
    }

    /// The table with what the user's file adds to it, where there is one.
    ///
    /// # Errors
    ///
    /// As [`VendorTable::with_file`].
    pub fn load(path: Option<&Path>) -> Result<Self, VendorFileError> {
        path.map_or_else(|| Ok(Self::builtin()), Self::with_file)
    }

    /// The vendor at a host: a TLS server name, or the host of a request, with or without port.
    pub fn match_host(&self, host: &str) -> Option<&Vendor> {
        self.vendors.get(&self.find_host(host)?.vendor)
    }

    fn find_host(&self, host: &str) -> Option<&Host> {
        let host =
            host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(host, |(host, _)| host);
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let by_pattern = || self.globs.iter().find(|(glob, _)| matches(glob, &host)).map(|(_, found)| found);
        self.hosts.get(&host).or_else(by_pattern)
    }

    /// The vendor at a host, which a path has to show where there are other things than models.
    fn vendor_at(&self, host: &str, path: Option<&str>) -> Option<&Vendor> {
        let found = self.find_host(host)?;
        let vendor = self.vendors.get(&found.vendor);
        vendor.filter(|_| !found.is_shared || path.is_some_and(|path| self.operation(vendor, path).is_some()))
    }

    /// The local server that usually listens on `port`, if `path` is one of a model server.
    pub fn vendor_by_path(&self, port: u16, path: &str) -> Option<&Vendor> {
        let vendor = self.vendors.get(self.ports.get(&port)?)?;
        self.operation(Some(vendor), path).map(|_| vendor)
    }

    /// The vendor that a call goes to, by the peer's host, with the path where that alone does not tell, else by port and path.
    pub fn of_call(&self, host: Option<&str>, port: Option<u16>, path: Option<&str>) -> Option<&Vendor> {
        host.and_then(|host| self.vendor_at(host, path)).or_else(|| self.vendor_by_path(port?, path?))
    }

    /// Whether a call is an LLM call: its peer is a vendor, or (a server of the user's own) its path is one of a
    /// model server.
    pub fn is_llm(&self, host: Option<&str>, port: Option<u16>, path: Option<&str>) -> bool {
        self.of_call(host, port, path).is_some()
            || path.is_some_and(|path| self.operation(None, path).is_some())
    }

    /// What a request to `path` asks for (`chat`, `embeddings`, ...): OpenTelemetry `gen_ai.operation.name`. The
    /// paths common to all hold for unknown hosts, too.
    pub fn operation(&self, vendor: Option<&Vendor>, path: &str) -> Option<&str> {
        // The vendor is looked up again so that the operation lives as long as the table.
        let own = vendor.and_then(|vendor| self.vendors.get(&vendor.id)?.operation(path));
        own.or_else(|| self.any.operation(path))
    }

    /// Whose response headers to keep: those of the vendor at `host`, else those common to all.
    pub fn answer_headers(&self, host: Option<&str>) -> &Vendor {
        host.and_then(|host| self.match_host(host)).unwrap_or(&self.any)
    }

    fn extend(&mut self, lines: Vec<Line>) {
        for line in lines {
            match line {
                Line::Vendor(vendor) if vendor.id == ANY => self.any = vendor,
                Line::Vendor(vendor) => {
                    self.vendors.insert(vendor.id.clone(), vendor);
                }
                Line::Port { port, id } => {
                    self.name(&id);
                    self.ports.insert(port, id);
                }
                Line::Host { host, id, is_shared } => {
                    self.name(&id);
                    let found = Host { vendor: id, is_shared };
                    if host.contains('*') {
                        self.globs.retain(|(glob, _)| *glob != host);
                        self.globs.push((host, found));
                    } else {
                        self.hosts.insert(host, found);
                    }
                }
            }
        }
        self.globs.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    }

    /// Makes a vendor out of an id that has no line of its own: it answers with the headers common to all.
    fn name(&mut self, id: &str) {
        if !self.vendors.contains_key(id) {
            let name = id.to_owned();
            let vendor = Vendor { id: name.clone(), name: name.clone(), provider: name, ..self.any.clone() };
            self.vendors.insert(id.to_owned(), vendor);
        }
    }
}

/// The model that a path names, as those of Gemini, Bedrock and Azure do; an Azure deployment stands for its model.
pub fn model_of_path(path: &str) -> Option<String> {
    let name = |folder| path.split_once(folder)?.1.split('/').next();
    // Gemini's `/models/gemini-2.0-flash:generateContent`: without a verb it is no question to a model.
    let name = name("/models/")
        .and_then(|name| Some(name.rsplit_once(':')?.0))
        .or_else(|| name("/model/"))
        .or_else(|| name("/deployments/"))?;
    let model = percent_decode_str(name).decode_utf8().ok()?;
    let is_name = !model.is_empty() && model.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then(|| model.into_owned())
}

/// Whether `text` fits the pattern, in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests;
