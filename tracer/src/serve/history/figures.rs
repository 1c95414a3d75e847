//! Percentiles, rates and times of a range, added up from minutes: as quick for a week as for an hour.

use std::collections::BTreeMap;

use rusqlite::Row;
use serde::{Deserialize, Serialize};

use super::{
    histogram::Histogram,
    read::{Range, Reader},
    sums,
    writer::MINUTE_NS,
};
use crate::report::types::Buckets;

/// What requests came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    pub requests: u64,
    pub errors: u64,
    pub incomplete: u64,
    pub p50_ns: Option<u64>,
    pub p95_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub buckets: Buckets,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouteFigures {
    /// `GET /chat`, or `(run)`.
    pub route: String,
    #[serde(flatten)]
    pub figures: Figures,
}

/// A piece of a range.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Point {
    pub start_unix_ns: u64,
    #[serde(flatten)]
    pub figures: Figures,
}

/// Minutes that lie in a range in part count whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overview {
    #[serde(flatten)]
    pub range: Range,
    pub step_ns: u64,
    /// All routes together, or the one asked for.
    pub total: Figures,
    /// The same over time; pieces without requests are left out.
    pub points: Vec<Point>,
    /// The route with the most wall time first.
    pub routes: Vec<RouteFigures>,
}

/// What calls to a vendor, host and model came to; what is not known of them is empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Vendor {
    pub vendor: String,
    pub host: String,
    pub model: String,
    pub calls: u64,
    pub errors: u64,
    pub retries: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub wall_p50_ns: Option<u64>,
    pub wall_p95_ns: Option<u64>,
    pub first_byte_p50_ns: Option<u64>,
    pub first_byte_p95_ns: Option<u64>,
    /// From the request's last byte to the model's first output, of streams.
    pub first_content_p50_ns: Option<u64>,
    pub first_content_p95_ns: Option<u64>,
    /// Of each stream from its first output on.
    pub tokens_per_second_p50: Option<f64>,
    pub tokens_per_second_p5: Option<f64>,
}

#[derive(Clone, Default)]
struct Sum {
    figures: Figures,
    wall: Histogram,
}

impl Reader {
    /// The figures of a range, in pieces that make about `points` of it.
    pub fn overview(&self, range: Range, route: Option<&str>, points: u64) -> anyhow::Result<Overview> {
        let (from, to) = range.minutes();
        let step = ((to - from + 1) as u64).div_ceil(points.max(1)).max(1);
        let mut statement = self.database.prepare_cached(
            "SELECT minute, label, requests, errors, incomplete, wall, buckets
             FROM minutes JOIN routes ON routes.id = route WHERE minute BETWEEN ? AND ?",
        )?;
        let mut total = Sum::default();
        let mut pieces = BTreeMap::<u64, Sum>::new();
        let mut routes = BTreeMap::<String, Sum>::new();
        let mut rows = statement.query([from, to])?;
        while let Some(row) = rows.next()? {
            let label = row.get_ref(1)?.as_str()?;
            if route.is_some_and(|route| {
                route != label && label.split_once(' ').map(|(_, path)| path) != Some(route)
            }) {
                continue;
            }
            let piece = (row.get::<_, i64>(0)? - from) as u64 / step;
            total.add(row)?;
            pieces.entry(piece).or_default().add(row)?;
            match routes.get_mut(label) {
                Some(sum) => sum.add(row)?,
                None => routes.entry(label.to_owned()).or_default().add(row)?,
            }
        }
        let point = |(piece, sum): (u64, Sum)| Point {
            start_unix_ns: (from as u64 + piece * step) * MINUTE_NS,
            figures: sum.finish(),
        };
        let of_route = |(route, sum): (String, Sum)| RouteFigures { route, figures: sum.finish() };
        let mut routes: Vec<RouteFigures> = routes.into_iter().map(of_route).collect();
        routes.sort_by_key(|route| std::cmp::Reverse(route.figures.buckets.sum()));
        Ok(Overview {
            range,
            step_ns: step * MINUTE_NS,
            total: total.finish(),
            points: pieces.into_iter().map(point).collect(),
            routes,
        })
    }

    /// Whom calls of a range went to, the most called first.
    pub fn vendors(&self, range: Range) -> anyhow::Result<Vec<Vendor>> {
        let (from, to) = range.minutes();
        let mut statement = self.database.prepare_cached(
            "SELECT vendor, host, model, calls, errors, retries, input_tokens, output_tokens,
                wall, first_byte, first_content, token_rate
             FROM call_minutes JOIN peers ON peers.id = peer WHERE minute BETWEEN ? AND ?",
        )?;
        let mut sums = BTreeMap::<[String; 3], ([u64; 5], [Histogram; 4])>::new();
        let mut rows = statement.query([from, to])?;
        while let Some(row) = rows.next()? {
            let (counts, histograms) = sums.entry([row.get(0)?, row.get(1)?, row.get(2)?]).or_default();
            for (index, count) in counts.iter_mut().enumerate() {
                *count = count.saturating_add(row.get::<_, i64>(3 + index)? as u64);
            }
            for (index, histogram) in histograms.iter_mut().enumerate() {
                histogram.merge_encoded(row.get_ref(8 + index)?.as_blob()?);
            }
        }
        let mut vendors: Vec<Vendor> = sums.into_iter().map(vendor).collect();
        vendors.sort_by_key(|vendor| std::cmp::Reverse(vendor.calls));
        Ok(vendors)
    }
}

fn vendor((names, (counts, histograms)): ([String; 3], ([u64; 5], [Histogram; 4]))) -> Vendor {
    let [vendor, host, model] = names;
    let [calls, errors, retries, input_tokens, output_tokens] = counts;
    let [wall, first_byte, first_content, rate] = histograms;
    let per_second = |percent| rate.percentile(percent).map(|thousandths| thousandths as f64 / 1_000.0);
    Vendor {
        vendor,
        host,
        model,
        calls,
        errors,
        retries,
        input_tokens,
        output_tokens,
        wall_p50_ns: wall.percentile(50.0),
        wall_p95_ns: wall.percentile(95.0),
        first_byte_p50_ns: first_byte.percentile(50.0),
        first_byte_p95_ns: first_byte.percentile(95.0),
        first_content_p50_ns: first_content.percentile(50.0),
        first_content_p95_ns: first_content.percentile(95.0),
        tokens_per_second_p50: per_second(50.0),
        tokens_per_second_p5: per_second(5.0),
    }
}

impl Sum {
    /// Adds a row of a minute, as [`Reader::overview`] asks for it.
    fn add(&mut self, row: &Row) -> rusqlite::Result<()> {
        self.figures.requests += row.get::<_, i64>(2)? as u64;
        self.figures.errors += row.get::<_, i64>(3)? as u64;
        self.figures.incomplete += row.get::<_, i64>(4)? as u64;
        self.wall.merge_encoded(row.get_ref(5)?.as_blob()?);
        sums::add(&mut self.figures.buckets, &sums::decode(row.get_ref(6)?.as_blob()?));
        Ok(())
    }

    fn finish(self) -> Figures {
        Figures {
            p50_ns: self.wall.percentile(50.0),
            p95_ns: self.wall.percentile(95.0),
            p99_ns: self.wall.percentile(99.0),
            ..self.figures
        }
    }
}
