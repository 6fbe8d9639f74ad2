//! What is wrong with a document, told to its author before anybody imports it.
//!
//! The checks are those of the import itself: what is an error here is refused
//! there, and what is a warning here is imported otherwise than it was written.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use super::operations::{self, Pin};
use super::places::{Place, Places};
use super::pointer::{Target, each_reference, follow, step};
use super::{Document, OpenApiError, SpecVersion, TextFormat, parse, version_of};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It is not imported.
    Error,
    /// It is imported otherwise than it was written, or breaks when the
    /// document changes.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// The check that found it.
    pub rule: Rule,
    /// A JSON pointer into the document.
    pub pointer: String,
    /// Where in the text.
    pub place: Place,
    /// What is wrong there and what to do about it.
    pub message: String,
    /// Whether [`super::fix`] mends it.
    pub fixable: bool,
}

/// The checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// It is no document that can be read.
    Syntax,
    /// API Management would refuse it.
    Refused,
    /// OpenAPI 3.1 that OpenAPI 3.0 cannot say.
    NotConvertible,
    /// It is larger than an import may be.
    Size,
    /// An operation without an id of its own.
    OperationId,
    /// A version or title that YAML takes for a number.
    Number,
    /// A reference to another document.
    ExternalReference,
    /// A reference that leads nowhere.
    DanglingReference,
    /// A schema that holds itself.
    Recursion,
    /// It is written otherwise before it is imported.
    Converted,
}

impl Rule {
    /// Its name, for people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Refused => "refused",
            Self::NotConvertible => "not-convertible",
            Self::Size => "size",
            Self::OperationId => "operation-id",
            Self::Number => "number",
            Self::ExternalReference => "external-reference",
            Self::DanglingReference => "dangling-reference",
            Self::Recursion => "recursion",
            Self::Converted => "converted",
        }
    }

    /// How bad it is.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Syntax | Self::Refused | Self::NotConvertible | Self::Size => Severity::Error,
            Self::OperationId
            | Self::Number
            | Self::ExternalReference
            | Self::DanglingReference
            | Self::Recursion
            | Self::Converted => Severity::Warning,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Looks for everything that is wrong, in the order of the text.
#[must_use]
pub fn lint(text: &str) -> Vec<Lint> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let read = parse::parse(text).and_then(|(value, format)| {
        let version = version_of(&value)?;
        Ok(of_value(text, value, version, format))
    });
    let mut found = read.unwrap_or_else(|error| vec![unreadable(&error)]);
    found.sort_by(|a, b| (a.place, a.rule, &a.pointer).cmp(&(b.place, b.rule, &b.pointer)));
    found
}

/// A document of which nothing more can be said.
fn unreadable(error: &OpenApiError) -> Lint {
    let place = match error {
        OpenApiError::Syntax { line, column, .. } => Place {
            line: *line,
            column: *column,
        },
        _ => Place { line: 1, column: 1 },
    };
    let (rule, message) = match error {
        OpenApiError::Syntax {
            format, message, ..
        } => (Rule::Syntax, format!("not valid {format}: {message}")),
        OpenApiError::TooLargeToRead { .. } => (Rule::Size, error.to_string()),
        _ => (Rule::Syntax, error.to_string()),
    };
    Lint {
        rule,
        pointer: String::new(),
        place,
        message,
        fixable: false,
    }
}

/// What is wrong, where it stands, and by whom it can be mended.
struct Finder {
    places: Option<Places>,
    found: Vec<Lint>,
}

impl Finder {
    fn add(&mut self, rule: Rule, pointer: &str, message: impl Into<String>, fixable: bool) {
        let start = Place { line: 1, column: 1 };
        let places = self.places.as_ref();
        self.found.push(Lint {
            rule,
            place: places.map_or(start, |places| places.find(pointer).place),
            pointer: pointer.to_owned(),
            message: message.into(),
            fixable,
        });
    }
}

