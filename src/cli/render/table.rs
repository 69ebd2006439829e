//! Aligned columns.

use super::text::{Colour, Look, clean, shorten};

/// Which side a column's cells lean to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Rows under a heading. Cells are cleaned; where the lines are wider than the terminal, the widest columns are cut.
pub struct Table {
    heading: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
    spare: Option<usize>,
}

/// What stands in one column of a row.
pub struct Cell {
    text: String,
    colour: Option<Colour>,
}

/// A cell in the terminal's own colour.
pub fn plain(text: impl ToString) -> Cell {
    Cell { text: clean(&text.to_string()).into_owned(), colour: None }
}

/// A cell in a colour.
pub fn painted(colour: Colour, text: impl ToString) -> Cell {
    Cell { colour: Some(colour), ..plain(text) }
}

/// A column is not cut below this.
const COLUMN_WIDTH_MIN: usize = 8;
const GAP: &str = "  ";

impl Table {
    pub fn new(heading: impl IntoIterator<Item = (&'static str, Align)>) -> Self {
        Table { heading: heading.into_iter().collect(), rows: Vec::new(), spare: None }
    }

    /// The column that gives way before the widest: what it says is found by another one.
    pub fn spare(self, column: usize) -> Self {
        Table { spare: Some(column), ..self }
    }

    /// One cell for each column.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.heading.len(), "a row has one cell for each column");
        self.rows.push(cells.into());
    }

    /// The heading and the rows, each on a line of its own.
    pub fn render(&self, look: &Look) -> String {
        let widths = self.widths(look.width);
        let mut text = String::new();
        let heading = self.heading.iter().map(|(name, _)| painted(Colour::Faint, name));
        self.line(&mut text, &heading.collect::<Vec<_>>(), &widths, look);
        for row in &self.rows {
            self.line(&mut text, row, &widths, look);
        }
        text
    }

    fn widths(&self, available: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heading.iter().map(|(name, _)| name.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > available {
            let spare = self.spare.filter(|column| widths[*column] > COLUMN_WIDTH_MIN);
            let gives_way = match spare {
                Some(column) => widths.get_mut(column),
                None => widths.iter_mut().max(),
            };
            match gives_way {
                Some(widest) if *widest > COLUMN_WIDTH_MIN => *widest -= 1,
                _ => break,
            }
        }
        widths
    }

    fn line(&self, text: &mut String, cells: &[Cell], widths: &[usize], look: &Look) {
        let start = text.len();
        for (index, (cell, &width)) in cells.iter().zip(widths).enumerate() {
            if index > 0 {
                text.push_str(GAP);
            }
            let shown = shorten(&cell.text, width);
            let padding = " ".repeat(width - shown.chars().count());
            let painted = cell.colour.map_or_else(|| shown.to_string(), |colour| look.paint(colour, &shown));
            match self.heading[index].1 {
                Align::Left => text.extend([painted, padding]),
                Align::Right => text.extend([padding, painted]),
            }
        }
        text.truncate(start + text[start..].trim_end().len());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::clock::Timestamp;

    fn table() -> Table {
        let mut table = Table::new([("POS", Align::Right), ("TYPE", Align::Left), ("SUBJECT", Align::Left)]);
        table.row([plain(9), plain("shop.order.paid"), plain("a\u{7}b")]);
        table.row([plain(10), painted(Colour::Bad, "x"), plain("")]);
        table
    }

    #[test]
    fn columns_are_aligned_and_cells_cleaned() {
        let look = Look { colour: false, width: 80, now: Timestamp::EPOCH };
        expect![[r#"
            POS  TYPE             SUBJECT
              9  shop.order.paid  a\u{7}b
             10  x
        "#]]
        .assert_eq(&table().render(&look));
    }

    #[test]
    fn the_widest_column_gives_way_to_the_terminal() {
        let look = Look { colour: false, width: 24, now: Timestamp::EPOCH };
        expect![[r#"
            POS  TYPE        SUBJECT
              9  shop.orde…  a\u{7}b
             10  x
        "#]]
        .assert_eq(&table().render(&look));
    }
}
