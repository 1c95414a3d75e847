//! Headers that a receiver wants: of the configuration, of a file, and of the variable that all exporters read.

use std::{env, fs};

use anyhow::{Context as _, bail};
use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use percent_encoding::percent_decode_str;

use crate::{hint::Hint as _, serve::config};

const VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// # Errors
/// When a file can't be read, or a header is none. What it holds is not told.
pub fn read(config: &config::Otlp) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (index, line) in config.headers.iter().enumerate() {
        add(&mut headers, line, ':').with_context(|| format!("otlp.headers, the {}. one", index + 1))?;
    }
    if let Some(path) = &config.headers_file {
        let text = fs::read_to_string(path)
            .with_context(|| format!("can't read otlp.headers_file {}", path.display()))?;
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            add(&mut headers, line, ':')
                .with_context(|| format!("{}, line {}", path.display(), index + 1))?;
        }
    }
    // The variable's values are encoded as those of a W3C baggage.
    let variable = env::var(VARIABLE).unwrap_or_default();
    for pair in variable.split(',').filter(|pair| !pair.trim().is_empty()) {
        let pair = percent_decode_str(pair).decode_utf8_lossy();
        add(&mut headers, &pair, '=').context(VARIABLE)?;
    }
    Ok(headers)
}

fn add(headers: &mut HeaderMap, line: &str, separator: char) -> anyhow::Result<()> {
    let parsed = line.split_once(separator).and_then(|(name, value)| {
        let mut value = HeaderValue::from_str(value.trim()).ok()?;
        value.set_sensitive(true);
        Some((name.trim().to_ascii_lowercase().parse::<HeaderName>().ok()?, value))
    });
    let Some((name, value)) = parsed else {
        let reason = anyhow::anyhow!("is no header");
        return Err(reason)
            .hint(format!("write NAME{separator}VALUE, as in authorization{separator} Bearer TOKEN"));
    };
    if matches!(name.as_str(), "content-type" | "content-encoding" | "te" | "host" | "user-agent") {
        bail!("`{name}` is not for the configuration to say");
    }
    headers.insert(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::config::Config;

    fn of(lines: &[&str]) -> anyhow::Result<HeaderMap> {
        let mut config = Config::default().otlp;
        config.headers = lines.iter().map(|line| (*line).to_owned()).collect();
        read(&config)
    }

    #[test]
    fn headers_are_read_and_not_shown() {
        let folder = tempfile::tempdir().expect("make a directory");
        let file = folder.path().join("headers");
        fs::write(&file, "\nX-Scope-OrgID: 7\n").expect("write a file");
        let mut config = Config::default().otlp;
        config.headers = vec!["Authorization: Bearer hush".to_owned()];
        config.headers_file = Some(file);
        let headers = read(&config).expect("they are headers");
        assert_eq!(
            (&headers["authorization"], &headers["x-scope-orgid"]),
            (&"Bearer hush".parse::<HeaderValue>().expect("it is one"), &HeaderValue::from_static("7"))
        );
        assert!(!format!("{headers:?}").contains("hush"));
    }

    #[test]
    fn what_is_none_is_refused_by_its_place() {
        for (lines, expected) in [
            (&["authorization: x", "Bearer hush"][..], "otlp.headers, the 2. one: is no header"),
            (&["te: x"], "`te` is not for the configuration to say"),
        ] {
            let refusal = format!("{:#}", of(lines).expect_err("it is none"));
            assert!(refusal.contains(expected) && !refusal.contains("hush"), "{refusal}");
        }
    }
}
