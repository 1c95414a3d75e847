//! A table with a column for each kernel.

use std::fmt;

pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(corner: &str, columns: impl Iterator<Item = String>) -> Table {
        let mut table = Table { rows: Vec::new() };
        table.row(corner, columns);
        table
    }

    pub fn row(&mut self, name: &str, cells: impl Iterator<Item = String>) {
        self.rows.push([name.to_owned()].into_iter().chain(cells).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            for (cell, width) in row.iter().zip(&widths) {
                write!(formatter, "{cell:width$}  ")?;
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}
