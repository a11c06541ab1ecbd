//! Tables for people: columns as wide as their widest cell.

use super::terminal::{Style, paint};

/// A table with a heading per column.
#[derive(Debug)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(headings: &[&'static str]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, one cell per heading.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether there are no rows.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as lines of text; the last column isn't padded.
    pub fn render(&self) -> String {
        let headings: Vec<String> = self.headings.iter().map(ToString::to_string).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&headings).chain(&self.rows).collect();
        let widths: Vec<usize> = (0..headings.len())
            .map(|column| {
                let cells = lines.iter().filter_map(|line| line.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let rendered = lines.iter().enumerate().map(|(number, line)| {
            let padded = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"));
            let text = padded.collect::<Vec<_>>().join("  ");
            let text = text.trim_end();
            if number == 0 {
                paint(text, Style::Heading)
            } else {
                text.to_owned()
            }
        });
        rendered.collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["NAME", "WHAT"]);
        table.row(vec!["é".to_owned(), "short".to_owned()]);
        table.row(vec!["orders-backend".to_owned(), "long".to_owned()]);
        assert_eq!(
            table.render(),
            "NAME            WHAT\né               short\norders-backend  long"
        );
    }
}
