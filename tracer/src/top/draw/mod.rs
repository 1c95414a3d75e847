//! Draws the state.

mod health;
mod help;
mod list;
mod lists;
mod theme;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span, Text},
    widgets::{Paragraph, Wrap},
};

use self::theme::Theme;
use super::state::{State, Tab};
use crate::report::text::{MIN_WIDTH, findings, format::printable, waterfall};

/// Where less is there, nothing is readable.
const LEAST: (u16, u16) = (40, 8);

/// Draws the whole screen. What it gives is how far the text that is shown can be scrolled.
pub fn draw(state: &State, frame: &mut Frame, colour: bool) -> u16 {
    let theme = Theme { colour };
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("too small: {} by {} at least", LEAST.0, LEAST.1);
        frame.render_widget(Paragraph::new(text), area);
        return 0;
    }
    let trouble = trouble(state, theme, area.width);
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(trouble.1),
        Constraint::Min(1),
        Constraint::Length(1),
    ];
    let [head, tabs_area, trouble_area, body, foot] = Layout::vertical(rows).areas(area);
    frame.render_widget(header(state, theme), head);
    frame.render_widget(tabs(state, theme), tabs_area);
    frame.render_widget(trouble.0, trouble_area);
    let last = content(state, frame, body, theme);
    frame.render_widget(footer(state, theme), foot);
    if state.is_help {
        help::draw(frame, area);
    }
    last
}

fn header(state: &State, theme: Theme) -> Line<'static> {
    let mut spans = vec![
        Span::styled("tracer top", theme.title()),
        Span::raw(format!("  {}  last {}", printable(&state.place), humantime::format_duration(state.since))),
    ];
    if let Some(rate) = state.live.per_second(None) {
        spans.push(Span::raw(format!("  {rate:.1} requests/s")));
        let errors = state.live.errors();
        if errors > 0 {
            spans.push(Span::styled(format!("  {errors} failed now"), theme.warning()));
        }
    }
    if state.is_paused {
        spans.push(Span::styled("  paused", theme.warning()));
    }
    spans.into()
}

fn tabs(state: &State, theme: Theme) -> Line<'static> {
    let mut spans = Vec::new();
    for tab in Tab::ALL {
        let style = if tab == state.tab { theme.selected() } else { theme.dim() };
        spans.push(Span::styled(format!(" {} ", tab.name()), style));
    }
    let scope = state.route.as_ref().map(|route| format!("of {route}"));
    let scope = scope.or_else(|| state.vendor.as_ref().map(|vendor| format!("with calls to {vendor}")));
    spans.extend(scope.map(|scope| Span::raw(format!("  {}", printable(&scope)))));
    if !state.place().filter.is_empty() && !state.is_typing {
        spans.push(Span::raw(format!("  with `{}`", printable(&state.place().filter))));
    }
    spans.into()
}

/// What is wrong and what to do, in as many lines as that takes.
fn trouble(state: &State, theme: Theme, width: u16) -> (Paragraph<'static>, u16) {
    let Some(trouble) = &state.trouble else { return (Paragraph::default(), 0) };
    let lines = [
        Line::styled(format!("{}; trying on", printable(&trouble.what)), theme.warning()),
        Line::raw(format!("→ {}", printable(&trouble.advice))),
    ];
    let paragraph = Paragraph::new(Text::from(lines.to_vec())).wrap(Wrap { trim: true });
    // Words may break a line earlier than its last column.
    let height: u16 =
        lines.iter().map(|line| 1 + line.width() as u16 / (width.saturating_sub(12)).max(1)).sum();
    (paragraph, height.min(6))
}

fn content(state: &State, frame: &mut Frame, area: Rect, theme: Theme) -> u16 {
    let width = usize::from(area.width).max(MIN_WIDTH);
    if let Some(id) = &state.opened {
        let request = state.data.request.as_ref().filter(|(of, _)| of == id);
        let text = request.map(|(_, request)| waterfall::render(request, None, width, theme.paint()));
        return scrolled(text.as_deref().unwrap_or_default(), state, frame, area);
    }
    match state.tab {
        Tab::Routes => list::draw(lists::routes(state, theme), frame, area, theme),
        Tab::Vendors => list::draw(lists::vendors(state, theme), frame, area, theme),
        Tab::Requests => list::draw(lists::requests(state, theme), frame, area, theme),
        Tab::Findings => draw_findings(state, frame, area, theme),
        Tab::Health => {
            let text = state.data.health.as_ref().map(health::render);
            return scrolled(text.as_deref().unwrap_or_default(), state, frame, area);
        }
    }
    0
}

/// The list, and below it what there is to say of the selected one.
fn draw_findings(state: &State, frame: &mut Frame, area: Rect, theme: Theme) {
    let list = lists::findings(state);
    let rows = list.rows.len() as u16 + 1;
    let selected = list.selected;
    let list_area = [Constraint::Length(rows.min(area.height / 2) + 1), Constraint::Min(0)];
    let [above, below] = Layout::vertical(list_area).areas(area);
    list::draw(list, frame, above, theme);
    let Some(index) = selected else { return };
    if let Some(finding) = state.data.findings(state.place()).get(index) {
        let width = usize::from(area.width).max(MIN_WIDTH);
        let text = findings::one(finding, index + 1, width, theme.paint());
        frame.render_widget(Paragraph::new(theme::text(&text)), below);
    }
}

fn scrolled(text: &str, state: &State, frame: &mut Frame, area: Rect) -> u16 {
    let text = theme::text(text);
    let last = (text.lines.len() as u16).saturating_sub(area.height);
    frame.render_widget(Paragraph::new(text).scroll((state.scroll.min(last), 0)), area);
    last
}

fn footer(state: &State, theme: Theme) -> Line<'static> {
    if state.is_typing {
        return format!("filter: {}_   Enter keeps it, Esc ends it", printable(&state.place().filter)).into();
    }
    let order = state.tab.orders().get(state.place().order).filter(|_| state.opened.is_none());
    let mut keys = vec!["? help".to_owned(), "q quit".to_owned(), "Tab next".to_owned()];
    keys.push(if state.opened.is_some() { "Esc back" } else { "Enter open" }.to_owned());
    keys.extend(order.map(|order| format!("s by {order}")));
    if state.opened.is_none() && state.tab != Tab::Health {
        keys.push("/ filter".to_owned());
    }
    keys.push("p pause".to_owned());
    Line::styled(keys.join("  "), theme.dim())
}
