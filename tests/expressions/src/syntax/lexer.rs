//! Text to lexemes.

use std::sync::Arc;

use super::literals;
use crate::error::{Position, Refusal};
use crate::value::Value;

/// How deep interpolated strings may stand in each other.
const MAX_NESTING: usize = 8;

/// The smallest piece of source that means something.
#[derive(Debug, Clone)]
pub(crate) enum Lexeme {
    Identifier(Arc<str>),
    /// A number, a string or a character.
    Literal(Value),
    Interpolated(Vec<RawPiece>),
    Symbol(&'static str),
    End,
}

/// A part of an interpolated string.
#[derive(Debug, Clone)]
pub(crate) enum RawPiece {
    Text(String),
    Hole {
        lexemes: Vec<Lex>,
        alignment: Option<i32>,
        format: Option<String>,
    },
}

/// A lexeme with its place.
#[derive(Debug, Clone)]
pub(crate) struct Lex {
    pub(crate) lexeme: Lexeme,
    pub(crate) at: Position,
}

/// Longest first.
const SYMBOLS: &[&str] = &[
    ">>=", "<<=", "??=", "=>", "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "++", "--", "+=",
    "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<", "::", "{", "}", "(", ")", "[", "]", ";", ",",
    ".", ":", "?", "=", "<", ">", "+", "-", "*", "/", "%", "!", "~", "&", "|", "^",
];

pub(super) struct Lexer<'a> {
    pub(super) source: &'a str,
    pub(super) at: usize,
    nesting: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(source: &'a str, at: usize) -> Self {
        Self {
            source,
            at,
            nesting: 0,
        }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    pub(super) fn refuse<T>(&self, message: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal::new(self.position(), message))
    }

    pub(super) fn position(&self) -> Position {
        Position(u32::try_from(self.at).unwrap_or(u32::MAX))
    }

