//! The configuration of the daemon: one TOML file. Each option is documented in [`DEFAULTS`], and only there.

use std::{
    fmt, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use hyper::Uri;
use serde::{Deserialize, Deserializer, de};
use toml::{Table, Value};

use crate::{
    cli::{Read, SAMPLING, ring_bytes},
    hint::Hint as _,
};

/// The file with every option at its default.
pub const DEFAULTS: &str = include_str!("../../data/tracer.toml");

/// What is read where no file is named, if it is there.
pub const PATH: &str = "/etc/tracer/tracer.toml";

/// Names that differ in so much are not taken for each other's typing errors.
const LEAST_SIMILARITY: f64 = 0.6;

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Config {
    pub read: Read,
    #[serde(deserialize_with = "path")]
    pub vendors: Option<PathBuf>,
    #[serde(deserialize_with = "ring")]
    pub ring_bytes: u32,
    #[serde(deserialize_with = "sampling")]
    pub samples_per_second: u32,
    pub select: Patterns,
    pub exclude: Patterns,
    pub kubernetes: Kubernetes,
    pub requests: Requests,
    pub history: History,
    pub web: Web,
    pub otlp: Otlp,
}

/// Patterns for the properties of a process.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Patterns {
    pub executables: Vec<String>,
    pub command_lines: Vec<String>,
    pub users: Vec<String>,
    pub containers: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Kubernetes {
    pub api: String,
    #[serde(deserialize_with = "text")]
    pub node: Option<String>,
    pub cri_socket: String,
    pub namespaces: Vec<String>,
    pub labels: Vec<String>,
    pub annotation: String,
    pub keep_labels: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Requests {
    #[serde(deserialize_with = "duration")]
    pub quiet: Duration,
    #[serde(deserialize_with = "duration")]
    pub longest_background: Duration,
    #[serde(deserialize_with = "duration")]
    pub run_length: Duration,
    pub routes: usize,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct History {
    #[serde(deserialize_with = "path")]
    pub path: Option<PathBuf>,
    #[serde(deserialize_with = "duration")]
    pub requests: Duration,
    #[serde(deserialize_with = "duration")]
    pub minutes: Duration,
    pub max_bytes: u64,
}

#[derive(Clone, PartialEq, Deserialize)]
pub struct Web {
    #[serde(deserialize_with = "address")]
    pub listen: Option<SocketAddr>,
    #[serde(deserialize_with = "text")]
    pub token: Option<String>,
    #[serde(deserialize_with = "path")]
    pub token_file: Option<PathBuf>,
}

#[derive(Clone, PartialEq, Deserialize)]
pub struct Otlp {
    #[serde(deserialize_with = "endpoint")]
    pub endpoint: Option<Uri>,
    pub protocol: Protocol,
    pub headers: Vec<String>,
    #[serde(deserialize_with = "path")]
    pub headers_file: Option<PathBuf>,
    pub compression: Compression,
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    pub queue_bytes: usize,
    pub spans: bool,
    #[serde(deserialize_with = "ratio")]
    pub ratio: f64,
    #[serde(deserialize_with = "slow")]
    pub slow: Slow,
    #[serde(deserialize_with = "maybe_duration")]
    pub piece: Option<Duration>,
    #[serde(deserialize_with = "maybe_duration")]
    pub metrics: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Grpc,
    Http,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    Gzip,
    None,
}

/// Which requests are slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    Never,
    /// Those above the 95th percentile of their route.
    ByRoute,
    /// Those that take so long.
    From(Duration),
}

/// What headers say is nobody's business.
impl fmt::Debug for Otlp {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Otlp { endpoint, protocol, headers, .. } = self;
        let mut shown = formatter.debug_struct("Otlp");
        shown.field("endpoint", endpoint).field("protocol", protocol).field("headers", &headers.len());
        shown.finish_non_exhaustive()
    }
}

/// The token is nobody's business.
impl fmt::Debug for Web {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Web { listen, token, token_file } = self;
        let mut web = formatter.debug_struct("Web");
        web.field("listen", listen)
            .field("has_token", &token.is_some())
            .field("token_file", token_file)
            .finish()
    }
}

impl Web {
    /// Reads the token of a file.
    fn read_token(&mut self) -> anyhow::Result<()> {
        let Some(path) = &self.token_file else { return Ok(()) };
        if self.token.is_some() {
            bail!("web.token and web.token_file are both set: one is enough");
        }
        let text = fs::read_to_string(path)
            .with_context(|| format!("can't read the token in {}", path.display()))
            .hint("set web.token_file to a file with a token in it, or to \"\" for none")?;
        let token = text.trim();
        if token.is_empty() {
            bail!("{} holds no token: write one into it, or set web.token_file to \"\"", path.display());
        }
        self.token = Some(token.to_owned());
        Ok(())
    }
}

