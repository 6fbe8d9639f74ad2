//! Reads a policy document into its tree. One parser serves both formats: they
//! differ only in how a value that opens with `@(` or `@{` ends, and in what a
//! bare `&` or `<` means there.

use crate::PolicyFormat;
use crate::document::{Attribute, Document, Element, Node, Position};
use crate::expression::{self, ExpressionError};

/// Elements nested deeper than this are refused: the tree is walked by
/// recursion, and no policy comes near it.
const MAX_DEPTH: usize = 128;

/// Why a text is no policy document, in the words of .NET's XML reader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} Line {}, position {}.", position.line, position.column)]
pub struct ParseError {
    reason: Reason,
    position: Position,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("Root element is missing.")]
    RootMissing,
    #[error("Data at the root level is invalid.")]
    RootLevel,
    #[error("There are multiple root elements.")]
    SecondRoot,
    #[error("Unexpected end of file has occurred. The following elements are not closed: {0}.")]
    NotClosed(String),
    #[error("The '{open}' start tag on line {} position {} does not match the end tag of '{close}'.", at.line, at.column)]
    WrongEnd {
        open: String,
        close: String,
        at: Position,
    },
    #[error("'{found}' is an unexpected token. The expected token is '{expected}'.")]
    UnexpectedToken { found: String, expected: String },
    #[error("Name cannot begin with the '{0}' character, hexadecimal value 0x{code:02X}.", code = u32::from(*.0))]
    NameStart(char),
    #[error("'{0}' is a duplicate attribute name.")]
    DuplicateAttribute(String),
    #[error("'<', hexadecimal value 0x3C, is an invalid attribute character.")]
    LessInAttribute,
    #[error("An error occurred while parsing EntityName.")]
    EntityName,
    #[error("Reference to undeclared entity '{0}'.")]
    UndeclaredEntity(String),
    #[error("Invalid syntax for a decimal or hexadecimal numeric entity reference.")]
    NumericEntity,
    #[error("'{0}', hexadecimal value 0x{code:02X}, is an invalid character.", code = u32::from(*.0))]
    InvalidCharacter(char),
    #[error("An XML comment cannot contain '--', and '-' cannot be the last character.")]
    DashesInComment,
    #[error("Unexpected end of file while parsing {0} has occurred.")]
    EndIn(&'static str),
    #[error("For security reasons DTD is prohibited in this XML document.")]
    Dtd,
    #[error("{0}.")]
    Expression(ExpressionError),
    #[error("The input document has exceeded a limit set by MaxDepth.")]
    TooDeep,
}

/// Parses a whole document.
pub fn parse(source: &str, format: PolicyFormat) -> Result<Document, ParseError> {
    Parser {
        source: source.strip_prefix('\u{feff}').unwrap_or(source),
        at: 0,
        raw: format == PolicyFormat::RawXml,
        lines: Vec::new(),
    }
    .document()
}

struct Parser<'a> {
    source: &'a str,
    at: usize,
    raw: bool,
    /// Byte offsets of line starts, filled on first use.
    lines: Vec<usize>,
}

/// An element whose end tag has not come yet.
struct Open {
    element: Element,
}

