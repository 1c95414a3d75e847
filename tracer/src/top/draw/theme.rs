//! Styles, with or without colour, and drawings of the report as terminal cells.

use ansi_to_tui::IntoText as _;
use ratatui::{
    style::{Color, Modifier, Style},
    text::{Line, Text},
};

use crate::report::{
    bucket::Bucket,
    group::{Side, side_of},
    text::{
        chart, format,
        paint::{CALL, Glyph, Paint, glyph},
    },
    types::Buckets,
};

#[derive(Clone, Copy, Debug)]
pub struct Theme {
    pub colour: bool,
}

impl Theme {
    pub fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub fn warning(self) -> Style {
        if self.colour { Style::new().fg(Color::Yellow) } else { self.title() }
    }

    pub fn paint(self) -> Paint {
        Paint::new(self.colour)
    }

    /// Whose time it was: the vendor's, ours, others'.
    pub fn sides(self, buckets: &Buckets, cells: usize) -> Line<'static> {
        let side = |side| side_ns(buckets, side);
        let parts: [(u64, Glyph); 3] = [
            (side(Side::Vendor), glyph(Bucket::LlmFirstByte)),
            (side(Side::Own), glyph(Bucket::PythonCpu)),
            (side(Side::Other), CALL),
        ];
        line(&self.paint().cells(&chart::bar(&parts, cells)))
    }

    /// The bucket with the most time, and its share.
    pub fn biggest(self, buckets: &Buckets) -> Line<'static> {
        let seen = buckets.iter().filter_map(|(bucket, ns)| Some((bucket, ns.filter(|ns| *ns > 0)?)));
        let Some((bucket, ns)) = seen.max_by_key(|(_, ns)| *ns) else { return Line::default() };
        let text = format!("{} {}", bucket.name(), format::share(ns, buckets.sum()));
        line(&self.paint().keyed(glyph(bucket), &text).0)
    }
}

/// Time of all buckets of a side.
pub fn side_ns(buckets: &Buckets, side: Side) -> u64 {
    buckets.iter().filter(|(bucket, _)| side_of(*bucket) == side).filter_map(|(_, ns)| ns).sum()
}

/// What the report draws with escapes.
pub fn text(ansi: &str) -> Text<'static> {
    // It fails on no text.
    ansi.into_text().unwrap_or_else(|_| Text::from(ansi.to_owned()))
}

fn line(ansi: &str) -> Line<'static> {
    text(ansi).lines.into_iter().next().unwrap_or_default()
}