impl Config {
    /// The configuration of a file; where none is given, of [`PATH`] if that is there, else the defaults.
    ///
    /// # Errors
    /// When the file can't be read, is no TOML, has a key that there is not, or a value that can't be.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Config> {
        let path = file.unwrap_or(Path::new(PATH));
        let text = match fs::read_to_string(path) {
            Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text
                .with_context(|| format!("can't read the configuration {}", path.display()))
                .hint("`tracer serve --print-config` prints one with every option")?,
        };
        let mut config = Config::parse(&text).with_context(|| format!("{}", path.display()))?;
        config.web.read_token()?;
        Ok(config)
    }

    /// The configuration that a text makes of the defaults.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str) -> anyhow::Result<Config> {
        let mut config: Table = toml::from_str(DEFAULTS).context("the defaults")?;
        let given: Table = toml::from_str(text)?;
        merge(&mut config, given, "")?;
        config.try_into().hint("`tracer serve --print-config` says what each option takes")
    }
}

impl Default for Config {
    fn default() -> Self {
        Config::parse("").expect("a test parses the defaults")
    }
}

/// Puts what is given in the place of the defaults.
fn merge(config: &mut Table, given: Table, within: &str) -> anyhow::Result<()> {
    for (key, value) in given {
        let name = if within.is_empty() { key.clone() } else { format!("{within}.{key}") };
        match (config.get_mut(&key), value) {
            (None, _) => bail!("there is no option `{name}`{}", suggestion(config, &key, within)),
            (Some(Value::Table(config)), Value::Table(given)) => merge(config, given, &name)?,
            (Some(Value::Table(_)), _) => {
                bail!("`{name}` is a table: write `[{name}]`, and its options below")
            }
            (Some(known), value) if known.same_type(&value) => *known = value,
            (Some(known @ Value::Float(_)), Value::Integer(whole)) => *known = Value::Float(whole as f64),
            (Some(known), value) => {
                bail!("`{name}` takes a value of type {}, not {}", known.type_str(), value.type_str())
            }
        }
    }
    Ok(())
}

fn suggestion(config: &Table, key: &str, within: &str) -> String {
    let similar = config.keys().map(|known| (strsim::jaro_winkler(known, key), known));
    let nearest = similar.max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest.filter(|(similarity, _)| *similarity >= LEAST_SIMILARITY) {
        Some((_, known)) if within.is_empty() => format!("; did you mean `{known}`?"),
        Some((_, known)) => format!("; did you mean `{within}.{known}`?"),
        None => {
            let known: Vec<&str> = config.keys().map(String::as_str).collect();
            format!("; there are {}", known.join(", "))
        }
    }
}

fn text<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(Some(String::deserialize(value)?).filter(|text| !text.is_empty()))
}

fn address<'de, D: Deserializer<'de>>(value: D) -> Result<Option<SocketAddr>, D::Error> {
    let parse = |text: String| {
        let address = text.parse();
        address
            .map_err(|_| de::Error::custom(format!("`{text}` is no address and port as 127.0.0.1:7070 is")))
    };
    text(value)?.map(parse).transpose()
}

/// A base, as `http://localhost:4318` or `https://collector/otlp`, without what else a URL may have.
fn endpoint<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Uri>, D::Error> {
    let parse = |text: String| {
        let uri = text.parse::<Uri>().ok().filter(|uri| {
            let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
            let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
            is_http && !has_user && uri.query().is_none()
        });
        uri.ok_or_else(|| {
            de::Error::custom("`endpoint` is a URL as http://localhost:4317 is, without user and query: secrets are for `headers`")
        })
    };
    text(value)?.map(parse).transpose()
}

fn ratio<'de, D: Deserializer<'de>>(value: D) -> Result<f64, D::Error> {
    let ratio = f64::deserialize(value)?;
    let error = || de::Error::custom(format!("`ratio` is from 0 to 1, not {ratio}"));
    (0.0..=1.0).contains(&ratio).then_some(ratio).ok_or_else(error)
}

fn slow<'de, D: Deserializer<'de>>(value: D) -> Result<Slow, D::Error> {
    match String::deserialize(value)?.as_str() {
        "" => Ok(Slow::Never),
        "p95" => Ok(Slow::ByRoute),
        text => parse_duration(text).map(Slow::From),
    }
}

fn path<'de, D: Deserializer<'de>>(value: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(value)?;
    Ok(Some(path).filter(|path| !path.as_os_str().is_empty()))
}

fn ring<'de, D: Deserializer<'de>>(value: D) -> Result<u32, D::Error> {
    let bytes = u64::deserialize(value)?;
    ring_bytes(&bytes.to_string()).map_err(|error| de::Error::custom(format!("ring_bytes {error}")))
}

fn sampling<'de, D: Deserializer<'de>>(value: D) -> Result<u32, D::Error> {
    let number = i64::deserialize(value)?;
    let is_possible = SAMPLING.contains(&number);
    let (least, most) = SAMPLING.into_inner();
    is_possible.then_some(number as u32).ok_or_else(|| {
        de::Error::custom(format!("samples_per_second must be a number from {least} to {most}, not {number}"))
    })
}

fn duration<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(value)?)
}

