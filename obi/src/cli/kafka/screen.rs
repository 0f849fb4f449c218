//! A text that is drawn over itself again and again. In: the text and the terminal's size; out: bytes that leave nothing of the text before it.
//!
//! Nothing is cleared before it is drawn over, so that it does not flicker; lines are cut at the edge, and what does not fit below is counted.

use std::io::IsTerminal;

/// Whole, at the start.
pub const CLEAR: &str = "\x1b[2J";

/// Rows and columns; None: stdout is no terminal.
pub fn size() -> Option<(usize, usize)> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    // Some terminals do not know their size.
    let or = |n: u16, else_: usize| if n == 0 { else_ } else { usize::from(n) };
    Some((or(size.ws_row, 24), or(size.ws_col, 80)))
}

pub fn frame(text: &str, (rows, columns): (usize, usize)) -> String {
    let lines: Vec<&str> = text.lines().collect();
    // The cursor stays below, where the shell goes on after an interrupt.
    let room = rows.saturating_sub(1).max(2);
    let shown = if lines.len() > room {
        room - 1
    } else {
        lines.len()
    };
    let more = lines.len() - shown;
    let last = (more > 0).then(|| format!("... {more} more lines"));
    let mut out = "\x1b[H".to_owned();
    for line in lines.iter().copied().take(shown).chain(last.as_deref()) {
        let end = line.char_indices().nth(columns).map(|(at, _)| at);
        out.push_str(line.get(..end.unwrap_or(line.len())).unwrap_or_default());
        // At the edge this would erase the last letter.
        if line.chars().count() < columns {
            out.push_str("\x1b[K");
        }
        out.push('\n');
    }
    out.push_str("\x1b[J");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_what_is_below_is_counted() {
        let text = "NAME  LAG\nlonger-than-it  1\nü  2\nd\ne\n";
        assert_eq!(
            frame(text, (6, 9)),
            "\x1b[HNAME  LAG\nlonger-th\nü  2\x1b[K\nd\x1b[K\ne\x1b[K\n\x1b[J"
        );
        assert_eq!(
            frame(text, (4, 30)),
            "\x1b[HNAME  LAG\x1b[K\nlonger-than-it  1\x1b[K\n... 3 more lines\x1b[K\n\x1b[J"
        );
        assert_eq!(frame("", (4, 30)), "\x1b[H\x1b[J");
    }
}
