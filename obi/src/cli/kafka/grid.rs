//! Rows under a header, as kafka-consumer-groups prints them: columns of the width they need, `-` where nothing is known, nothing cut.

use crate::cli::exit::{Exit, Failure};

/// One value: how it is shown, and its number when rows are put in order by it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    text: String,
    number: Option<f64>,
}

impl Cell {
    /// A number in a form of its own.
    pub fn number(number: f64, text: String) -> Cell {
        Cell {
            text,
            number: Some(number),
        }
    }

    fn is_unknown(&self) -> bool {
        self.text.is_empty()
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        // A name must not steer the terminal.
        let clean = |c: char| if c.is_control() { '?' } else { c };
        Cell {
            text: text.chars().map(clean).collect(),
            number: None,
        }
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Cell {
        text.as_str().into()
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        text.as_str().into()
    }
}

macro_rules! whole {
    ($($kind:ty)*) => {$(
        impl From<$kind> for Cell {
            fn from(n: $kind) -> Cell {
                Cell::number(n as f64, n.to_string())
            }
        }
    )*};
}
whole!(i16 i32 i64 u32 u64 usize);

/// One decimal.
impl From<f64> for Cell {
    fn from(n: f64) -> Cell {
        Cell::number(n, format!("{n:.1}"))
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or_else(Cell::default, Into::into)
    }
}

#[derive(Debug)]
pub struct Grid {
    pub header: Vec<&'static str>,
    pub rows: Vec<Vec<Cell>>,
}

impl Grid {
    pub fn new(header: &[&'static str]) -> Grid {
        Grid {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Numbers: the largest first; words: in their order; what is not known: last. False: there is no such column.
    pub fn sort(&mut self, column: &str) -> bool {
        let Some(at) = self
            .header
            .iter()
            .position(|name| name.eq_ignore_ascii_case(column))
        else {
            return false;
        };
        self.rows.sort_by(|a, b| {
            let (Some(a), Some(b)) = (a.get(at), b.get(at)) else {
                return std::cmp::Ordering::Equal;
            };
            let known = a.is_unknown().cmp(&b.is_unknown());
            let order = match (a.number, b.number) {
                (Some(a), Some(b)) => b.total_cmp(&a),
                _ => a.text.cmp(&b.text),
            };
            known.then(order)
        });
        true
    }

    /// Nothing for no rows.
    pub fn render(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let mut widths: Vec<usize> = self.header.iter().map(|name| name.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let mut out = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::new();
            for (cell, width) in cells.zip(&widths) {
                let shown = if cell.is_empty() { "-" } else { cell };
                text.push_str(&format!("{shown:width$}  "));
            }
            out.push_str(text.trim_end());
            out.push('\n');
        };
        line(&mut self.header.iter().copied());
        for row in &self.rows {
            line(&mut row.iter().map(|cell| cell.text.as_str()));
        }
        out
    }
}

/// Puts each grid that has the column in order; wrong usage when none has.
pub fn sort(grids: &mut [&mut Grid], column: Option<&str>) -> anyhow::Result<()> {
    let Some(column) = column else { return Ok(()) };
    let sorted = grids.iter_mut().filter(|grid| {
        grid.header
            .iter()
            .any(|name| name.eq_ignore_ascii_case(column))
    });
    if sorted.map(|grid| grid.sort(column)).count() > 0 {
        return Ok(());
    }
    let mut known: Vec<&str> = Vec::new();
    for name in grids.iter().flat_map(|grid| &grid.header) {
        if !known.contains(name) {
            known.push(name);
        }
    }
    let message = format!("there is no column `{column}`");
    let hint = format!("columns: {}", known.join(", "));
    Err(Failure::new(Exit::Usage, message).hint(hint).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new(&["NAME", "LAG"]);
        grid.rows = vec![
            vec!["b\u{1b}[31m".into(), 2u64.into()],
            vec!["a".into(), None::<u64>.into()],
            vec!["".into(), 10u64.into()],
        ];
        grid
    }

    #[test]
    fn unknown_is_a_dash_and_names_do_not_steer_the_terminal() {
        assert_eq!(
            grid().render(),
            "NAME    LAG\nb?[31m  2\na       -\n-       10\n"
        );
        assert_eq!(Grid::new(&["A"]).render(), "");
    }

    #[test]
    fn sorting_by_number_and_by_word() {
        let mut by = grid();
        sort(&mut [&mut by], Some("lag")).unwrap();
        assert_eq!(
            by.render(),
            "NAME    LAG\n-       10\nb?[31m  2\na       -\n"
        );
        sort(&mut [&mut Grid::new(&["X"]), &mut by], Some("Name")).unwrap();
        assert_eq!(
            by.render(),
            "NAME    LAG\na       -\nb?[31m  2\n-       10\n"
        );
        let error = sort(&mut [&mut by, &mut grid()], Some("size")).unwrap_err();
        let failure = error.downcast_ref::<Failure>().unwrap();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(failure.hint.as_deref(), Some("columns: NAME, LAG"));
    }
}
