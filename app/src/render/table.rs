//! Tables: columns as wide as they must be, cut to the terminal where there is one.

use super::style;
use anstyle::Style;

/// Space between two columns.
const GAP: usize = 2;

/// One cell.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Plain text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new() }
    }

    /// Text in a style.
    pub fn styled(style: Style, text: impl Into<String>) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

/// A table under construction.
#[derive(Debug, Clone, Default)]
pub struct Table {
    head: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns. A title that begins with `>` is of a column whose text is set to the right.
    pub fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|title| title.trim_start_matches('>').to_owned()).collect(),
            right: head.iter().map(|title| title.starts_with('>')).collect(),
            rows: vec![],
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text. Columns without any text are left out. With `width`, lines are cut to it.
    pub fn render(&self, width: Option<usize>) -> String {
        let columns: Vec<(usize, usize)> = (0..self.head.len())
            .filter_map(|i| {
                let widest = self.rows.iter().filter_map(|r| r.get(i)).map(|c| length(&c.text)).max()?;
                (widest > 0).then(|| (i, widest.max(self.head[i].len())))
            })
            .collect();
        let mut out = String::new();
        let head: Vec<Cell> =
            self.head.iter().map(|title| Cell::styled(style::DIM, title.as_str())).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            self.line(&mut out, row, &columns, width);
        }
        out
    }

    fn line(&self, out: &mut String, row: &[Cell], columns: &[(usize, usize)], width: Option<usize>) {
        let mut room = width.unwrap_or(usize::MAX);
        let empty = Cell::default();
        let begun = out.len();
        let last = columns.last().map(|(i, _)| *i);
        for (i, widest) in columns {
            let cell = row.get(*i).unwrap_or(&empty);
            let text = cut(&cell.text, room.min(if last == Some(*i) { usize::MAX } else { *widest }));
            let pad = widest.saturating_sub(length(&text)).min(room.saturating_sub(length(&text)));
            room = room.saturating_sub(widest + GAP);
            let painted = if text.is_empty() { String::new() } else { style::paint(cell.style, &text) };
            if self.right[*i] {
                out.push_str(&" ".repeat(pad));
                out.push_str(&painted);
            } else {
                out.push_str(&painted);
                if last != Some(*i) {
                    out.push_str(&" ".repeat(pad));
                }
            }
            if last != Some(*i) && room > 0 {
                out.push_str(&" ".repeat(GAP));
            }
        }
        // Nothing but what fills empty columns.
        out.truncate(begun.max(out.trim_end_matches(' ').len()));
        out.push('\n');
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// `text`, shortened to `width` characters, the last of which then says so.
pub fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    if width == 0 { String::new() } else { format!("{kept}…") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(table: &Table, width: Option<usize>) -> String {
        anstream::adapter::strip_str(&table.render(width)).to_string()
    }

    #[test]
    fn columns_line_up_and_empty_ones_go() {
        let mut table = Table::new(&["NAME", "EMPTY", ">SIZE", "LAST"]);
        table.row(["api".into(), "".into(), "5".into(), "x".into()]);
        table.row(["frontend".into(), "".into(), "12345".into(), "a long one".into()]);
        assert_eq!(
            plain(&table, None),
            "NAME       SIZE  LAST\napi           5  x\nfrontend  12345  a long one\n"
        );
        assert_eq!(
            plain(&table, Some(20)),
            "NAME       SIZE  LA…\napi           5  x\nfrontend  12345  a …\n"
        );
    }
}
