//! Time along a row of cells.

use super::{format, paint::Glyph};

/// A row of cells that stands for a span of time from 0.
#[derive(Clone, Copy, Debug)]
pub struct Chart {
    pub span_ns: u64,
    pub cells: usize,
}

impl Chart {
    /// Draws pieces `(start_ns, end_ns, glyph)` in a row: each cell shows what takes most of its time. A row
    /// with pieces is never blank: where all are too short to fill half a cell, the longest is shown.
    pub fn row(self, pieces: impl IntoIterator<Item = (u64, u64, Glyph)>) -> Vec<Option<Glyph>> {
        let mut shares: Vec<Vec<(Glyph, u64)>> = vec![Vec::new(); self.cells];
        for (start_ns, end_ns, glyph) in pieces {
            let first = self.cell(start_ns);
            let last = self.cell(end_ns.saturating_sub(1).max(start_ns));
            for (cell, taken) in shares.iter_mut().enumerate().take(last + 1).skip(first) {
                let overlap_ns =
                    end_ns.min(self.start_ns(cell + 1)).saturating_sub(start_ns.max(self.start_ns(cell)));
                match taken.iter_mut().find(|(drawn, _)| *drawn == glyph) {
                    Some((_, ns)) => *ns = ns.saturating_add(overlap_ns),
                    None => taken.push((glyph, overlap_ns)),
                }
            }
        }
        shares
            .into_iter()
            .map(|taken| taken.into_iter().max_by_key(|(_, ns)| *ns).map(|(glyph, _)| glyph))
            .collect()
    }

    /// A line of labels and one of ticks, at round times.
    pub fn axis(self) -> (String, String) {
        let step_ns = self.tick_ns();
        let mut labels = String::new();
        let mut ticks = vec!['─'; self.cells];
        let mut tick_ns = 0;
        while tick_ns < self.span_ns.max(1) {
            let cell = self.cell(tick_ns);
            if let Some(tick) = ticks.get_mut(cell) {
                *tick = '┬';
            }
            let label = if tick_ns == 0 { "0".to_owned() } else { round(tick_ns) };
            let written = labels.chars().count();
            if written <= cell && cell + label.chars().count() <= self.cells {
                labels.push_str(&" ".repeat(cell - written));
                labels.push_str(&label);
            }
            tick_ns = tick_ns.saturating_add(step_ns);
        }
        (labels, ticks.into_iter().collect())
    }

    fn cell(self, ns: u64) -> usize {
        let cell = u128::from(ns) * self.cells as u128 / u128::from(self.span_ns.max(1));
        usize::try_from(cell).unwrap_or(usize::MAX).min(self.cells.saturating_sub(1))
    }

    fn start_ns(self, cell: usize) -> u64 {
        let ns = (cell as u128 * u128::from(self.span_ns)).div_ceil(self.cells.max(1) as u128);
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    /// 1, 2 or 5 times a power of ten, so that ticks are at least a label apart.
    fn tick_ns(self) -> u64 {
        const LABEL_CELLS: usize = 8;
        let ticks = (self.cells / LABEL_CELLS).max(1) as u64;
        let least_ns = self.span_ns.div_ceil(ticks).max(1);
        let power = 10u64.saturating_pow(least_ns.ilog10());
        [1, 2, 5, 10]
            .map(|factor| power.saturating_mul(factor))
            .into_iter()
            .find(|ns| *ns >= least_ns)
            .unwrap_or(least_ns)
    }
}

/// A round duration without the digits that only say that it is.
fn round(ns: u64) -> String {
    let text = format::duration(ns);
    match text.split_once(' ') {
        Some((value, unit)) if value.contains('.') => {
            format!("{} {unit}", value.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

/// A bar of parts, one behind the other, that stands for their sum.
pub fn bar(parts: &[(u64, Glyph)], cells: usize) -> Vec<Option<Glyph>> {
    let mut at_ns = 0u64;
    let pieces: Vec<(u64, u64, Glyph)> = parts
        .iter()
        .map(|(ns, glyph)| {
            let start_ns = at_ns;
            at_ns = at_ns.saturating_add(*ns);
            (start_ns, at_ns, *glyph)
        })
        .collect();
    Chart { span_ns: at_ns, cells }.row(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{bucket::Bucket, text::paint::glyph};

    fn drawn(chart: Chart, pieces: &[(u64, u64, Bucket)]) -> String {
        let pieces = pieces.iter().map(|(start, end, bucket)| (*start, *end, glyph(*bucket)));
        chart.row(pieces).into_iter().map(|cell| cell.map_or(' ', |glyph| glyph.character)).collect()
    }

    #[test]
    fn each_cell_shows_what_takes_most_of_it() {
        let chart = Chart { span_ns: 100, cells: 10 };
        let pieces = [(0, 20, Bucket::PythonCpu), (20, 29, Bucket::WaitLoop), (29, 90, Bucket::Client)];
        assert_eq!(drawn(chart, &pieces), "██L<<<<<< ");
    }

    #[test]
    fn short_pieces_and_spans_are_drawn() {
        let chart = Chart { span_ns: 1_000_000, cells: 10 };
        assert_eq!(drawn(chart, &[(500_000, 500_001, Bucket::PythonGc)]), "     g    ");
        assert_eq!(drawn(chart, &[(7, 7, Bucket::PythonGc)]), "g         ");
        assert_eq!(drawn(Chart { span_ns: 0, cells: 3 }, &[(0, 0, Bucket::PythonGc)]), "g  ");
        assert_eq!(drawn(chart, &[(0, u64::MAX, Bucket::PythonGc)]), "gggggggggg");
        assert_eq!(drawn(Chart { span_ns: 5, cells: 0 }, &[(0, 5, Bucket::PythonGc)]), "");
    }

    #[test]
    fn ticks_are_round() {
        let (labels, ticks) = Chart { span_ns: 812_000_000, cells: 40 }.axis();
        assert_eq!(labels, "0        200 ms    400 ms    600 ms");
        assert_eq!(ticks.chars().filter(|c| *c == '┬').count(), 5);
        let (labels, _) = Chart { span_ns: 812_000_000, cells: 100 }.axis();
        assert!(labels.contains("100 ms") && labels.contains("700 ms"), "{labels}");
        Chart { span_ns: u64::MAX, cells: 40 }.axis();
        Chart { span_ns: 0, cells: 40 }.axis();
    }
}