fn maybe_duration<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Duration>, D::Error> {
    text(value)?.map(|text| parse_duration(&text)).transpose()
}

fn parse_duration<E: de::Error>(text: &str) -> Result<Duration, E> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err(E::custom(format!("`{text}`: must be more than 0"))),
        Ok(duration) => Ok(duration),
        Err(error) => Err(E::custom(format!("`{text}` is no duration such as 30s or 7d: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::history;

    fn refusal(text: &str) -> String {
        format!("{:#}", Config::parse(text).expect_err(text))
    }

    #[test]
    fn the_printed_file_gives_the_defaults() {
        let defaults = Config::parse("").expect("the defaults");
        assert_eq!(Config::parse(DEFAULTS).expect("the file"), defaults);
        assert_eq!((defaults.read, defaults.vendors), (Read::Bodies, None));
        assert_eq!(defaults.requests.quiet, Duration::from_secs(1));
        assert_eq!(defaults.history.path.as_deref(), Some(Path::new(history::PATH)));
    }

    #[test]
    fn a_token_is_not_printed() {
        let config = Config::parse("web.token = 'hush'").expect("a configuration");
        assert!(config.web.token.as_deref() == Some("hush") && !format!("{config:?}").contains("hush"));
    }

    #[test]
    fn headers_are_not_printed() {
        let config = Config::parse("otlp.headers = ['authorization: hush']").expect("a configuration");
        assert!(!format!("{config:?}").contains("hush"));
        let config = Config::parse("otlp.ratio = 1\notlp.slow = '2s'\notlp.piece = ''").expect("one");
        assert_eq!((config.otlp.slow, config.otlp.piece), (Slow::From(Duration::from_secs(2)), None));
    }

    #[test]
    fn every_option_is_documented() {
        let lines: Vec<&str> = DEFAULTS.lines().collect();
        let undocumented: Vec<&str> = lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.contains('=') && !line.starts_with('#'))
            // Those of [exclude] are the same as of [select].
            .filter(|(index, line)| !lines[index - 1].starts_with('#') && !line.ends_with("= []"))
            .map(|(_, line)| *line)
            .collect();
        assert_eq!(undocumented, Vec::<&str>::new());
    }

    #[test]
    fn what_is_given_replaces_its_default_alone() {
        let config = Config::parse("read = 'heads'\n[select]\nusers = ['www-*']").expect("a configuration");
        assert_eq!((config.read, config.select.users), (Read::Heads, vec!["www-*".to_owned()]));
        assert_eq!(config.select.executables, ["*"]);
    }

    #[test]
    fn unknown_options_are_refused_with_the_nearest_known() {
        assert_eq!(refusal("vendor = ''"), "there is no option `vendor`; did you mean `vendors`?");
        assert_eq!(
            refusal("[select]\nuser = []"),
            "there is no option `select.user`; did you mean `select.users`?"
        );
        assert!(
            refusal("[select]\nzzz = 1").ends_with("there are command_lines, containers, executables, users")
        );
    }

    #[test]
    fn values_that_can_not_be_are_refused() {
        assert!(refusal("read = 'all'").contains("bodies"));
        assert!(refusal("ring_bytes = 5000").contains("power of two"));
        assert!(refusal("samples_per_second = 0").contains("from 1 to 4999"));
        assert!(refusal("ring_bytes = '8M'").contains("type integer, not string"));
        assert!(refusal("select = 1").contains("[select]"));
        assert!(refusal("requests.quiet = 'soon'").contains("no duration"));
        assert!(refusal("requests.quiet = '0s'").contains("more than 0"));
        assert!(refusal("read").contains("line 1"));
        assert!(refusal("otlp.endpoint = 'localhost:4317'").contains("http://localhost:4317"));
        assert!(refusal("otlp.endpoint = 'http://me:secret@x'").contains("headers"));
        assert!(refusal("otlp.ratio = 2").contains("from 0 to 1"));
        assert!(refusal("otlp.slow = 'p99'").contains("no duration"));
        assert!(refusal("otlp.protocol = 'udp'").contains("grpc"));
        assert!(refusal("web.listen = 'localhost'").contains("127.0.0.1:7070"));
    }

    #[test]
    fn a_token_may_lie_in_a_file() {
        let folder = tempfile::tempdir().expect("make a folder");
        let token = folder.path().join("token");
        let file = folder.path().join("tracer.toml");
        let load = |text: &str| {
            fs::write(&file, format!("web.token_file = '{}'\n{text}", token.display())).expect("write it");
            Config::load(Some(&file)).map_err(|error| format!("{error:#}"))
        };
        assert!(load("").expect_err("there is none").starts_with("can't read the token in "));
        fs::write(&token, " \n").expect("write it");
        assert!(load("").expect_err("it is empty").contains("holds no token"));
        fs::write(&token, "secret\n").expect("write it");
        assert_eq!(load("").expect("it has one").web.token.as_deref(), Some("secret"));
        assert!(load("web.token = 'x'").expect_err("two are one too many").contains("both set"));
    }
}
