//! The difference of two texts, line by line.

use std::fmt::Write as _;

/// Unchanged lines that are shown around changed ones.
const AROUND: usize = 3;
/// Above this product of lengths the texts are shown one after the other.
const MOST: usize = 4_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Both,
    Expected,
    Actual,
}

/// Shows what must become of `actual` to be `expected`: lines that are
/// expected and missing begin with `-`, lines that are there and not expected
/// with `+`. Empty where the texts are the same.
///
/// ```
/// let diff = policy_sdk::testing::diff("a\nb\n", "a\nc\n", false);
/// assert_eq!(diff, "  a\n- b\n+ c\n");
/// ```
#[must_use]
pub fn diff(expected: &str, actual: &str, colour: bool) -> String {
    if expected == actual {
        return String::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let lines = script(&old, &new);
    let mut out = String::new();
    let mut skipped = false;
    for (i, (side, line)) in lines.iter().enumerate() {
        let near = lines[i.saturating_sub(AROUND)..lines.len().min(i + AROUND + 1)]
            .iter()
            .any(|(side, _)| *side != Side::Both);
        if !near {
            skipped = true;
            continue;
        }
        if std::mem::take(&mut skipped) {
            out.push_str("  …\n");
        }
        let (sign, paint) = match side {
            Side::Both => (' ', ""),
            Side::Expected => ('-', "\u{1b}[31m"),
            Side::Actual => ('+', "\u{1b}[32m"),
        };
        // Writing to a string cannot fail.
        let _ = match (colour, paint) {
            (true, paint) if !paint.is_empty() => writeln!(out, "{paint}{sign} {line}\u{1b}[0m"),
            _ => writeln!(out, "{sign} {line}"),
        };
    }
    if skipped {
        out.push_str("  …\n");
    }
    out
}

/// The lines of both texts in an order that has most of them in common.
fn script<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(Side, &'t str)> {
    let (rows, columns) = (old.len() + 1, new.len() + 1);
    if rows * columns > MOST {
        let old = old.iter().map(|line| (Side::Expected, *line));
        return old
            .chain(new.iter().map(|line| (Side::Actual, *line)))
            .collect();
    }
    // common[i][j]: how many lines old[i..] and new[j..] have in common.
    let mut common = vec![0_u32; rows * columns];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * columns + j] = if old[i] == new[j] {
                common[(i + 1) * columns + j + 1] + 1
            } else {
                common[(i + 1) * columns + j].max(common[i * columns + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push((Side::Both, old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || (i < old.len() && common[(i + 1) * columns + j] >= common[i * columns + j + 1])
        {
            lines.push((Side::Expected, old[i]));
            i += 1;
        } else {
            lines.push((Side::Actual, new[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::diff;

    #[test]
    fn the_same_texts_have_no_difference() {
        assert_eq!(diff("a\n", "a\n", true), "");
    }

    #[test]
    fn lines_far_from_a_change_are_left_out() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let new = "1\n2\n3\n4\nfive\n6\n7\n8\n9\nten\n";
        assert_eq!(
            diff(old, new, false),
            "  …\n  2\n  3\n  4\n- 5\n+ five\n  6\n  7\n  8\n  9\n+ ten\n"
        );
    }

    #[test]
    fn colours_are_for_what_changed() {
        assert_eq!(diff("a\nb\n", "b\n", true), "\u{1b}[31m- a\u{1b}[0m\n  b\n");
    }
}
