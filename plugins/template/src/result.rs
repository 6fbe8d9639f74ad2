//! From a template's result to policy statements.

use policy_sdk::elements::Element;
use policy_sdk::{Diagnostic, Section};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::data::Data;
use crate::engine::shown;
use crate::functions::{Code, Codes};
use crate::marks;
use crate::values;

/// The sections, as a result spells them.
const SECTIONS: [(&str, Section); 4] = [
    ("inbound", Section::Inbound),
    ("backend", Section::Backend),
    ("outbound", Section::Outbound),
    ("on-error", Section::OnError),
];
/// What may stand around them.
const POLICIES: &str = "policies";

/// Reads a result. `pointer` is where the config names the template.
pub(crate) fn parse(
    text: &str,
    codes: &Codes,
    data: &Data,
    pointer: &str,
) -> Result<Vec<(Section, Element)>, Diagnostic> {
    let reading = Reading { text, codes, data };
    reading.read().map_err(|fault| {
        let place = reading.place(fault.at);
        Diagnostic::error(
            fault.pointer.as_deref().unwrap_or(pointer),
            format!("{place}: {}", fault.message),
        )
    })
}

/// Something that is wrong with a result.
pub(crate) struct Fault {
    /// Where, as a byte of the result.
    at: usize,
    /// The config value that it is about, where it is about one.
    pointer: Option<String>,
    message: String,
}

impl Fault {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            pointer: None,
            message: message.into(),
        }
    }

    pub(crate) fn about(mut self, pointer: Option<String>) -> Self {
        self.pointer = pointer;
        self
    }
}

/// One result, with what its marks stand for.
pub(crate) struct Reading<'r> {
    text: &'r str,
    pub(crate) codes: &'r Codes,
    pub(crate) data: &'r Data,
}

/// What is open while a result is read.
enum Open {
    Policies,
    Section(Section),
    Element(Element),
}

