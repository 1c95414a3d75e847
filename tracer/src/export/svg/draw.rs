//! Boxes of the picture.

use std::fmt::Write as _;

use super::Node;
use crate::report::{
    stats,
    text::format::{self, duration, printable, share},
};

/// Of the picture, and of a row of boxes, in pixels.
const WIDTH: f64 = 1_200.0;
const ROW: usize = 17;

/// Above the boxes.
const HEAD: usize = 32;

/// Boxes below this width are left out, with what is below them.
const LEAST_WIDTH: f64 = 0.3;

/// Of a character of the text, in pixels, and what is left free beside a text.
const CHARACTER: f64 = 6.7;
const MARGIN: f64 = 3.0;

const STYLE: &str = include_str!("../../../data/icicle.css");
const SCRIPT: &str = include_str!("../../../data/icicle.js");

struct Canvas {
    boxes: String,
    rows: usize,
    total_ns: u64,
}

pub fn draw(root: &Node) -> String {
    let mut canvas = Canvas { boxes: String::new(), rows: 0, total_ns: root.wall_ns };
    canvas.draw("all requests", "all", root, 0.0, 0);
    let height = HEAD + ROW * (canvas.rows + 1);
    let legend = "routes, their buckets, and the functions that were on CPU; wall time";
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"monospace\" font-size=\"11\">\n\
         <style>{STYLE}</style>\n<rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         <text x=\"{MARGIN}\" y=\"20\">{legend}</text>\n\
         <text id=\"found\" x=\"{right}\" y=\"20\" text-anchor=\"end\"></text>\n\
         {boxes}<script><![CDATA[{SCRIPT}]]></script>\n</svg>\n",
        right = WIDTH - MARGIN,
        boxes = canvas.boxes,
    )
}

impl Canvas {
    /// Draws a box and those below it; `from` is its left edge in parts of the whole.
    fn draw(&mut self, name: &str, class: &str, node: &Node, from: f64, row: usize) {
        let part = stats::ratio(node.wall_ns, self.total_ns);
        if part * WIDTH < LEAST_WIDTH && row > 0 {
            return;
        }
        self.rows = self.rows.max(row);
        let name = printable(name);
        let (x, y, width) = (from * WIDTH, HEAD + row * ROW, part * WIDTH);
        let time = escape(&format!("{}, {}", duration(node.wall_ns), share(node.wall_ns, self.total_ns)));
        let (shown, name) = (escape(&fit(&name, width)), escape(&name));
        // A String takes everything.
        let _ = writeln!(
            self.boxes,
            "<g class=\"{class}\" data-x=\"{from:.6}\" data-w=\"{part:.6}\" data-n=\"{name}\"><title>{name}\n{time}</title>\
             <rect x=\"{x:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{height}\"/>\
             <text x=\"{text_x:.2}\" y=\"{text_y}\">{shown}</text></g>",
            height = ROW - 1,
            text_x = x + MARGIN,
            text_y = y + ROW - 5,
        );
        let mut from = from;
        for (name, kind, below) in node.by_size() {
            self.draw(name, kind.class(), below, from, row + 1);
            from += stats::ratio(below.wall_ns, self.total_ns);
        }
    }
}

/// As much of a name as the box has room for.
fn fit(name: &str, width: f64) -> String {
    let room = ((width - 2.0 * MARGIN) / CHARACTER).max(0.0) as usize;
    if room < 3 { String::new() } else { format::fit(name, room) }
}

fn escape(text: &str) -> String {
    let escaped = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        _ => c.to_string(),
    };
    text.chars().map(escaped).collect()
}