impl Parser<'_> {
    fn document(mut self) -> Result<Document, ParseError> {
        let mut before = Vec::new();
        let mut after = Vec::new();
        let mut root = None;
        if self.rest().starts_with("<?xml") {
            self.skip_past("?>", "XML declaration")?;
        }
        loop {
            self.skip_space();
            let rest = self.rest();
            if rest.is_empty() {
                break;
            } else if rest.starts_with("<!--") {
                let comment = self.comment()?;
                if root.is_none() {
                    before.push(comment);
                } else {
                    after.push(comment);
                }
            } else if rest.starts_with("<?") {
                self.skip_past("?>", "PI")?;
            } else if rest.starts_with("<!") {
                return Err(self.fail(Reason::Dtd));
            } else if rest.starts_with('<') {
                if root.is_some() {
                    return Err(self.fail(Reason::SecondRoot));
                }
                root = Some(self.tree()?);
            } else {
                return Err(self.fail(Reason::RootLevel));
            }
        }
        match root {
            Some(root) => Ok(Document {
                before,
                root,
                after,
            }),
            None => Err(self.fail(Reason::RootMissing)),
        }
    }

    /// Reads one element with everything in it, without recursion.
    fn tree(&mut self) -> Result<Element, ParseError> {
        let mut open: Vec<Open> = Vec::new();
        let mut finished: Option<Element> = None;
        loop {
            if let Some(element) = finished.take() {
                match open.last_mut() {
                    Some(parent) => parent.element.children.push(Node::Element(element)),
                    None => return Ok(element),
                }
            }
            let rest = self.rest();
            if rest.is_empty() {
                let names: Vec<&str> = open.iter().rev().map(|o| o.element.name.as_str()).collect();
                return Err(self.fail(Reason::NotClosed(names.join(", "))));
            } else if rest.starts_with("</") {
                finished = Some(self.end_tag(&mut open)?);
            } else if rest.starts_with("<!--") {
                let comment = self.comment()?;
                push(&mut open, Node::Comment(comment));
            } else if rest.starts_with("<![CDATA[") {
                let text = self.cdata()?;
                push(&mut open, Node::CData(text));
            } else if rest.starts_with("<?") {
                self.skip_past("?>", "PI")?;
            } else if rest.starts_with("<!") {
                return Err(self.fail(Reason::Dtd));
            } else if rest.starts_with('<') {
                let element = self.start_tag()?;
                if element.self_closing {
                    finished = Some(element);
                } else if open.len() >= MAX_DEPTH {
                    return Err(self.fail(Reason::TooDeep));
                } else {
                    open.push(Open { element });
                }
            } else {
                let text = self.text()?;
                push(&mut open, Node::Text(text));
            }
        }
    }

    fn start_tag(&mut self) -> Result<Element, ParseError> {
        self.at += 1;
        let position = self.position(self.at);
        let name = self.name()?;
        let mut attributes: Vec<Attribute> = Vec::new();
        loop {
            let spaced = self.skip_space();
            let rest = self.rest();
            if rest.starts_with("/>") || rest.starts_with('>') {
                let self_closing = rest.starts_with('/');
                self.at += if self_closing { 2 } else { 1 };
                return Ok(Element {
                    name,
                    position,
                    attributes,
                    children: Vec::new(),
                    self_closing,
                });
            }
            match rest.chars().next() {
                None => return Err(self.fail(Reason::EndIn("Name"))),
                Some('/') => {
                    self.at += 1;
                    return Err(self.unexpected(">"));
                }
                Some(_) if !spaced => return Err(self.unexpected(">")),
                Some(_) => {}
            }
            let at = self.at;
            let attribute = self.name()?;
            if attributes.iter().any(|known| known.name == attribute) {
                return Err(self.fail_at(at, Reason::DuplicateAttribute(attribute)));
            }
            self.skip_space();
            if !self.rest().starts_with('=') {
                return Err(self.unexpected("="));
            }
            self.at += 1;
            self.skip_space();
            let value = self.attribute_value()?;
            attributes.push(Attribute {
                name: attribute,
                value,
            });
        }
    }

    fn end_tag(&mut self, open: &mut Vec<Open>) -> Result<Element, ParseError> {
        self.at += 2;
        let at = self.at;
        let close = self.name()?;
        self.skip_space();
        if !self.rest().starts_with('>') {
            return Err(self.unexpected(">"));
        }
        self.at += 1;
        match open.pop() {
            Some(Open { element }) if element.name == close => Ok(element),
            Some(Open { element }) => {
                let reason = Reason::WrongEnd {
                    open: element.name,
                    close,
                    at: element.position,
                };
                Err(self.fail_at(at, reason))
            }
            None => Err(self.fail_at(at, Reason::RootLevel)),
        }
    }

    fn attribute_value(&mut self) -> Result<String, ParseError> {
        let Some(quote @ ('"' | '\'')) = self.rest().chars().next() else {
            return Err(self.unexpected("\" or '"));
        };
        self.at += 1;
        if self.raw && expression::is_expression(self.rest()) {
            let value = self.raw_expression()?;
            if !self.rest().starts_with(quote) {
                return Err(self.unexpected(&quote.to_string()));
            }
            self.at += 1;
            return Ok(value);
        }
        let length = self
            .rest()
            .find(quote)
            .ok_or_else(|| self.fail(Reason::EndIn("AttributeValue")))?;
        let (start, end) = (self.at, self.at + length);
        if let Some(less) = self.source[start..end].find('<') {
            return Err(self.fail_at(start + less, Reason::LessInAttribute));
        }
        let value = self.decode(start, end, Space::Normalised)?;
        self.at = end + 1;
        Ok(value)
    }

    fn text(&mut self) -> Result<String, ParseError> {
        if self.raw && expression::is_expression(self.rest()) {
            return self.raw_expression();
        }
        let length = self.rest().find('<').unwrap_or(self.rest().len());
        let (start, end) = (self.at, self.at + length);
        let value = self.decode(start, end, Space::Kept)?;
        self.at = end;
        Ok(value)
    }

    /// An expression as it stands, with the white space around it. Line ends
    /// are read as XML reads them.
    fn raw_expression(&mut self) -> Result<String, ParseError> {
        let rest = self.rest();
        let lead = rest.len() - rest.trim_start().len();
        let length = expression::end_of_expression(&rest[lead..])
            .map_err(|error| self.fail_at(self.at + lead, Reason::Expression(error)))?;
        let value = rest[..lead + length].replace("\r\n", "\n");
        self.at += lead + length;
        Ok(value)
    }

    fn comment(&mut self) -> Result<String, ParseError> {
        let start = self.at + 4;
        let length = self.source[start..]
            .find("--")
            .ok_or_else(|| self.fail(Reason::EndIn("Comment")))?;
        let end = start + length;
        if !self.source[end..].starts_with("-->") {
            return Err(self.fail_at(end, Reason::DashesInComment));
        }
        self.at = end + 3;
        Ok(self.source[start..end].replace("\r\n", "\n"))
    }

    fn cdata(&mut self) -> Result<String, ParseError> {
        let start = self.at + 9;
        let length = self.source[start..]
            .find("]]>")
            .ok_or_else(|| self.fail(Reason::EndIn("CDATA")))?;
        self.at = start + length + 3;
        Ok(self.source[start..start + length].replace("\r\n", "\n"))
    }

    /// Resolves entities between two offsets.
    fn decode(&self, start: usize, end: usize, space: Space) -> Result<String, ParseError> {
        let mut value = String::with_capacity(end - start);
        let mut at = start;
        while let Some(next) = self.source[at..end].chars().next() {
            if next == '&' {
                let (decoded, length) = self.entity(at, end)?;
                value.push(decoded);
                at += length;
                continue;
            }
            at += next.len_utf8();
            match (next, space) {
                // XML reads CRLF as one LF, and every white space of an
                // attribute as a space.
                ('\r', _) if self.source[at..end].starts_with('\n') => {}
                ('\r', Space::Kept) => value.push('\n'),
                ('\r' | '\n' | '\t', Space::Normalised) => value.push(' '),
                _ if is_xml_character(next) => value.push(next),
                _ => {
                    let at = at - next.len_utf8();
                    return Err(self.fail_at(at, Reason::InvalidCharacter(next)));
                }
            }
        }
        Ok(value)
    }

    /// The character that an entity at `at` stands for, and its length.
    fn entity(&self, at: usize, end: usize) -> Result<(char, usize), ParseError> {
        let body = &self.source[at + 1..end];
        let length = body
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '#' | '_' | '.' | '-')))
            .unwrap_or(body.len());
        if length == 0 {
            return Err(self.fail_at(at + 1, Reason::EntityName));
        }
        let name = &body[..length];
        if !body[length..].starts_with(';') {
            let found = body[length..]
                .chars()
                .next()
                .map_or_else(String::new, String::from);
            let expected = ";".to_owned();
            return Err(self.fail_at(at + 1 + length, Reason::UnexpectedToken { found, expected }));
        }
        let decoded = match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let Some(number) = name.strip_prefix('#') else {
                    return Err(self.fail_at(at + 1, Reason::UndeclaredEntity(name.to_owned())));
                };
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                code.ok()
                    .and_then(char::from_u32)
                    .filter(|c| is_xml_character(*c))
                    .ok_or_else(|| self.fail_at(at + 2, Reason::NumericEntity))?
            }
        };
        Ok((decoded, length + 2))
    }

    fn name(&mut self) -> Result<String, ParseError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Err(self.fail(Reason::EndIn("Name")));
        };
        if !(first.is_alphabetic() || first == '_' || first == ':') {
            return Err(self.fail(Reason::NameStart(first)));
        }
        let length = rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':' | '-' | '.')))
            .unwrap_or(rest.len());
        let name = rest[..length].to_owned();
        self.at += length;
        Ok(name)
    }

    fn skip_space(&mut self) -> bool {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !matches!(c, ' ' | '\t' | '\r' | '\n'))
            .unwrap_or(rest.len());
        self.at += length;
        length > 0
    }

    fn skip_past(&mut self, mark: &str, what: &'static str) -> Result<(), ParseError> {
        match self.rest().find(mark) {
            Some(length) => {
                self.at += length + mark.len();
                Ok(())
            }
            None => Err(self.fail(Reason::EndIn(what))),
        }
    }

    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn unexpected(&self, expected: &str) -> ParseError {
        match self.rest().chars().next() {
            Some(found) => self.fail(Reason::UnexpectedToken {
                found: found.to_string(),
                expected: expected.to_owned(),
            }),
            None => self.fail(Reason::EndIn("Name")),
        }
    }

    fn fail(&self, reason: Reason) -> ParseError {
        self.fail_at(self.at, reason)
    }

    fn fail_at(&self, at: usize, reason: Reason) -> ParseError {
        let at = at.min(self.source.len());
        let before = &self.source[..at];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        ParseError {
            reason,
            position: Position {
                line: before.matches('\n').count() + 1,
                column: before[line_start..].encode_utf16().count() + 1,
            },
        }
    }

    /// The place of an offset, by a table of line starts: this is asked for
    /// every element.
    fn position(&mut self, at: usize) -> Position {
        if self.lines.is_empty() {
            self.lines.push(0);
            self.lines
                .extend(self.source.match_indices('\n').map(|(end, _)| end + 1));
        }
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines[line - 1];
        Position {
            line,
            column: self.source[start..at].encode_utf16().count() + 1,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Space {
    /// Text: as written.
    Kept,
    /// Attributes: each white space is a blank.
    Normalised,
}

fn push(open: &mut [Open], node: Node) {
    if let Some(parent) = open.last_mut() {
        parent.element.children.push(node);
    }
}

fn is_xml_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
