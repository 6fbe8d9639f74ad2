//! Marks in a template's result: what was inserted, and what is code.
//!
//! They are private-use characters, which the template and all data are freed
//! of before ([`crate::data`], [`crate::engine`]), so only this plugin writes
//! them.

use std::io::{self, Write};

/// Before inserted text.
pub(crate) const OPEN: char = '\u{E000}';
/// After inserted text.
pub(crate) const CLOSE: char = '\u{E001}';
/// Before the number of a piece of code or of a named value.
pub(crate) const CODE: char = '\u{E002}';
/// After that number.
pub(crate) const END: char = '\u{E003}';

/// All of them.
pub(crate) const ALL: [char; 4] = [OPEN, CLOSE, CODE, END];

/// The place of the `index`th piece of code.
pub(crate) fn code(index: usize) -> String {
    format!("{CODE}{index}{END}")
}

/// The number in the place of a piece of code, if `text` is exactly one.
pub(crate) fn code_index(text: &str) -> Option<usize> {
    text.strip_prefix(CODE)?.strip_suffix(END)?.parse().ok()
}

/// What Tera does to every text that is inserted: it is marked, and written so
/// that XML reads it as that text. One that holds marks already was made of
/// the result of another insertion; what comes of it is no result.
pub(crate) fn insert(text: &str, out: &mut dyn Write) -> io::Result<()> {
    if text.contains(ALL) {
        return write!(out, "{CLOSE}");
    }
    let mut escaped = String::with_capacity(text.len() + 6);
    escaped.push(OPEN);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // A reader of XML may make spaces of these.
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            '\t' => escaped.push_str("&#9;"),
            c => escaped.push(c),
        }
    }
    escaped.push(CLOSE);
    out.write_all(escaped.as_bytes())
}
