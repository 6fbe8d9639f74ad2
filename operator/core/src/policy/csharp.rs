//! As much of C# as a policy document needs: where an expression ends, and
//! which of its characters mean something.
//!
//! The gateway compiles a subset of C# 7. Nothing here judges whether code
//! compiles; it finds strings, characters, comments and brackets, so that an
//! expression ends where its author meant it to end and nowhere else.

use thiserror::Error;

/// Why a piece of C# cannot stand in a policy document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CodeError {
    /// Nothing but whitespace and comments.
    #[error("it is empty")]
    Empty,
    /// A string without its closing quote.
    #[error("a string is not closed: {0}")]
    UnclosedString(String),
    /// A character literal that is not one character between quotes.
    #[error("a character literal is not closed: {0}")]
    UnclosedChar(String),
    /// `/*` without `*/`.
    #[error("a comment is not closed: {0}")]
    UnclosedComment(String),
    /// A bracket of the wrong kind.
    #[error("`{found}` stands where `{expected}` should: {rest}")]
    Mismatch {
        /// The bracket found.
        found: char,
        /// The bracket that would close the innermost open one.
        expected: char,
        /// Where it stands.
        rest: String,
    },
    /// The text ends inside brackets.
    #[error("`{0}` is missing at its end")]
    NotClosed(char),
    /// Outside strings, characters and comments: an escape, or a character that
    /// is not ASCII. Both can write an identifier that is not seen as itself.
    #[error("`{0}` stands outside strings; write identifiers in plain ASCII")]
    NotPlain(String),
    /// The code closes the expression itself and goes on.
    #[error("it closes its own `@{open}` and goes on: {rest}", open = if *.close == ')' { '(' } else { '{' })]
    EndsEarly {
        /// The closing bracket.
        close: char,
        /// What follows it.
        rest: String,
    },
}

/// One lexeme: what it is and where it ends.
enum Lexeme {
    /// Whitespace or a comment.
    Trivia(usize),
    /// An opening bracket, one byte long.
    Open(char),
    /// A closing bracket, one byte long.
    Close(char),
    /// Anything else.
    Token(usize),
    /// The opening of `$"…"`; the text starts at the offset.
    Interpolated { verbatim: bool, start: usize },
}

/// Two-character operators: only those whose halves could mean something else
/// apart. `>` is never joined, because `>>` may close two type arguments.
const PAIRS: [&str; 18] = [
    "++", "--", "&&", "||", "==", "!=", "<=", "=>", "??", "?.", "::", "+=", "-=", "*=", "/=", "&=",
    "|=", "<<",
];

fn excerpt(code: &str, at: usize) -> String {
    let rest = code.get(at..).unwrap_or_default();
    let mut short: String = rest.chars().take(30).collect();
    if short.len() < rest.len() {
        short.push('…');
    }
    short
}

fn closing(open: char) -> char {
    match open {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

/// The end of a quoted literal whose text starts at `start`.
fn quoted_end(code: &str, start: usize, verbatim: bool) -> Option<usize> {
    let bytes = code.as_bytes();
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' if verbatim && bytes.get(at + 1) == Some(&b'"') => at += 2,
            b'"' => return Some(at + 1),
            b'\\' if !verbatim => at += 2,
            b'\n' | b'\r' if !verbatim => return None,
            _ => at += 1,
        }
    }
    None
}

fn char_end(code: &str, start: usize) -> Option<usize> {
    let mut chars = code.get(start..)?.char_indices();
    let (_, first) = chars.next()?;
    match first {
        '\'' | '\n' | '\r' => None,
        '\\' => {
            chars.next()?;
            // The longest escape is `\U` with eight digits.
            for (offset, c) in chars.take(9) {
                match c {
                    '\'' => return Some(start + offset + 1),
                    '\n' | '\r' => return None,
                    _ => {}
                }
            }
            None
        }
        _ => match chars.next()? {
            (offset, '\'') => Some(start + offset + 1),
            _ => None,
        },
    }
}