fn of_value(text: &str, value: Value, version: SpecVersion, format: TextFormat) -> Vec<Lint> {
    let mut finder = Finder {
        places: Places::of(text),
        found: Vec::new(),
    };
    let extracted = operations::extract(&value, version);
    for finding in &extracted.findings {
        finder.add(Rule::Refused, &finding.pointer, &finding.message, false);
    }
    for pin in &extracted.pins {
        unnamed(&value, pin, &mut finder);
    }
    for pointer in numbers(&value) {
        let field = pointer.rsplit('/').next().unwrap_or_default();
        finder.add(
            Rule::Number,
            pointer,
            format!("`{field}` is a number and is imported as a text; put it in quotes"),
            true,
        );
    }
    references(&value, &mut finder);
    recursion(&value, &mut finder);
    if extracted.findings.is_empty() {
        conversion(text, value, format, &mut finder);
    }
    finder.found
}

/// Where an operation stands.
pub(super) fn pointer_of(pin: &Pin) -> String {
    step(&step("/paths", &pin.path), pin.method)
}

/// Whether an operation has no id at all, so that the one it is imported with
/// can be written down.
pub(super) fn has_no_id(value: &Value, pin: &Pin) -> bool {
    let operation = value.pointer(&pointer_of(pin));
    operation.is_some_and(|operation| operation.get("operationId").is_none())
}

fn unnamed(value: &Value, pin: &Pin, finder: &mut Finder) {
    let fixable = has_no_id(value, pin);
    let why = if fixable {
        "has no operationId"
    } else {
        "has an operationId that is not its alone, or not in plain ASCII"
    };
    finder.add(
        Rule::OperationId,
        &pointer_of(pin),
        format!(
            "{why}: it is imported as `{}`, which may change when other paths do; give it its own",
            pin.id
        ),
        fixable,
    );
}

/// What the specifications want to be a text and YAML takes for a number.
pub(super) fn numbers(value: &Value) -> impl Iterator<Item = &'static str> {
    super::import::TEXTS
        .into_iter()
        .filter(|pointer| value.pointer(pointer).is_some_and(Value::is_number))
}

fn references(root: &Value, finder: &mut Finder) {
    each_reference(root, &mut |pointer, reference| {
        match follow(root, reference) {
            Target::Value(_) => {}
            Target::External => finder.add(
                Rule::ExternalReference,
                pointer,
                format!("API Management does not follow `{reference}` to another document; bundle the documents into one"),
                false,
            ),
            Target::Dangling => finder.add(
                Rule::DanglingReference,
                pointer,
                format!("`{reference}` leads nowhere: what it should name is not in the document"),
                false,
            ),
        }
    });
}

/// Schemas that hold themselves. Microsoft lists recursion among what an import
/// does not support:
/// <https://learn.microsoft.com/azure/api-management/api-management-api-import-restrictions>.
fn recursion(root: &Value, finder: &mut Finder) {
    let (holder, prefix) = match root.pointer("/components/schemas") {
        Some(schemas) => (schemas, "#/components/schemas/"),
        None => match root.get("definitions") {
            Some(schemas) => (schemas, "#/definitions/"),
            None => return,
        },
    };
    let Value::Object(schemas) = holder else {
        return;
    };
    let uses = |schema: &'_ Value| {
        let mut names = Vec::new();
        each_reference(schema, &mut |_, reference| {
            if let Some(name) = reference.strip_prefix(prefix) {
                names.push(name.replace("~1", "/").replace("~0", "~"));
            }
        });
        names
    };
    // A schema is told once, and only where it can reach itself.
    for (name, schema) in schemas {
        let mut seen = HashSet::new();
        let mut open = uses(schema);
        let mut recursive = false;
        while let Some(next) = open.pop() {
            if next == *name {
                recursive = true;
                break;
            }
            if seen.insert(next.clone())
                && let Some(schema) = schemas.get(&next)
            {
                open.extend(uses(schema));
            }
        }
        if recursive {
            let pointer = step(prefix.trim_start_matches('#').trim_end_matches('/'), name);
            finder.add(
                Rule::Recursion,
                &pointer,
                format!("the schema `{name}` holds itself, which API Management does not support: validation and the portal may not show it as it is"),
                false,
            );
        }
    }
}

