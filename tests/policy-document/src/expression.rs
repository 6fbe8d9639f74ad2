//! The C# of policy expressions: where one ends, and what the compiler says
//! about one that cannot be right. Only tokens and brackets are understood;
//! names and types are not.

/// Why an expression is refused, in the compiler's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// A parenthesis is not closed.
    #[error(") expected")]
    ParenthesisExpected,
    /// A brace is not closed.
    #[error("}} expected")]
    BraceExpected,
    /// A square bracket is not closed.
    #[error("] expected")]
    BracketExpected,
    /// A bracket closes that was not opened.
    #[error("; expected")]
    UnexpectedClosing,
    /// A string goes over the end of its line.
    #[error("Newline in constant")]
    NewlineInConstant,
    /// A string does not end.
    #[error("Unterminated string literal")]
    UnterminatedString,
    /// A character literal holds nothing.
    #[error("Empty character literal")]
    EmptyCharacter,
    /// A character literal holds more than one.
    #[error("Too many characters in character literal")]
    LongCharacter,
    /// A comment does not end.
    #[error("End-of-file found, '*/' expected")]
    UnterminatedComment,
    /// There is nothing in the parentheses.
    #[error("Invalid expression term ')'")]
    Empty,
    /// A block does not return.
    #[error("Not all code paths return a value")]
    NoReturn,
    /// Brackets are nested too deep.
    #[error("An expression is too long or complex to compile")]
    TooDeep,
    /// Something stands behind the expression.
    #[error("Unexpected characters after the end of the expression")]
    Trailing,
}

/// Whether a value is an expression: it opens with `@(` or `@{`. (`@@` is the
/// escape of a literal `@`.)
#[must_use]
pub fn is_expression(value: &str) -> bool {
    let value = value.trim_start();
    value.starts_with("@(") || value.starts_with("@{")
}

/// Checks a value for which [`is_expression`] holds.
pub fn check(value: &str) -> Result<(), ExpressionError> {
    let value = value.trim();
    let end = end_of_expression(value)?;
    if end != value.len() {
        return Err(ExpressionError::Trailing);
    }
    let body = &value[2..value.len() - 1];
    let words = words(body);
    if value.starts_with("@(") {
        if words.is_empty() {
            return Err(ExpressionError::Empty);
        }
    } else if !words.iter().any(|word| word == "return" || word == "throw") {
        return Err(ExpressionError::NoReturn);
    }
    Ok(())
}

/// The byte offset just behind the expression that `source` begins with.
pub fn end_of_expression(source: &str) -> Result<usize, ExpressionError> {
    let mut scanner = Scanner {
        source,
        at: 1,
        depth: 0,
        words: None,
    };
    scanner.bracketed()?;
    Ok(scanner.at)
}

/// The identifiers, numbers, strings and operators of a body, without white
/// space and comments: enough to see whether there is anything, and a keyword.
fn words(body: &str) -> Vec<String> {
    // Closed by a bracket of its own, so that the scanner stops at the end.
    let wrapped = format!("{{{body}\n}}");
    let mut scanner = Scanner {
        source: &wrapped,
        at: 0,
        depth: 0,
        words: Some(Vec::new()),
    };
    // The body has been scanned once already.
    let _ = scanner.bracketed();
    scanner.words.unwrap_or_default()
}