/// The lexeme at `at`, which is inside the text and on a character boundary.
fn lexeme(code: &str, at: usize) -> Result<Option<Lexeme>, CodeError> {
    let Some(rest) = code.get(at..) else {
        return Ok(None);
    };
    let Some(first) = rest.chars().next() else {
        return Ok(None);
    };
    let string = |from: usize, verbatim: bool| {
        quoted_end(code, from, verbatim)
            .map(|end| Some(Lexeme::Token(end)))
            .ok_or_else(|| CodeError::UnclosedString(excerpt(code, at)))
    };
    if first.is_whitespace() {
        let end = rest
            .find(|c: char| !c.is_whitespace())
            .unwrap_or(rest.len());
        return Ok(Some(Lexeme::Trivia(at + end)));
    }
    if rest.starts_with("//") {
        let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
        return Ok(Some(Lexeme::Trivia(at + end)));
    }
    if rest.starts_with("/*") {
        return match rest.get(2..).and_then(|inner| inner.find("*/")) {
            Some(end) => Ok(Some(Lexeme::Trivia(at + 2 + end + 2))),
            None => Err(CodeError::UnclosedComment(excerpt(code, at))),
        };
    }
    for (prefix, verbatim) in [("$@\"", true), ("@$\"", true), ("$\"", false)] {
        if rest.starts_with(prefix) {
            return Ok(Some(Lexeme::Interpolated {
                verbatim,
                start: at + prefix.len(),
            }));
        }
    }
    if rest.starts_with("@\"") {
        return string(at + 2, true);
    }
    Ok(Some(match first {
        '"' => return string(at + 1, false),
        '\'' => match char_end(code, at + 1) {
            Some(end) => Lexeme::Token(end),
            None => return Err(CodeError::UnclosedChar(excerpt(code, at))),
        },
        '(' | '[' | '{' => Lexeme::Open(first),
        ')' | ']' | '}' => Lexeme::Close(first),
        _ if first.is_alphanumeric() || first == '_' => {
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            Lexeme::Token(at + end)
        }
        _ => {
            let pair = PAIRS.iter().any(|pair| rest.starts_with(pair));
            Lexeme::Token(at + if pair { 2 } else { first.len_utf8() })
        }
    }))
}

/// What an interpolated string is nested in: its own text, or the code of a
/// hole with the brackets open in it.
enum Frame {
    Text { verbatim: bool },
    Hole { brackets: Vec<char> },
}

/// The end of an interpolated string whose text starts at `start`; `token` is
/// called for the code in its holes. Holes nest strings that nest holes, so
/// this keeps its own stack.
fn interpolated_end<'c>(
    code: &'c str,
    start: usize,
    verbatim: bool,
    token: &mut impl FnMut(Piece<'c>),
) -> Result<usize, CodeError> {
    let unclosed = || CodeError::UnclosedString(excerpt(code, start));
    let bytes = code.as_bytes();
    let mut stack = vec![Frame::Text { verbatim }];
    let mut at = start;
    while let Some(frame) = stack.last_mut() {
        match frame {
            Frame::Text { verbatim } => {
                let next = bytes.get(at + 1);
                match bytes.get(at).ok_or_else(unclosed)? {
                    b'"' if *verbatim && next == Some(&b'"') => at += 2,
                    b'"' => {
                        at += 1;
                        stack.pop();
                    }
                    b'\\' if !*verbatim => at += 2,
                    b'\n' | b'\r' if !*verbatim => return Err(unclosed()),
                    b'{' if next == Some(&b'{') => at += 2,
                    b'{' => {
                        at += 1;
                        stack.push(Frame::Hole {
                            brackets: Vec::new(),
                        });
                    }
                    _ => at += 1,
                }
            }
            Frame::Hole { brackets } => match lexeme(code, at)?.ok_or_else(unclosed)? {
                Lexeme::Trivia(end) => at = end,
                Lexeme::Token(end) => {
                    token(Piece::Hole(code.get(at..end).unwrap_or_default()));
                    // A colon outside brackets starts the format text.
                    if brackets.is_empty() && bytes.get(at) == Some(&b':') && end == at + 1 {
                        let format = code.get(at..).and_then(|rest| rest.find(['}', '"']));
                        at += format.ok_or_else(unclosed)?;
                        if bytes.get(at) == Some(&b'"') {
                            return Err(unclosed());
                        }
                    } else {
                        at = end;
                    }
                }
                Lexeme::Open(open) => {
                    brackets.push(closing(open));
                    at += 1;
                }
                Lexeme::Close(found) => {
                    match brackets.pop() {
                        None if found == '}' => {
                            stack.pop();
                        }
                        expected if expected == Some(found) => {}
                        expected => {
                            return Err(CodeError::Mismatch {
                                found,
                                expected: expected.unwrap_or('}'),
                                rest: excerpt(code, at),
                            });
                        }
                    }
                    at += 1;
                }
                Lexeme::Interpolated { verbatim, start } => {
                    at = start;
                    stack.push(Frame::Text { verbatim });
                }
            },
        }
    }
    Ok(at)
}

