//! Plain tables for the terminal.
use std::fmt::{Display, Formatter};

/// Rows of equal length; columns are as wide as their widest cell.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Starts with the heads of the columns.
    pub(crate) fn new<const N: usize>(heads: [&str; N]) -> Self {
        Self {
            rows: vec![heads.map(str::to_owned).to_vec()],
        }
    }

    /// Adds a row; missing cells are empty.
    pub(crate) fn row<const N: usize>(&mut self, cells: [impl Into<String>; N]) {
        self.rows.push(cells.map(Into::into).to_vec());
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &Vec<String>, i: usize| row.get(i).cloned().unwrap_or_default();
        let width = |i| {
            self.rows
                .iter()
                .map(|row| cell(row, i).chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for (n, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (i, width) in widths.iter().enumerate() {
                let text = cell(row, i);
                // Numbers line up at their ends.
                let number = n > 0 && text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
                let gap = if i == 0 { "  " } else { "   " };
                line += &if number {
                    format!("{gap}{text:>width$}")
                } else {
                    format!("{gap}{text:width$}")
                };
            }
            writeln!(f, "{}", line.trim_end())?;
            if n == 0 {
                writeln!(
                    f,
                    "  {}",
                    "-".repeat(widths.iter().sum::<usize>() + 3 * columns.saturating_sub(1))
                )?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["phase", "seconds", ""]);
        table.row(["firmware", "10.1", "x"]);
        table.row(["dhcp", "0.5", ""]);
        let text = "  phase      seconds\n  ----------------------\n  firmware      10.1   x\n  dhcp           0.5\n";
        assert_eq!(table.to_string(), text);
    }
}