struct Scanner<'a> {
    source: &'a str,
    at: usize,
    depth: usize,
    words: Option<Vec<String>>,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn note(&mut self, word: impl Into<String>) {
        if let Some(words) = &mut self.words {
            words.push(word.into());
        }
    }

    /// Scans from an opening bracket to behind the one that closes it. Nested
    /// brackets are a stack and not recursion: the text comes from outside.
    fn bracketed(&mut self) -> Result<(), ExpressionError> {
        let mut open: Vec<char> = Vec::new();
        loop {
            let Some(next) = self.peek() else {
                return Err(match open.last() {
                    Some('(') => ExpressionError::ParenthesisExpected,
                    Some('[') => ExpressionError::BracketExpected,
                    _ => ExpressionError::BraceExpected,
                });
            };
            let rest = self.rest();
            if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                let length = rest
                    .find("*/")
                    .ok_or(ExpressionError::UnterminatedComment)?;
                self.at += length + 2;
            } else if let Some((prefix, kind)) = string_prefix(rest) {
                self.at += prefix;
                self.note("\"");
                self.string(kind)?;
            } else if next == '\'' {
                self.note("'");
                self.character()?;
            } else if matches!(next, '(' | '[' | '{') {
                if !open.is_empty() {
                    self.note(next);
                }
                open.push(next);
                self.at += 1;
            } else if matches!(next, ')' | ']' | '}') {
                match (open.pop(), next) {
                    (Some('('), ')') | (Some('['), ']') | (Some('{'), '}') => {}
                    (Some('('), _) => return Err(ExpressionError::ParenthesisExpected),
                    (Some('['), _) => return Err(ExpressionError::BracketExpected),
                    (Some(_), _) => return Err(ExpressionError::BraceExpected),
                    (None, _) => return Err(ExpressionError::UnexpectedClosing),
                }
                self.at += 1;
                if open.is_empty() {
                    return Ok(());
                }
            } else if next.is_alphanumeric() || next == '_' {
                let length = rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                let word = rest[..length].to_owned();
                self.note(word);
                self.at += length;
            } else {
                if !next.is_whitespace() {
                    self.note(next);
                }
                self.at += next.len_utf8();
            }
        }
    }

    /// Scans a string from behind its opening quote to behind the closing one.
    fn string(&mut self, kind: StringKind) -> Result<(), ExpressionError> {
        loop {
            let rest = self.rest();
            let Some(next) = rest.chars().next() else {
                return Err(ExpressionError::UnterminatedString);
            };
            if next == '"' {
                self.at += 1;
                if kind.verbatim && self.peek() == Some('"') {
                    self.at += 1;
                    continue;
                }
                return Ok(());
            }
            if !kind.verbatim && matches!(next, '\n' | '\r') {
                return Err(ExpressionError::NewlineInConstant);
            }
            if next == '\\' && !kind.verbatim {
                self.at += 1;
                let Some(escaped) = self.peek() else {
                    return Err(ExpressionError::UnterminatedString);
                };
                self.at += escaped.len_utf8();
            } else if next == '{' && kind.interpolated {
                if rest.starts_with("{{") {
                    self.at += 2;
                } else {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return Err(ExpressionError::TooDeep);
                    }
                    self.bracketed()?;
                    self.depth -= 1;
                }
            } else {
                self.at += next.len_utf8();
            }
        }
    }

    fn character(&mut self) -> Result<(), ExpressionError> {
        self.at += 1;
        match self.peek() {
            Some('\'') => return Err(ExpressionError::EmptyCharacter),
            Some('\n' | '\r') | None => return Err(ExpressionError::NewlineInConstant),
            Some('\\') => {
                self.at += 1;
                let rest = self.rest();
                // `\x41`, `\u0041` and `\U00000041` are longer than one escape.
                let digits = match rest.chars().next() {
                    Some('x' | 'u') => 4,
                    Some('U') => 8,
                    _ => 0,
                };
                let first = rest.chars().next().map_or(0, char::len_utf8);
                let hex = rest[first..]
                    .chars()
                    .take(digits)
                    .take_while(char::is_ascii_hexdigit)
                    .count();
                self.at += first + hex;
            }
            Some(plain) => self.at += plain.len_utf8(),
        }
        if self.peek() == Some('\'') {
            self.at += 1;
            Ok(())
        } else {
            Err(ExpressionError::LongCharacter)
        }
    }
}

/// How deep interpolated strings may stand in each other's holes: each level is
/// a recursion, and the text comes from outside.
const MAX_DEPTH: usize = 16;

#[derive(Debug, Clone, Copy)]
struct StringKind {
    verbatim: bool,
    interpolated: bool,
}

/// The length of a string's prefix with its quote, and what kind it opens.
fn string_prefix(rest: &str) -> Option<(usize, StringKind)> {
    let kinds = [
        ("\"", false, false),
        ("@\"", true, false),
        ("$\"", false, true),
        ("$@\"", true, true),
        ("@$\"", true, true),
    ];
    kinds
        .into_iter()
        .find(|(prefix, _, _)| rest.starts_with(prefix))
        .map(|(prefix, verbatim, interpolated)| {
            (
                prefix.len(),
                StringKind {
                    verbatim,
                    interpolated,
                },
            )
        })
}