/// A piece of code that is not trivia.
#[derive(Clone, Copy)]
enum Piece<'c> {
    /// A token; an interpolated string is one.
    Token(&'c str),
    /// A token inside a hole of an interpolated string, before that string.
    Hole(&'c str),
}

/// Calls `token` for each token up to the bracket that closes the expression,
/// or to the end of the text; returns the offset of that bracket, if any.
fn walk<'c>(
    code: &'c str,
    close: char,
    mut token: impl FnMut(Piece<'c>),
) -> Result<Option<usize>, CodeError> {
    let mut brackets = Vec::new();
    let mut at = 0;
    while let Some(lexeme) = lexeme(code, at)? {
        let end = match lexeme {
            Lexeme::Trivia(end) => {
                at = end;
                continue;
            }
            Lexeme::Token(end) => end,
            Lexeme::Interpolated { verbatim, start } => {
                interpolated_end(code, start, verbatim, &mut token)?
            }
            Lexeme::Open(open) => {
                brackets.push(closing(open));
                at + 1
            }
            Lexeme::Close(found) => {
                match brackets.pop() {
                    None if found == close => return Ok(Some(at)),
                    expected if expected == Some(found) => {}
                    expected => {
                        return Err(CodeError::Mismatch {
                            found,
                            expected: expected.unwrap_or(close),
                            rest: excerpt(code, at),
                        });
                    }
                }
                at + 1
            }
        };
        token(Piece::Token(code.get(at..end).unwrap_or_default()));
        at = end;
    }
    match brackets.pop() {
        Some(open) => Err(CodeError::NotClosed(open)),
        None => Ok(None),
    }
}

/// The length of the code that stands before its closing bracket, in a text
/// that goes on after it.
///
/// `text` starts just after `@(` or `@{`; `close` is `)` or `}`.
pub fn length(text: &str, close: char) -> Result<usize, CodeError> {
    walk(text, close, |_| {})?.ok_or(CodeError::NotClosed(close))
}

/// Whether the text is code that can stand between `@(` and `)`, or between
/// `@{` and `}`: balanced, not empty, and without a way to end early.
pub fn check(code: &str, close: char) -> Result<(), CodeError> {
    let mut empty = true;
    let mut odd = None;
    // Closed as it will be printed: a comment on the last line would swallow
    // the bracket.
    let closed = format!("{code}{close}");
    let end = walk(&closed, close, |piece| {
        let (Piece::Token(token) | Piece::Hole(token)) = piece;
        empty = false;
        if !is_quoted(token) && (token == "\\" || !token.is_ascii()) {
            odd.get_or_insert_with(|| token.to_owned());
        }
    })?
    .ok_or(CodeError::NotClosed(close))?;
    if end < code.len() {
        return Err(CodeError::EndsEarly {
            close,
            rest: excerpt(code, end),
        });
    }
    if empty {
        return Err(CodeError::Empty);
    }
    odd.map_or(Ok(()), |token| Err(CodeError::NotPlain(token)))
}

fn is_quoted(token: &str) -> bool {
    token.starts_with(['"', '\'', '$']) || token.starts_with("@\"") || token.starts_with("@$")
}

/// Whether the code uses the identifier, in holes of strings too.
///
/// Right for code that passed [`check`], which lets no identifier be written
/// in a way that hides it.
#[must_use]
pub fn uses(code: &str, identifier: &str) -> bool {
    let mut found = false;
    let walked = walk(code, '\0', |piece| {
        let (Piece::Token(token) | Piece::Hole(token)) = piece;
        found |= token == identifier;
    });
    // Code that does not lex may hide anything.
    found || (walked.is_err() && code.contains(identifier))
}

/// The code without whitespace and comments, one blank between tokens: equal
/// for two pieces of code that differ in layout only. Code that does not lex
/// is its own canonical form.
#[must_use]
pub fn canonical(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let walked = walk(code, '\0', |piece| {
        if let Piece::Token(token) = piece {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(token);
        }
    });
    if walked.is_ok() { out } else { code.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_characters_and_comments_do_not_count() {
        for code in [
            r#"")""#,
            r#"@"\")"#,
            r#"@"a""b)""#,
            r"')'",
            r"'\''",
            r"'\u0029'",
            "1 /* ) */ + 2",
            "1 // )\n",
            r#"$"{a[")"]}""#,
            r#"$"{{ {d:HH)mm} }}""#,
            r#"$@"{x}"" ) {y(")")}""#,
            r#"$"{ $"{ $"{")"}" }" }""#,
        ] {
            assert_eq!(
                length(&format!("{code})tail"), ')'),
                if code == r#"@"\")"# {
                    Ok(4)
                } else {
                    Ok(code.len())
                },
                "{code}"
            );
        }
    }

    #[test]
    fn code_that_ends_early_is_refused() {
        assert_eq!(
            check("1) + @(2", ')'),
            Err(CodeError::EndsEarly {
                close: ')',
                rest: ") + @(2".into()
            })
        );
        assert_eq!(check("1 // comment", ')'), Err(CodeError::NotClosed(')')));
        assert_eq!(check("(1", ')'), Err(CodeError::NotClosed(')')));
        assert_eq!(check(" /* x */ ", ')'), Err(CodeError::Empty));
        assert!(matches!(
            check("\"a", ')'),
            Err(CodeError::UnclosedString(_))
        ));
        assert!(matches!(
            check("'ab'", ')'),
            Err(CodeError::UnclosedChar(_))
        ));
        assert!(matches!(check("(]", ')'), Err(CodeError::Mismatch { .. })));
        assert!(matches!(
            check("/* a", ')'),
            Err(CodeError::UnclosedComment(_))
        ));
        assert_eq!(check("return \"}\";", '}'), Ok(()));
        assert_eq!(
            check(r"context.\u0044eployment", ')'),
            Err(CodeError::NotPlain("\\".into()))
        );
        assert_eq!(check("\"ä\" /* ä */ + 'ä'", ')'), Ok(()));
        assert!(matches!(check("ä", ')'), Err(CodeError::NotPlain(_))));
        assert!(matches!(
            check("$\"ä {a\u{200d}b}\"", ')'),
            Err(CodeError::NotPlain(_))
        ));
    }

    #[test]
    fn an_identifier_is_found_in_code_and_in_holes_only() {
        assert!(uses("a.Certificates[0]", "Certificates"));
        assert!(uses(r#"$"{a} {b.Certificates["x"]}""#, "Certificates"));
        assert!(!uses(
            r#""Certificates" + $"Certificates" // Certificates"#,
            "Certificates"
        ));
        assert!(!uses("a.CertificatesX", "Certificates"));
    }

    #[test]
    fn layout_and_comments_do_not_change_the_canonical_form() {
        assert_eq!(
            canonical("new  byte[ 16 ] // x\n"),
            canonical("new byte/**/[16]")
        );
        assert_eq!(canonical("\"a  b\""), "\"a  b\"");
        assert_ne!(canonical("newbyte"), canonical("new byte"));
        assert_ne!(canonical("x = - -b"), canonical("x = --b"));
        assert_eq!(canonical("A<B<C> >"), canonical("A<B<C>>"));
    }
}
