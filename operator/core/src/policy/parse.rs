//! Reading policy documents.
//!
//! `rawxml` is XML in which C# stands unescaped, quotes inside attributes in
//! double quotes included, so no XML parser reads it. A value that begins with
//! `@(` or `@{` is code up to the bracket that closes it; all else is read as
//! XML. `xml` is well-formed XML whose code is entity-encoded.

use thiserror::Error;

mod reader;

use super::document::{PolicyDocument, Statement};
use super::literal::shown;
use super::model::{Element, Node, Section};
use crate::tier::Tier;
use reader::Parser;

/// In which encoding a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// C# stands as it is.
    RawXml,
    /// Well-formed XML.
    Xml,
}

/// Why a text is no policy document, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// A sentence without its full stop.
    pub message: String,
}

/// A parsed text: one element and the comments around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Comments before the element.
    pub before: Vec<String>,
    /// `policies`, `fragment`, or any other element.
    pub root: Element,
    /// Comments after the element.
    pub after: Vec<String>,
}

/// Reads a `<policies>` document.
pub fn parse(text: &str, format: Format) -> Result<PolicyDocument, ParseError> {
    let tree = parse_tree(text, format)?;
    let fail = |message: String| {
        Err(ParseError {
            line: 1,
            column: 1,
            message,
        })
    };
    if tree.root.name != "policies" {
        return fail(format!(
            "the document element is '{}', not 'policies'",
            tree.root.name
        ));
    }
    let mut document = PolicyDocument {
        comments: tree.before,
        ..PolicyDocument::default()
    };
    for child in tree.root.children {
        let element = match child {
            Node::Element(element) => element,
            Node::Comment(_) => continue,
            Node::Text(_) => {
                return fail("'policies' holds text; it may hold sections only".into());
            }
        };
        let Some(section) = Section::ALL
            .into_iter()
            .find(|s| s.as_str() == element.name)
        else {
            return fail(format!(
                "'{}' is no section; the sections are inbound, backend, outbound, on-error",
                element.name
            ));
        };
        let statements = element
            .children
            .into_iter()
            .map(|node| Statement { plugin: None, node });
        if document
            .sections
            .insert(section, statements.collect())
            .is_some()
        {
            return fail(format!("section '{section}' is there twice"));
        }
    }
    Ok(document)
}

/// Reads any document: `policies`, `fragment` or a single policy.
pub fn parse_tree(text: &str, format: Format) -> Result<Tree, ParseError> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    // XML's own line-end rule. It holds for the code of expressions too.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    Parser::new(&text, format).document()
}

/// The longest text of statements that is read: no document may be longer.
const MAX_FRAGMENT: usize = Tier::Developer.max_document_bytes();

/// Reads statements that a plugin wrote as `rawxml`, without `<policies>` or a
/// section around them.
///
/// Stricter than what is forgiven in documents of the service: no document
/// type, no entities but XML's own, no `--` in a comment. Comments are left
/// out. Each element and value carries its line in place of a config pointer.
/// An error shows the line that it is about.
pub fn parse_statements(text: &str) -> Result<Vec<Element>, ParseError> {
    if text.len() > MAX_FRAGMENT {
        return Err(ParseError {
            line: 1,
            column: 1,
            message: format!(
                "the text has {} bytes, and no policy document may have more than {MAX_FRAGMENT}",
                text.len()
            ),
        });
    }
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let shown = |error: ParseError| ParseError {
        message: match text
            .lines()
            .nth(error.line.saturating_sub(1))
            .map(str::trim)
        {
            Some(line) if !line.is_empty() => {
                format!("{}; the line is `{}`", error.message, shown(line))
            }
            _ => error.message,
        },
        ..error
    };
    let statements = Parser::of_fragment(&text).statements().map_err(shown)?;
    let around = statements.iter().find(|element| {
        matches!(element.name.as_str(), "policies" | "fragment")
            || Section::ALL.iter().any(|s| s.as_str() == element.name)
    });
    match around {
        None => Ok(statements),
        Some(element) => Err(ParseError {
            line: 1,
            column: 1,
            message: format!(
                "'{}' may not stand around the statements; the fragment's section is said beside \
                 its text, so write the statements alone",
                element.name
            ),
        }),
    }
}

#[cfg(test)]
mod tests;
