//! Writes a document the way the service returns it: CRLF, one tab a level,
//! ` />`, and in the `xml` format everything entity-encoded.

use crate::PolicyFormat;
use crate::expression;
use crate::{Document, Element, Node};

/// Writes a document as the service returns it.
#[must_use]
pub fn print(document: &Document, format: PolicyFormat) -> String {
    let mut printer = Printer {
        out: String::new(),
        raw: format == PolicyFormat::RawXml,
    };
    for comment in &document.before {
        printer.comment(comment);
        printer.out.push_str("\r\n");
    }
    printer.element(&document.root, 0);
    for comment in &document.after {
        printer.out.push_str("\r\n");
        printer.comment(comment);
    }
    printer.out
}

struct Printer {
    out: String,
    raw: bool,
}

impl Printer {
    fn element(&mut self, element: &Element, depth: usize) {
        self.out.push('<');
        self.out.push_str(&element.name);
        for attribute in &element.attributes {
            self.out.push(' ');
            self.out.push_str(&attribute.name);
            self.out.push_str("=\"");
            if self.raw && expression::is_expression(&attribute.value) {
                self.lines(&attribute.value);
            } else {
                self.escaped(&attribute.value, true);
            }
            self.out.push('"');
        }
        let children: Vec<&Node> = element
            .children
            .iter()
            .filter(|node| !is_blank(node))
            .collect();
        if children.is_empty() {
            if element.self_closing {
                self.out.push_str(" />");
            } else {
                self.closing("></", element);
            }
            return;
        }
        self.out.push('>');
        // Text changes meaning with indentation, so an element that holds some
        // is written as it stands.
        let mixed = element.has_text();
        let inner = if mixed {
            &element.children.iter().collect()
        } else {
            &children
        };
        for node in inner {
            if !mixed {
                self.line(depth + 1);
            }
            match node {
                Node::Element(child) => self.element(child, depth + 1),
                Node::Comment(comment) => self.comment(comment),
                Node::CData(text) => {
                    self.out.push_str("<![CDATA[");
                    self.lines(text);
                    self.out.push_str("]]>");
                }
                Node::Text(text) if self.raw && expression::is_expression(text) => self.lines(text),
                Node::Text(text) => self.escaped(text, false),
            }
        }
        if !mixed {
            self.line(depth);
        }
        self.closing("</", element);
    }

    fn closing(&mut self, open: &str, element: &Element) {
        self.out.push_str(open);
        self.out.push_str(&element.name);
        self.out.push('>');
    }

    fn comment(&mut self, comment: &str) {
        self.out.push_str("<!--");
        self.lines(comment);
        self.out.push_str("-->");
    }

    fn line(&mut self, depth: usize) {
        self.out.push_str("\r\n");
        self.out.extend(std::iter::repeat_n('\t', depth));
    }

    /// Text as it stands, with the line ends of the rest of the document.
    fn lines(&mut self, text: &str) {
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                self.out.push_str("\r\n");
            }
            self.out.push_str(line);
        }
    }

    fn escaped(&mut self, value: &str, attribute: bool) {
        for c in value.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' if attribute => self.out.push_str("&quot;"),
                '\n' if attribute => self.out.push_str("&#xA;"),
                '\t' if attribute => self.out.push_str("&#x9;"),
                '\r' => self.out.push_str("&#xD;"),
                '\n' => self.out.push_str("\r\n"),
                plain => self.out.push(plain),
            }
        }
    }
}

fn is_blank(node: &Node) -> bool {
    matches!(node, Node::Text(text) if text.trim().is_empty())
}
