//! HTML as a tree. Stricter than a browser, which mends what it is given: every
//! error of the tokenizer and every tag that is not closed in turn is refused.

use html5gum::{Token, Tokenizer};
use std::collections::BTreeMap;

/// Elements that have no end.
const VOID: [&str; 6] = ["meta", "link", "br", "hr", "img", "input"];

/// An element with what is in it.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) children: Vec<Element>,
    /// Its text, and that of all elements in it.
    pub(crate) text: String,
}

impl Element {
    /// Every element of a name in this one, in order.
    pub(crate) fn all<'e>(&'e self, name: &'e str) -> Vec<&'e Element> {
        self.everything()
            .into_iter()
            .filter(|one| one.name == name)
            .collect()
    }

    /// The only element of a name.
    pub(crate) fn one<'e>(&'e self, name: &'e str) -> &'e Element {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "<{name}>");
        all[0]
    }

    /// The only element with an `id`.
    pub(crate) fn with_id(&self, id: &str) -> &Element {
        let found: Vec<_> = self
            .everything()
            .into_iter()
            .filter(|one| one.attribute("id") == Some(id))
            .collect();
        assert_eq!(found.len(), 1, "id {id}");
        found[0]
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// This one and all in it.
    pub(crate) fn everything(&self) -> Vec<&Element> {
        let inner = self.children.iter().flat_map(Element::everything);
        std::iter::once(self).chain(inner).collect()
    }

    /// The text of the cells, row by row.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        let rows = self.all("tr").into_iter();
        rows.map(|row| {
            let cells = row.children.iter();
            cells.map(|cell| cell.text.trim().to_owned()).collect()
        })
        .collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The whole document.
pub(crate) fn parse(html: &str) -> Element {
    assert!(html.starts_with("<!DOCTYPE html><html"), "{html}");
    let mut open = vec![Element::default()];
    for token in Tokenizer::new(html) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                let element = Element {
                    name: text(&tag.name),
                    attributes: tag
                        .attributes
                        .iter()
                        .map(|(name, value)| (text(name), text(value)))
                        .collect(),
                    ..Element::default()
                };
                let ends = VOID.contains(&element.name.as_str());
                assert!(!tag.self_closing, "<{}/>", element.name);
                open.push(element);
                if ends {
                    close(&mut open);
                }
            }
            Token::EndTag(tag) => {
                let name = open.last().map(|one| one.name.clone());
                assert_eq!(name, Some(text(&tag.name)), "in its place in {html}");
                close(&mut open);
            }
            Token::String(said) => {
                let last = open.last_mut().expect("an element");
                last.text.push_str(&text(&said));
            }
            Token::Error(error) => panic!("{error:?} in {html}"),
            Token::Comment(_) => panic!("a comment in {html}"),
            Token::Doctype(_) => {}
        }
    }
    assert_eq!(open.len(), 1, "what is not closed: {open:?}");
    open.remove(0)
}

fn close(open: &mut Vec<Element>) {
    let done = open.pop().expect("an element");
    let parent = open.last_mut().expect("an element around it");
    parent.text.push_str(&done.text);
    parent.children.push(done);
}