/// What the import does to the whole document.
fn conversion(text: &str, value: Value, format: TextFormat, finder: &mut Finder) {
    let document = Document::new(text.to_owned(), value, format);
    match document.and_then(|document| document.to_import()) {
        Ok(import) => {
            for note in import.conversions {
                finder.add(Rule::Converted, "", note, false);
            }
        }
        Err(OpenApiError::NotConvertible(findings)) => {
            for finding in findings.iter() {
                finder.add(
                    Rule::NotConvertible,
                    &finding.pointer,
                    &finding.message,
                    false,
                );
            }
        }
        Err(error) => finder.add(Rule::Size, "", error.to_string(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `line:column rule message`, with `*` for what can be mended.
    fn found(text: &str) -> Vec<String> {
        let line = |lint: Lint| {
            let mark = if lint.fixable { "*" } else { "" };
            let (line, column) = (lint.place.line, lint.place.column);
            format!("{line}:{column} {}{mark} {}", lint.rule, lint.message)
        };
        lint(text).into_iter().map(line).collect()
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_place() {
        let text = "\
openapi: 3.0.3
info:
  title: Stock
  version: 1.0
paths:
  /items/{id}:
    get:
      responses: {'200': {description: OK}}
  /items:
    get:
      operationId: listItems
      responses:
        '200':
          description: OK
          content:
            application/json:
              schema: {$ref: 'other.yaml#/Item'}
    post:
      responses:
        '200': {$ref: '#/components/responses/Gone'}
components:
  schemas:
    Tree:
      properties:
        children: {type: array, items: {$ref: '#/components/schemas/Tree'}}
";
        insta::assert_snapshot!(found(text).join("\n"));
    }

    #[test]
    fn a_document_without_fault_has_nothing_to_be_told_of() {
        let text = "\
openapi: 3.0.3
info: {title: Stock, version: '1'}
paths:
  /items:
    get: {operationId: listItems, responses: {'200': {description: OK}}}
";
        assert_eq!(found(text), [""; 0]);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place_and_nothing_else() {
        let told = found("openapi: 3.0.3\ninfo: {title: Stock\npaths: {}\n");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("syntax not valid YAML"), "{told:?}");
        assert_eq!(found("")[0], "1:1 syntax the OpenAPI document is empty");
        assert!(found("title: x")[0].starts_with("1:1 syntax the document has neither"));
    }

    #[test]
    fn a_conversion_is_a_warning_and_what_cannot_be_converted_an_error() {
        let converted = "\
openapi: 3.1.0
info: {title: Stock, version: '1'}
paths:
  /items:
    get: {operationId: listItems, responses: {'200': {description: OK}}}
";
        assert_eq!(
            found(converted),
            ["1:1 converted converted from OpenAPI 3.1 to 3.0.3, which API Management imports"]
        );
    }

    #[test]
    fn two_schemas_that_hold_each_other_are_both_told_and_others_not() {
        let text = "\
swagger: '2.0'
info: {title: Stock, version: '1'}
paths:
  /items:
    get: {operationId: listItems, responses: {'200': {description: OK}}}
definitions:
  A: {properties: {b: {$ref: '#/definitions/B'}}}
  B: {properties: {a: {$ref: '#/definitions/A'}}}
  C: {properties: {a: {$ref: '#/definitions/A'}}}
";
        let told: Vec<String> = found(text)
            .into_iter()
            .filter(|line| line.contains(" recursion "))
            .map(|line| line.split(',').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(
            told,
            [
                "7:3 recursion the schema `A` holds itself",
                "8:3 recursion the schema `B` holds itself"
            ]
        );
    }
}
