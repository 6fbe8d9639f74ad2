//! The reader: from text to a tree, without recursion.

use super::{Format, ParseError, Tree};
use crate::policy::literal::shown;
use crate::policy::model::{Attribute, Element, Form, Node, Part, Value};
use crate::policy::text::{forbidden_char, is_name, is_named_value_name, xml_entity};
use crate::policy::{MAX_DEPTH, csharp};

pub(super) struct Parser<'t> {
    text: &'t str,
    at: usize,
    format: Format,
    /// For text that a plugin wrote: stricter, and everything is told where it
    /// stands.
    lines: Option<Lines<'t>>,
}

/// More than any policy has; fewer than it takes to make looking for one slow.
const MAX_ATTRIBUTES: usize = 256;

/// A text node being put together.
#[derive(Default)]
struct Pending {
    text: String,
    /// Holds a character reference, CDATA or more than whitespace.
    matters: bool,
}

/// An element whose end tag has not come yet.
struct Open {
    element: Element,
    at: usize,
    pending: Pending,
    /// Which children are whitespace that may be layout only.
    layout: Vec<usize>,
}

type Result<T> = std::result::Result<T, ParseError>;

/// Where the lines of a text begin.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self { text, starts }
    }

    /// The line of a byte, by its number and what stands there.
    fn place(&self, at: usize) -> String {
        let line = self.starts.partition_point(|start| *start <= at);
        let text = line
            .checked_sub(1)
            .and_then(|index| self.starts.get(index))
            .and_then(|start| self.text.get(*start..))
            .and_then(|rest| rest.lines().next())
            .unwrap_or_default();
        format!("line {line} (`{}`)", shown(text.trim()))
    }
}

impl<'t> Parser<'t> {
    /// `text` has line feeds as line ends.
    pub(super) const fn new(text: &'t str, format: Format) -> Self {
        Self {
            text,
            at: 0,
            format,
            lines: None,
        }
    }

    /// A reader of statements that a plugin wrote as text.
    pub(super) fn of_fragment(text: &'t str) -> Self {
        Self {
            lines: Some(Lines::of(text)),
            ..Self::new(text, Format::RawXml)
        }
    }

    /// Whether nothing is forgiven: text of a plugin has no excuse.
    const fn is_strict(&self) -> bool {
        matches!(self.format, Format::Xml) || self.lines.is_some()
    }

    /// What stands for the config pointer of something read here.
    fn place(&self, at: usize) -> Option<String> {
        self.lines.as_ref().map(|lines| lines.place(at))
    }

    fn fail<T>(&self, at: usize, message: impl Into<String>) -> Result<T> {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Err(ParseError {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            message: message.into(),
        })
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn skip_whitespace(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n']).len();
    }

    /// The text up to `end`, which is skipped.
    fn until(&mut self, end: &str, what: &str) -> Result<&'t str> {
        let rest = self.rest();
        match rest.find(end) {
            Some(length) => {
                self.at += length + end.len();
                Ok(rest.get(..length).unwrap_or_default())
            }
            None => self.fail(self.at, format!("{what} is not closed by '{end}'")),
        }
    }

    /// Statements one after the other, with nothing around them. Comments are
    /// left out.
    pub(super) fn statements(&mut self) -> Result<Vec<Element>> {
        self.characters()?;
        let mut statements = Vec::new();
        loop {
            self.comments()?;
            if self.rest().is_empty() {
                return Ok(statements);
            }
            if !self.rest().starts_with('<') {
                return self.fail(self.at, "text stands where only policies may stand");
            }
            statements.push(self.element()?);
        }
    }

    fn characters(&self) -> Result<()> {
        if let Some(c) = forbidden_char(self.text) {
            let at = self.text.find(c).unwrap_or_default();
            return self.fail(
                at,
                format!("the character U+{:04X} cannot stand in XML", u32::from(c)),
            );
        }
        Ok(())
    }

    pub(super) fn document(&mut self) -> Result<Tree> {
        self.characters()?;
        self.skip_whitespace();
        if self.eat("<?xml") {
            self.until("?>", "the XML declaration")?;
        }
        let before = self.comments()?;
        if !self.rest().starts_with('<') {
            return self.fail(self.at, "the document element is missing");
        }
        let root = self.element()?;
        let after = self.comments()?;
        if !self.rest().is_empty() {
            return self.fail(self.at, "there is something after the document element");
        }
        Ok(Tree {
            before,
            root,
            after,
        })
    }

