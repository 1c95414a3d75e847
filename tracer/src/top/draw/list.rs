//! A list: columns that fit, and rows of which one is selected.

use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Rect},
    text::{Line, Text},
    widgets::{Paragraph, Row, Table, TableState},
};

use super::theme::Theme;

/// What a column is called and how it is drawn.
pub struct Column {
    pub title: &'static str,
    /// Characters; of the first column that has `u16::MAX` here, what is left.
    pub width: u16,
    /// Those of the highest rank go first where there is no room for all.
    pub rank: u8,
    pub alignment: Alignment,
}

impl Column {
    /// Takes what is left.
    pub const fn name(title: &'static str) -> Column {
        Column { title, width: u16::MAX, rank: 0, alignment: Alignment::Left }
    }

    pub const fn text(title: &'static str, width: u16, rank: u8) -> Column {
        Column { title, width, rank, alignment: Alignment::Left }
    }

    pub const fn figure(title: &'static str, width: u16, rank: u8) -> Column {
        Column { title, width, rank, alignment: Alignment::Right }
    }
}

pub struct List {
    pub columns: &'static [Column],
    /// Each with a cell for each column.
    pub rows: Vec<Vec<Line<'static>>>,
    pub selected: Option<usize>,
    /// What is said where there are no rows.
    pub empty: String,
}

/// The least that is left for the column of names.
const NAME: u16 = 16;

/// Between two columns.
const GAP: u16 = 1;

pub fn draw(list: List, frame: &mut Frame, area: Rect, theme: Theme) {
    if list.rows.is_empty() {
        frame.render_widget(Paragraph::new(list.empty).style(theme.dim()), area);
        return;
    }
    let shown = fitting(list.columns, area.width);
    let height = usize::from(area.height.saturating_sub(1));
    let selected = list.selected.unwrap_or(0);
    let n_rows = list.rows.len();
    // What is selected stays in the middle as long as there is something to both sides of it.
    let first = selected.saturating_sub(height / 2).min(n_rows.saturating_sub(height));
    let aligned = |column: usize, cell: Line<'static>| {
        Text::from(cell)
            .alignment(list.columns.get(column).map_or(Alignment::Left, |column| column.alignment))
    };
    let rows = list.rows.into_iter().skip(first).take(height).map(|cells| {
        let cells = cells.into_iter().enumerate().filter(|(column, _)| shown.contains(column));
        Row::new(cells.map(|(column, cell)| aligned(column, cell)).collect::<Vec<_>>())
    });
    let columns = || shown.iter().filter_map(|column| list.columns.get(*column));
    let titles = columns().map(|column| Text::from(column.title).alignment(column.alignment));
    let widths = columns().map(|column| match column.width {
        u16::MAX => Constraint::Min(NAME),
        width => Constraint::Length(width),
    });
    let table = Table::new(rows, widths.collect::<Vec<_>>())
        .header(Row::new(titles.collect::<Vec<_>>()).style(theme.title()))
        .column_spacing(GAP)
        .row_highlight_style(theme.selected());
    let mut state = TableState::default().with_selected(selected - first);
    frame.render_stateful_widget(table, area, &mut state);
}

/// Columns for which there is room.
fn fitting(columns: &[Column], width: u16) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let need = |shown: &[usize]| {
        let widths =
            shown.iter().filter_map(|column| columns.get(*column)).map(|column| match column.width {
                u16::MAX => NAME + GAP,
                width => width + GAP,
            });
        widths.fold(0u16, u16::saturating_add).saturating_sub(GAP)
    };
    while need(&shown) > width {
        let rank = |index: &usize| columns.get(*index).map_or(0, |column| column.rank);
        // Of several the last.
        let Some(last) = shown.iter().copied().max_by_key(|column| (rank(column), *column)) else { break };
        if rank(&last) == 0 {
            break;
        }
        shown.retain(|column| *column != last);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_least_goes_first() {
        const COLUMNS: [Column; 4] = [
            Column::name("a"),
            Column::figure("b", 10, 2),
            Column::figure("c", 10, 1),
            Column::figure("d", 5, 2),
        ];
        assert_eq!(fitting(&COLUMNS, 44), [0, 1, 2, 3]);
        assert_eq!(fitting(&COLUMNS, 43), [0, 1, 2]);
        assert_eq!(fitting(&COLUMNS, 30), [0, 2]);
        assert_eq!(fitting(&COLUMNS, 3), [0]);
    }
}
