//! The formats in which Prometheus takes the figures. Native histograms are in its protobuf alone, which it asks for where it
//! keeps these.

use prometheus_client::{
    encoding::{prometheus_protobuf, prometheus_text},
    registry::Registry,
};

const PROTOBUF: &str = "application/vnd.google.protobuf";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// With histograms of few bounds.
    #[default]
    Text,
    /// With both kinds of histograms.
    Protobuf,
}

impl Format {
    /// What a client would rather have, by its header `Accept` (RFC 9110, section 12.5.1).
    pub fn of(accept: Option<&str>) -> Format {
        let (mut text, mut protobuf) = (0.0, 0.0);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
            let parameter =
                |name| parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|of| of.1);
            let quality = parameter("q").map_or(1.0, |quality| quality.parse().unwrap_or(0.0_f32));
            let is_ours = parameter("proto") == Some("io.prometheus.client.MetricFamily")
                && parameter("encoding") == Some("delimited");
            match kind.as_str() {
                PROTOBUF if is_ours => protobuf = quality.max(protobuf),
                "text/plain" | "text/*" | "*/*" => text = quality.max(text),
                _ => {}
            }
        }
        if protobuf > 0.0 && protobuf >= text { Format::Protobuf } else { Format::Text }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => prometheus_text::CONTENT_TYPE,
            Format::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    pub fn render(self, registry: &Registry) -> Vec<u8> {
        match self {
            Format::Text => {
                let mut page = String::new();
                prometheus_text::encode(&mut page, registry)
                    .expect("a string takes all that is written to it");
                page.into_bytes()
            }
            Format::Protobuf => {
                prometheus_protobuf::encode_to_vec(registry).expect("counts of requests are within its range")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_what_it_would_rather_have() {
        let asked = |accept: &str| Format::of(Some(accept));
        let proto =
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        assert_eq!(Format::of(None), Format::Text);
        assert_eq!(asked("*/*"), Format::Text);
        // Prometheus 2 and 3, without native histograms and with them, and one that is told to ask for text.
        assert_eq!(
            asked("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
            Format::Text
        );
        assert_eq!(
            asked(&format!(
                "{proto},application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
            )),
            Format::Protobuf
        );
        assert_eq!(asked(&format!("{proto}; q=0.6, text/plain; q=0.3, */*; q=0.2")), Format::Protobuf);
        assert_eq!(asked(&format!("text/plain;version=0.0.4;q=0.6,{proto};q=0.5,*/*;q=0.2")), Format::Text);
        assert_eq!(asked(&format!("{proto};q=0")), Format::Text);
        assert_eq!(
            asked("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text"),
            Format::Text
        );
    }
}