    fn comments(&mut self) -> Result<Vec<String>> {
        let mut comments = Vec::new();
        loop {
            self.skip_whitespace();
            if !self.eat("<!--") {
                return Ok(comments);
            }
            comments.push(self.comment()?);
        }
    }

    /// The rest of a comment after `<!--`.
    fn comment(&mut self) -> Result<String> {
        let start = self.at;
        let comment = self.until("-->", "the comment")?;
        if self.is_strict() && (comment.contains("--") || comment.ends_with('-')) {
            return self.fail(start, "a comment may not contain '--'");
        }
        Ok(comment.to_owned())
    }

    /// An element with all it holds. Keeps its own stack: input decides how
    /// deep it gets.
    fn element(&mut self) -> Result<Element> {
        let mut stack: Vec<Open> = Vec::new();
        loop {
            if let Some(open) = stack.last_mut() {
                self.content(open)?;
            }
            let at = self.at;
            let closed = if self.eat("</") {
                let name = self.name("an end tag")?;
                self.skip_whitespace();
                if !self.eat(">") {
                    return self.fail(self.at, format!("'>' is missing after '</{name}'"));
                }
                match stack.pop() {
                    Some(open) if open.element.name == name => open.element,
                    Some(open) => {
                        let began = self
                            .fail::<()>(open.at, "")
                            .err()
                            .map_or(0, |error| error.line);
                        return self.fail(
                            at,
                            format!(
                                "'</{name}>' stands where '</{}>' should, which was opened on line \
                                 {began}",
                                open.element.name
                            ),
                        );
                    }
                    None => return self.fail(at, format!("'</{name}>' closes nothing")),
                }
            } else if self.eat("<") {
                self.markup(at)?;
                let (mut element, empty) = self.start_tag()?;
                element.pointer = self.place(at);
                if !empty {
                    if stack.len() >= MAX_DEPTH {
                        return self.fail(
                            at,
                            format!("elements are nested more than {MAX_DEPTH} deep"),
                        );
                    }
                    stack.push(Open {
                        element,
                        at,
                        pending: Pending::default(),
                        layout: Vec::new(),
                    });
                    continue;
                }
                element
            } else {
                let name = stack.last().map_or("", |open| open.element.name.as_str());
                return self.fail(self.at, format!("'</{name}>' is missing"));
            };
            match stack.last_mut() {
                Some(open) => open.element.children.push(Node::Element(closed)),
                None => return Ok(closed),
            }
        }
    }

    /// Refuses what begins like a tag and is none, with its name.
    fn markup(&self, at: usize) -> Result<()> {
        let rest = self.rest();
        if rest.starts_with("!DOCTYPE") || rest.starts_with("!ENTITY") {
            return self.fail(
                at,
                "a document type or entity may not be declared; leave it out",
            );
        }
        if rest.starts_with('?') {
            return self.fail(at, "a processing instruction may not stand here");
        }
        Ok(())
    }