    fn skip_blanks(&mut self) -> Result<(), Refusal> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                match comment.find("*/") {
                    Some(length) => self.at += length + 4,
                    None => return self.refuse("End-of-file found, '*/' expected"),
                }
            } else {
                return Ok(());
            }
        }
    }

    /// The next lexeme; `End` at the end of the text, again and again.
    pub(super) fn next(&mut self) -> Result<Lex, Refusal> {
        self.skip_blanks()?;
        let at = self.position();
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(Lex {
                lexeme: Lexeme::End,
                at,
            });
        };
        let lexeme = if let Some((prefix, verbatim)) = interpolated_prefix(rest) {
            self.at += prefix;
            self.interpolated(verbatim)?
        } else if rest.starts_with("@\"") {
            self.at += 2;
            Lexeme::Literal(Value::from(self.verbatim()?))
        } else if first == '"' {
            self.at += 1;
            Lexeme::Literal(Value::from(self.quoted()?))
        } else if first == '\'' {
            Lexeme::Literal(Value::Char(self.character()?))
        } else if first.is_ascii_digit()
            || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()))
        {
            let (length, value) =
                literals::number(rest).map_err(|message| Refusal::new(at, message))?;
            self.at += length;
            Lexeme::Literal(value)
        } else if first == '_' || first.is_alphabetic() || is_escaped_identifier(rest) {
            self.identifier()
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            // `x?.5:y` is a conditional and a number.
            let symbol = if *symbol == "?." && rest[2..].starts_with(|c: char| c.is_ascii_digit()) {
                "?"
            } else {
                symbol
            };
            self.at += symbol.len();
            Lexeme::Symbol(symbol)
        } else {
            return self.refuse(format!("Unexpected character '{first}'"));
        };
        Ok(Lex { lexeme, at })
    }

    fn identifier(&mut self) -> Lexeme {
        let rest = self.rest();
        let rest = rest.strip_prefix('@').unwrap_or(rest);
        let length = rest
            .find(|c: char| c != '_' && !c.is_alphanumeric())
            .unwrap_or(rest.len());
        self.at = self.source.len() - rest.len() + length;
        Lexeme::Identifier(rest[..length].into())
    }

    /// From behind the opening quote to behind the closing one.
    fn quoted(&mut self) -> Result<String, Refusal> {
        let mut text = literals::Units::default();
        loop {
            let Some(c) = self.rest().chars().next() else {
                return self.refuse("Unterminated string literal");
            };
            match c {
                '"' => {
                    self.at += 1;
                    return text
                        .finish()
                        .map_err(|message| Refusal::new(self.position(), message));
                }
                '\n' | '\r' => return self.refuse("Newline in constant"),
                '\\' => self.escape(&mut text)?,
                other => {
                    text.push(other);
                    self.at += other.len_utf8();
                }
            }
        }
    }

    fn escape(&mut self, text: &mut literals::Units) -> Result<(), Refusal> {
        let (length, unit) = literals::escape(self.rest())
            .map_err(|message| Refusal::new(self.position(), message))?;
        self.at += length;
        text.push_escaped(unit);
        Ok(())
    }

    fn verbatim(&mut self) -> Result<String, Refusal> {
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let Some(quote) = rest.find('"') else {
                return self.refuse("Unterminated string literal");
            };
            text.push_str(&rest[..quote]);
            self.at += quote + 1;
            if !self.rest().starts_with('"') {
                return Ok(text);
            }
            text.push('"');
            self.at += 1;
        }
    }

    fn character(&mut self) -> Result<u16, Refusal> {
        let rest = &self.rest()[1..];
        let (length, unit) = match rest.chars().next() {
            None | Some('\n' | '\r') => return self.refuse("Newline in constant"),
            Some('\'') => return self.refuse("Empty character literal"),
            Some('\\') => {
                let (length, unit) = literals::escape(rest)
                    .map_err(|message| Refusal::new(self.position(), message))?;
                (length, u16::try_from(unit).ok())
            }
            Some(other) => (other.len_utf8(), u16::try_from(u32::from(other)).ok()),
        };
        match unit {
            Some(unit) if rest[length..].starts_with('\'') => {
                self.at += length + 2;
                Ok(unit)
            }
            _ => self.refuse("Too many characters in character literal"),
        }
    }

    fn interpolated(&mut self, verbatim: bool) -> Result<Lexeme, Refusal> {
        if self.nesting == MAX_NESTING {
            return self.refuse("An expression is too long or complex to compile");
        }
        self.nesting += 1;
        let mut pieces = Vec::new();
        let mut text = literals::Units::default();
        loop {
            let rest = self.rest();
            let Some(c) = rest.chars().next() else {
                return self.refuse("Unterminated string literal");
            };
            match c {
                '"' if verbatim && rest.starts_with("\"\"") => {
                    text.push('"');
                    self.at += 2;
                }
                '"' => {
                    self.at += 1;
                    break;
                }
                '\n' | '\r' if !verbatim => return self.refuse("Newline in constant"),
                '\\' if !verbatim => self.escape(&mut text)?,
                '{' if rest.starts_with("{{") => {
                    text.push('{');
                    self.at += 2;
                }
                '}' if rest.starts_with("}}") => {
                    text.push('}');
                    self.at += 2;
                }
                '}' => {
                    return self.refuse(
                        "A '}' character must be escaped (by doubling) in an interpolated string.",
                    );
                }
                '{' => {
                    let before = std::mem::take(&mut text)
                        .finish()
                        .map_err(|message| Refusal::new(self.position(), message))?;
                    pieces.push(RawPiece::Text(before));
                    self.at += 1;
                    pieces.push(self.hole()?);
                }
                other => {
                    text.push(other);
                    self.at += other.len_utf8();
                }
            }
        }
        let last = text
            .finish()
            .map_err(|message| Refusal::new(self.position(), message))?;
        pieces.push(RawPiece::Text(last));
        self.nesting -= 1;
        Ok(Lexeme::Interpolated(pieces))
    }

    /// From behind `{` to behind `}`.
    fn hole(&mut self) -> Result<RawPiece, Refusal> {
        let mut lexemes = Vec::new();
        let mut open = 0_usize;
        let mut alignment = None;
        loop {
            let lex = self.next()?;
            match &lex.lexeme {
                Lexeme::End => return self.refuse("} expected"),
                Lexeme::Symbol("(" | "[" | "{") => open += 1,
                Lexeme::Symbol(")" | "]" | "}") if open > 0 => open -= 1,
                Lexeme::Symbol("}") => break,
                Lexeme::Symbol(",") if open == 0 => {
                    alignment = Some(self.alignment()?);
                    continue;
                }
                Lexeme::Symbol(":") if open == 0 => {
                    let rest = self.rest();
                    let Some(length) = rest.find(['}', '"', '{', '\n']) else {
                        return self.refuse("} expected");
                    };
                    if !rest[length..].starts_with('}') || rest[length..].starts_with("}}") {
                        return self.refuse("} expected");
                    }
                    self.at += length + 1;
                    return Ok(RawPiece::Hole {
                        lexemes,
                        alignment,
                        format: Some(rest[..length].to_owned()),
                    });
                }
                _ => {}
            }
            if alignment.is_some() {
                return Err(Refusal::new(lex.at, "} expected"));
            }
            lexemes.push(lex);
        }
        Ok(RawPiece::Hole {
            lexemes,
            alignment,
            format: None,
        })
    }

    fn alignment(&mut self) -> Result<i32, Refusal> {
        let rest = self.rest();
        let length = rest.find([':', '}']).unwrap_or(rest.len());
        let width = rest[..length].trim().parse::<i32>().ok();
        match width.filter(|width| width.unsigned_abs() <= 10_000) {
            Some(width) => {
                self.at += length;
                Ok(width)
            }
            None => self.refuse("An alignment must be a whole number of at most 10000"),
        }
    }
}

fn is_escaped_identifier(rest: &str) -> bool {
    let mut chars = rest.chars();
    chars.next() == Some('@') && chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
}

fn interpolated_prefix(rest: &str) -> Option<(usize, bool)> {
    if rest.starts_with("$@\"") || rest.starts_with("@$\"") {
        Some((3, true))
    } else {
        rest.starts_with("$\"").then_some((2, false))
    }
}

/// The byte offset behind the expression (`@(…)` or `@{…}`) that a text begins
/// with, for readers of documents in which expressions stand unescaped.
pub(crate) fn end_of_expression(source: &str) -> Result<usize, Refusal> {
    if !source.starts_with("@(") && !source.starts_with("@{") {
        return Err(Refusal::new(
            Position(0),
            "An expression begins with @( or @{",
        ));
    }
    let mut lexer = Lexer::new(source, 1);
    let mut open: Vec<&str> = Vec::new();
    loop {
        let lex = lexer.next()?;
        match lex.lexeme {
            Lexeme::Symbol("(") => open.push(")"),
            Lexeme::Symbol("[") => open.push("]"),
            Lexeme::Symbol("{") => open.push("}"),
            Lexeme::Symbol(symbol @ (")" | "]" | "}")) => {
                let wanted = open.pop();
                if wanted != Some(symbol) {
                    return Err(Refusal::new(
                        lex.at,
                        format!("{} expected", wanted.unwrap_or(";")),
                    ));
                }
                if open.is_empty() {
                    return Ok(lexer.at);
                }
            }
            Lexeme::End => {
                return Err(Refusal::new(
                    lex.at,
                    format!("{} expected", open.last().copied().unwrap_or(")")),
                ));
            }
            _ => {}
        }
    }
}
