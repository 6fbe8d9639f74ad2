//! Many problems as one message.

use std::fmt::Write as _;

use crate::problem::Problem;

/// The longest message of a condition, in bytes. Kubernetes takes 32 KiB; more
/// than a screen helps nobody.
pub(super) const MAX_MESSAGE: usize = 4 * 1024;
/// The longest share of one problem.
const MAX_PROBLEM: usize = 1024;

/// The problems as one message: as many as fit, then how many there are
/// besides.
#[must_use]
pub fn summary(problems: &[Problem]) -> String {
    let mut text = String::new();
    for (i, problem) in problems.iter().enumerate() {
        let line = cut(&problem.to_string(), MAX_PROBLEM);
        // Room for the last line.
        if text.len() + line.len() + 40 > MAX_MESSAGE {
            let _ = write!(text, "\n… and {} more", problems.len() - i);
            break;
        }
        if i > 0 {
            text.push('\n');
        }
        text.push_str(&line);
    }
    text
}

/// At most so many bytes of a text.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most.saturating_sub('…'.len_utf8()));
    format!("{}…", &text[..end])
}