    fn name(&mut self, what: &str) -> Result<&'t str> {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, ':' | '_' | '-' | '.')))
            .unwrap_or(rest.len());
        let name = rest.get(..length).unwrap_or_default();
        if !is_name(name) {
            return self.fail(
                self.at,
                format!("{what} begins with no name: '{}'", shown(rest)),
            );
        }
        // The service's own readers decide what letters there are; none of its
        // policies needs more than these.
        if self.lines.is_some() && !name.is_ascii() {
            return self.fail(
                self.at,
                format!("'{}' is no name of plain letters and digits", shown(name)),
            );
        }
        self.at += length;
        Ok(name)
    }

    /// The rest of a start tag after `<`, and whether it is empty (`/>`).
    fn start_tag(&mut self) -> Result<(Element, bool)> {
        let mut element = Element::new(self.name("a tag")?);
        loop {
            let before = self.at;
            self.skip_whitespace();
            if self.eat("/>") {
                return Ok((element, true));
            }
            if self.eat(">") {
                return Ok((element, false));
            }
            let at = self.at;
            if at == before {
                return self.fail(at, format!("a blank is missing in '<{}'", element.name));
            }
            let name = self.name("an attribute")?;
            if element.attributes.len() >= MAX_ATTRIBUTES {
                return self.fail(
                    at,
                    format!(
                        "'{}' has more than {MAX_ATTRIBUTES} attributes",
                        element.name
                    ),
                );
            }
            if element.attribute(name).is_some() {
                return self.fail(
                    at,
                    format!("attribute '{name}' of '{}' is there twice", element.name),
                );
            }
            self.skip_whitespace();
            if !self.eat("=") {
                return self.fail(self.at, format!("'=' is missing after attribute '{name}'"));
            }
            self.skip_whitespace();
            let mut value = self.attribute_value(name)?;
            value.pointer = self.place(at);
            element.attributes.push(Attribute {
                name: name.to_owned(),
                value,
            });
        }
    }

    fn attribute_value(&mut self, name: &str) -> Result<Value> {
        let Some(quote @ ('"' | '\'')) = self.rest().chars().next() else {
            return self.fail(self.at, format!("the value of '{name}' is not in quotes"));
        };
        self.at += 1;
        if self.format == Format::RawXml
            && let Some(value) = self.raw_code()?
        {
            self.skip_whitespace();
            if !self.rest().starts_with(quote) {
                return self.fail(
                    self.at,
                    format!("the expression in '{name}' has ended, but its value goes on"),
                );
            }
            self.at += 1;
            return Ok(value);
        }
        let at = self.at;
        let raw = self.until(
            if quote == '"' { "\"" } else { "'" },
            &format!("the value of '{name}'"),
        )?;
        if self.is_strict() && raw.contains('<') {
            return self.fail(at, format!("the value of '{name}' contains '<'"));
        }
        let mut text = String::new();
        self.decode(raw, at, &mut text, |c| {
            if matches!(c, '\n' | '\t') { ' ' } else { c }
        })?;
        self.classify(&text, at)
    }

    /// Code that stands here unescaped, if `@(` or `@{` comes next.
    fn raw_code(&mut self) -> Result<Option<Value>> {
        let trimmed = self.rest().trim_start_matches([' ', '\t', '\n']);
        let Some((form, close)) = opener(trimmed) else {
            return Ok(None);
        };
        let start = self.text.len() - trimmed.len();
        let code = trimmed.get(2..).unwrap_or_default();
        match csharp::length(code, close) {
            Ok(length) => {
                self.at = start + 2 + length + 1;
                let code = code.get(..length).unwrap_or_default();
                Ok(Some(value(form, code)))
            }
            Err(error) => self.fail(start, format!("the expression is not complete C#: {error}")),
        }
    }

    /// Text, comments and CDATA up to the next tag.
    fn content(&mut self, open: &mut Open) -> Result<()> {
        loop {
            if self.format == Format::RawXml
                && !open.pending.matters
                && let Some(mut code) = self.raw_code()?
            {
                open.pending = Pending::default();
                code.pointer = self.place(self.at.saturating_sub(1));
                open.element.children.push(Node::Text(code));
                self.skip_whitespace();
                let next = self.rest();
                if next.starts_with("<![CDATA[") || !(next.is_empty() || next.starts_with('<')) {
                    return self.fail(
                        self.at,
                        format!(
                            "the expression in '{}' has ended, but its text goes on",
                            open.element.name
                        ),
                    );
                }
            }
            let at = self.at;
            let rest = self.rest();
            let length = rest.find('<').unwrap_or(rest.len());
            let raw = rest.get(..length).unwrap_or_default();
            self.at += length;
            open.pending.matters |= raw.contains(|c| !matches!(c, ' ' | '\t' | '\n'));
            self.decode(raw, at, &mut open.pending.text, |c| c)?;
            if self.eat("<!--") {
                self.flush(open)?;
                let comment = self.comment()?;
                if self.lines.is_none() {
                    open.element.children.push(Node::Comment(comment));
                }
            } else if self.eat("<![CDATA[") {
                let data = self.until("]]>", "the CDATA section")?;
                open.pending.matters = true;
                open.pending.text.push_str(data);
            } else {
                self.flush(open)?;
                if self.rest().starts_with("</") {
                    drop_layout(open);
                }
                return Ok(());
            }
        }
    }

    fn flush(&mut self, open: &mut Open) -> Result<()> {
        let pending = std::mem::take(&mut open.pending);
        if pending.matters {
            let mut value = self.classify(&pending.text, self.at)?;
            value.pointer = self.place(self.at);
            open.element.children.push(Node::Text(value));
        } else if !pending.text.is_empty() {
            open.layout.push(open.element.children.len());
            open.element
                .children
                .push(Node::Text(Value::literal(pending.text)));
        }
        Ok(())
    }

    /// Replaces entities. `plain` maps characters that are not references.
    fn decode(
        &self,
        raw: &str,
        at: usize,
        out: &mut String,
        plain: impl Fn(char) -> char,
    ) -> Result<()> {
        let mut rest = raw;
        while let Some(amp) = rest.find('&') {
            let (before, entity) = rest.split_at(amp);
            out.extend(before.chars().map(&plain));
            let body = entity.get(1..).unwrap_or_default();
            let length = body
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '#'))
                .unwrap_or(body.len());
            let reference = body
                .split_at_checked(length)
                .filter(|(_, after)| after.starts_with(';'))
                .and_then(|(name, _)| xml_entity(name).map(|c| (c, name.len() + 2)));
            match reference {
                Some((c, length)) if forbidden_char(c.encode_utf8(&mut [0; 4])).is_none() => {
                    out.push(c);
                    rest = entity.get(length..).unwrap_or_default();
                }
                _ if self.is_strict() => {
                    return self.fail(
                        at + raw.len() - entity.len(),
                        "'&' begins no entity; a plain '&' is written '&amp;'",
                    );
                }
                _ => {
                    out.push('&');
                    rest = body;
                }
            }
        }
        out.extend(rest.chars().map(&plain));
        Ok(())
    }

    /// Decoded text that begins like an expression is one, however it was
    /// encoded.
    fn classify(&self, text: &str, at: usize) -> Result<Value> {
        let trimmed = text.trim_start_matches([' ', '\t', '\n', '\r']);
        let Some((form, close)) = opener(trimmed) else {
            return Ok(value(Form::Literal, text));
        };
        let code = trimmed.get(2..).unwrap_or_default();
        let length = match csharp::length(code, close) {
            Ok(length) => length,
            Err(error) => {
                return self.fail(at, format!("the expression is not complete C#: {error}"));
            }
        };
        if !code.get(length + 1..).unwrap_or_default().trim().is_empty() {
            return self.fail(at, "an expression has ended, but its text goes on");
        }
        Ok(value(form, code.get(..length).unwrap_or_default()))
    }
}

