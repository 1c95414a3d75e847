//! The keys, over what is shown.

use ratatui::{
    Frame,
    layout::{Constraint, Flex, Layout, Rect},
    text::Line,
    widgets::{Block, Clear, Padding, Paragraph},
};

const KEYS: &[(&str, &str)] = &[
    ("↑ ↓ or k j", "move; PgUp PgDn, Home End or g G further"),
    ("Enter", "open: requests of a route or vendor, one request"),
    ("Esc", "back; ends a filter"),
    ("Tab, 1 to 5", "routes, vendors, requests, findings, health"),
    ("s", "another order"),
    ("/", "filter by name"),
    ("p", "pause: nothing changes until p is pressed again"),
    ("?", "this help"),
    ("q, Ctrl-C", "quit"),
    ("", ""),
    ("vendor", "░ llm.*: until its bytes reached this host"),
    ("own", "█ python.* and wait.*: yours to fix"),
    ("other", "· other network, callers, not attributed"),
    ("now/s", "requests a second over the last 10 s; all other"),
    ("", "figures are of the time since --since, by minute"),
];

const NAMES: usize = 13;

pub fn draw(frame: &mut Frame, area: Rect) {
    let lines: Vec<Line> = KEYS.iter().map(|(key, does)| format!("{key:<NAMES$}{does}").into()).collect();
    let width = lines.iter().map(Line::width).max().unwrap_or(0) as u16 + 4;
    let height = lines.len() as u16 + 2;
    let [area] = Layout::horizontal([Constraint::Max(width)]).flex(Flex::Center).areas(area);
    let [area] = Layout::vertical([Constraint::Max(height)]).flex(Flex::Center).areas(area);
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(" keys ").padding(Padding::horizontal(1));
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