impl Reading<'_> {
    fn read(&self) -> Result<Vec<(Section, Element)>, Fault> {
        let mut reader = Reader::from_str(self.text);
        let mut statements = Vec::new();
        let mut open: Vec<Open> = Vec::new();
        let mut text_from = 0;
        loop {
            let at = position(reader.buffer_position());
            let event = reader.read_event().map_err(|error| {
                let at = position(reader.error_position());
                Fault::new(at, format!("it is not well-formed XML: {error}"))
            })?;
            if matches!(event, Event::Text(_) | Event::GeneralRef(_)) {
                continue;
            }
            self.text(text_from..at, &mut open)?;
            text_from = position(reader.buffer_position());
            match event {
                Event::Start(tag) => open.push(self.open(&tag, at, &open)?),
                Event::Empty(tag) => {
                    let opened = self.open(&tag, at, &open)?;
                    close(opened, &mut open, &mut statements);
                }
                Event::End(_) => {
                    if let Some(closed) = open.pop() {
                        close(closed, &mut open, &mut statements);
                    }
                }
                Event::Comment(_) => {}
                Event::CData(_) => {
                    return Err(Fault::new(
                        at,
                        "a template has no CDATA: write `&lt;` and `&amp;`, or insert the text with `{{ … }}`",
                    ));
                }
                Event::Decl(_) | Event::PI(_) => {
                    return Err(Fault::new(
                        at,
                        "leave the XML declaration and all processing instructions out",
                    ));
                }
                Event::DocType(_) => {
                    return Err(Fault::new(at, "leave the document type out"));
                }
                Event::Text(_) | Event::GeneralRef(_) | Event::Eof => break,
            }
        }
        if open.is_empty() {
            Ok(statements)
        } else {
            Err(Fault::new(
                self.text.len(),
                "an element is not closed at the end of the result",
            ))
        }
    }

    /// What a tag opens, by where it stands.
    fn open(&self, tag: &BytesStart<'_>, at: usize, open: &[Open]) -> Result<Open, Fault> {
        let name = tag.name().into_inner();
        markup(name, at)?;
        let section = SECTIONS.iter().find(|(own, _)| *own == name);
        match (open.last(), section) {
            (None, None) if name == POLICIES => bare(tag, at, Open::Policies),
            (None | Some(Open::Policies), Some((_, section))) => {
                bare(tag, at, Open::Section(*section))
            }
            (None | Some(Open::Policies), None) => Err(Fault::new(
                at,
                format!(
                    "`<{name}>` stands in no section: put it into `<inbound>`, `<backend>`, `<outbound>` or \
                     `<on-error>`"
                ),
            )),
            (Some(Open::Section(_)), _) if name == "base" => Err(Fault::new(
                at,
                "leave `<base />` out: the operator writes it where it belongs",
            )),
            (Some(_), _) => {
                let mut element = Element::new(name);
                for attribute in tag.attributes() {
                    let attribute = attribute.map_err(|error| {
                        Fault::new(at, format!("an attribute of `<{name}>`: {error}"))
                    })?;
                    let key = attribute.key.into_inner();
                    let at = self.offset(&attribute.value).unwrap_or(at);
                    markup(key, at)?;
                    let value = values::attribute(self, &attribute.value, at)?;
                    element = element.attribute(key, value);
                }
                Ok(Open::Element(element))
            }
        }
    }

    fn text(&self, range: std::ops::Range<usize>, open: &mut [Open]) -> Result<(), Fault> {
        let at = range.start;
        let raw = &self.text[range];
        match open.last_mut() {
            Some(Open::Element(element)) => {
                if let Some(value) = values::text(self, raw, at)? {
                    let own = std::mem::replace(element, Element::new(""));
                    *element = own.text(value);
                }
                Ok(())
            }
            _ if raw.trim().is_empty() => Ok(()),
            _ => Err(Fault::new(
                at + raw.len() - raw.trim_start().len(),
                "there is text outside of all statements",
            )),
        }
    }

    /// Where a part of the result stands in it.
    fn offset(&self, part: &str) -> Option<usize> {
        let offset = (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        (offset < self.text.len()).then_some(offset)
    }

    /// A place of the result, with its line.
    fn place(&self, at: usize) -> String {
        let at = (0..=at.min(self.text.len()))
            .rev()
            .find(|at| self.text.is_char_boundary(*at))
            .unwrap_or_default();
        let before = &self.text[..at];
        let number = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[start..].lines().next().unwrap_or_default();
        format!(
            "line {number} of the result, `{}`",
            shown(&self.readable(line))
        )
    }

    /// A line without marks.
    fn readable(&self, line: &str) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some(at) = rest.find(marks::ALL) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let end = rest.find(marks::END).map(|end| end + marks::END.len_utf8());
            let code = end
                .and_then(|end| marks::code_index(&rest[..end]))
                .and_then(|index| self.codes.get(index));
            match (code, end) {
                (Some(Code::NamedValue(name)), Some(end)) => {
                    out.extend(["{{", &name, "}}"]);
                    rest = &rest[end..];
                }
                (Some(Code::CSharp { .. }), Some(end)) => {
                    out.push_str("@(…)");
                    rest = &rest[end..];
                }
                _ => rest = &rest[rest.chars().next().map_or(0, char::len_utf8)..],
            }
        }
        out.push_str(rest);
        out
    }
}

/// A section, which has no attributes.
fn bare(tag: &BytesStart<'_>, at: usize, opened: Open) -> Result<Open, Fault> {
    if tag.attributes_raw().trim().is_empty() {
        return Ok(opened);
    }
    Err(Fault::new(
        at,
        format!("`<{}>` has no attributes", tag.name().into_inner()),
    ))
}

/// Refuses what was inserted where only the template's own text may be.
fn markup(name: &str, at: usize) -> Result<(), Fault> {
    if name.contains(marks::ALL) {
        return Err(Fault::new(
            at,
            "values and code can be inserted into texts and attribute values, not into names",
        ));
    }
    Ok(())
}

/// Puts what is complete where it belongs.
fn close(closed: Open, open: &mut [Open], statements: &mut Vec<(Section, Element)>) {
    let Open::Element(element) = closed else {
        return;
    };
    match open.last_mut() {
        Some(Open::Element(parent)) => {
            let own = std::mem::replace(parent, Element::new(""));
            *parent = own.child(element);
        }
        Some(Open::Section(section)) => statements.push((*section, element)),
        // An element is opened in one of the two.
        Some(Open::Policies) | None => {}
    }
}

fn position(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