fn opener(text: &str) -> Option<(Form, char)> {
    if text.starts_with("@(") {
        Some((Form::Expression, ')'))
    } else if text.starts_with("@{") && !text.starts_with("@{{") {
        Some((Form::Statements, '}'))
    } else {
        None
    }
}

/// Whitespace between tags is layout, unless other text stands beside it.
fn drop_layout(open: &mut Open) {
    let children = &mut open.element.children;
    let mixed = children.iter().enumerate().any(|(i, child)| {
        matches!(child, Node::Text(value) if value.form == Form::Literal)
            && open.layout.binary_search(&i).is_err()
    });
    if !mixed {
        let mut i = 0;
        children.retain(|_| {
            i += 1;
            open.layout.binary_search(&(i - 1)).is_err()
        });
    }
}

/// A value whose named values are parts of their own.
fn value(form: Form, text: &str) -> Value {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let body = from.get(2..).unwrap_or_default();
        let length = body
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')))
            .unwrap_or(body.len());
        let (name, after) = body.split_at_checked(length).unwrap_or((body, ""));
        match after.strip_prefix("}}") {
            Some(after) if is_named_value_name(name) => {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::NamedValue(name.to_owned()));
                rest = after;
            }
            _ => {
                // One brace at a time: `{{{x}}` holds `{{x}}`.
                plain.push('{');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Value {
        form,
        parts,
        pointer: None,
    }
}
