//! Tables and colours.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use jiff::{SignedDuration, Timestamp};

/// Names of fields and columns.
pub(super) const HEAD: Style = Style::new().bold();
/// What is well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What is on its way.
pub(super) const BUSY: Style = AnsiColor::Yellow.on_default();
/// What is not well.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// Nothing of note.
pub(super) const PLAIN: Style = Style::new();

/// A text and how it looks.
pub(super) type Cell = (String, Style);

/// A cell without a colour.
pub(super) fn plain(text: impl Into<String>) -> Cell {
    (text.into(), PLAIN)
}

/// Writes rows below each other, as wide as they need. The last column is not
/// filled up.
pub(super) fn table(
    out: &mut impl Write,
    head: &[&str],
    rows: &[Vec<Cell>],
) -> std::io::Result<()> {
    let head: Vec<Cell> = head.iter().map(|name| ((*name).to_owned(), HEAD)).collect();
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| {
        let widths = all().filter_map(|row| Some(row.get(column)?.0.chars().count()));
        widths.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in all() {
        for (column, (text, style)) in row.iter().enumerate() {
            let last = column + 1 == row.len();
            let fill = if last {
                0
            } else {
                widths[column] - text.chars().count() + 3
            };
            write!(out, "{style}{text}{style:#}{:fill$}", "")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// How long ago, as kubectl says it: in the largest unit that tells enough.
pub(super) fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    let Some(since) = since else {
        return "<unknown>".to_owned();
    };
    let passed = now.duration_since(since).max(SignedDuration::ZERO);
    let seconds = passed.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => format!("{minutes}m{}s", seconds % 60).replace("m0s", "m"),
        () if hours < 3 => format!("{minutes}m"),
        () if hours < 8 => format!("{hours}h{}m", minutes % 60).replace("h0m", "h"),
        () if days < 2 => format!("{hours}h"),
        () if days < 8 => format!("{days}d{}h", hours % 24).replace("d0h", "d"),
        () if days < 2 * 365 => format!("{days}d"),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: i64) -> String {
        let since = Timestamp::UNIX_EPOCH;
        age(Some(since), since + SignedDuration::from_secs(seconds))
    }

    #[test]
    fn an_age_is_said_in_the_largest_unit_that_tells_enough() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (3_600, "60m"),
            (3 * 3_600, "3h"),
            (3 * 3_600 + 300, "3h5m"),
            (30 * 3_600, "30h"),
            (3 * 86_400 + 7_200, "3d2h"),
            (30 * 86_400, "30d"),
            (3 * 365 * 86_400, "3y"),
        ];
        for (seconds, wanted) in cases {
            assert_eq!(after(seconds), wanted, "{seconds}");
        }
        assert_eq!(after(-5), "0s", "clocks differ");
        assert_eq!(age(None, Timestamp::UNIX_EPOCH), "<unknown>");
    }

    #[test]
    fn columns_are_as_wide_as_they_need() {
        let mut out = Vec::new();
        let rows = [
            vec![plain("stock"), plain("/stock")],
            vec![plain("b"), plain("/a/much/longer/path")],
        ];
        table(&mut out, &["NAME", "PATH"], &rows).unwrap();
        let text = anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string();
        assert_eq!(
            text,
            "NAME    PATH\nstock   /stock\nb       /a/much/longer/path\n"
        );
    }
}
