//! The report as text for a terminal: a summary by route, findings, what could not be seen, and a waterfall
//! for each of the slowest requests; of one request or route also what it ran and waited for, by function.

mod calls;
pub mod chart;
mod counts;
pub mod findings;
pub mod format;
mod header;
mod lanes;
mod notes;
pub mod paint;
mod summary;
mod tree;
pub mod waterfall;
pub mod wrap;

use super::{filter::Filter, types::Report};
use paint::Paint;

/// Narrower than this nothing is readable; [`render`] takes a smaller width for this one.
pub const MIN_WIDTH: usize = 60;

/// Waterfalls that are drawn where the filter does not say how many.
pub const SLOWEST: usize = 3;

/// How to render.
#[derive(Clone, Debug)]
pub struct Options {
    /// Columns of the terminal. No line is longer.
    pub width: usize,
    /// Whether to use ANSI colours.
    pub colour: bool,
    /// Which requests to show. With an id, only that request's waterfall is.
    pub filter: Filter,
}

/// The whole text report, ending in a newline.
pub fn render(report: &Report, options: &Options) -> String {
    let paint = Paint::new(options.colour);
    let width = options.width.max(MIN_WIDTH);
    let mut sections = vec![header::render(report, width)];
    if options.filter.request.is_none() {
        let requests = options.filter.matching(report);
        sections.push(summary::render(&requests, width, paint));
        sections.push(findings::render(report, &options.filter, width, paint));
        if options.filter.route.is_some() {
            sections.push(tree::render(&requests, width, paint));
        }
    }
    sections.push(notes::render(report, width, paint));
    let slowest = options.filter.slowest.unwrap_or(SLOWEST);
    let filter = Filter { slowest: Some(slowest), ..options.filter.clone() };
    let requests = filter.select(report);
    if options.filter.request.is_none() && !requests.is_empty() {
        let title = format!("slowest {} of {}", requests.len(), options.filter.matching(report).len());
        sections.push(format!("{}\n", paint.title(&title)));
    }
    sections.extend(requests.into_iter().map(|request| {
        let process = report.processes.iter().find(|process| process.pid == request.pid);
        waterfall::render(request, process, width, paint)
    }));
    if options.filter.request.is_some() {
        sections.push(tree::render(&options.filter.matching(report), width, paint));
    }
    sections.push(counts::render(report, width, paint));
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}
