//! Where in its text each value of a document stands.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::parse;

/// A line and a column, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

/// The places of all values of a document.
#[derive(Debug)]
pub(super) struct Places(Placed);

type Placed = Spanned<Node>;

#[derive(Debug)]
enum Node {
    Map(Vec<(Spanned<String>, Placed)>),
    List(Vec<Placed>),
    Scalar,
}

/// A value in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Where its key stands, else where it begins.
    pub(super) place: Place,
    /// Where it begins, in bytes from the text's begin, where that is known.
    pub(super) offset: Option<usize>,
    /// Where it ends, for a value that is neither an object nor a list.
    pub(super) end: Option<usize>,
}

impl Places {
    /// The places of a text that was read before; none where they cannot be
    /// told.
    pub(super) fn of(text: &str) -> Option<Self> {
        serde_saphyr::with_deserializer_from_str_with_options(
            text,
            parse::options(),
            |deserializer| Placed::deserialize(deserializer),
        )
        .ok()
        .map(Self)
    }

    /// Where a pointer leads; where it leads nowhere, what holds it.
    pub(super) fn find(&self, pointer: &str) -> Found {
        let mut at = &self.0;
        let mut found = found(&at.referenced, at);
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match &at.value {
                Node::Map(fields) => fields
                    .iter()
                    .find(|(key, _)| key.value == step)
                    .map(|(key, value)| (&key.referenced, value)),
                Node::List(items) => step
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| items.get(index))
                    .map(|item| (&item.referenced, item)),
                Node::Scalar => None,
            };
            let Some((place, value)) = next else {
                break;
            };
            found = self::found(place, value);
            at = value;
        }
        found
    }
}

fn found(place: &Location, value: &Placed) -> Found {
    let known = if place.line() == 0 {
        &value.referenced
    } else {
        place
    };
    let span = value.referenced.span();
    let offset = span.byte_offset().and_then(|at| usize::try_from(at).ok());
    let length = span.byte_len().and_then(|at| usize::try_from(at).ok());
    let is_scalar = matches!(value.value, Node::Scalar);
    Found {
        place: Place {
            line: known.line().max(1),
            column: known.column().max(1),
        },
        offset,
        end: offset
            .zip(length)
            .filter(|_| is_scalar)
            .map(|(offset, length)| offset + length),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape)
    }
}

struct Shape;

impl<'de> Visitor<'de> for Shape {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(field) = fields.next_entry()? {
            map.push(field);
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, pointer: &str) -> (u64, u64) {
        let place = Places::of(text).unwrap().find(pointer).place;
        (place.line, place.column)
    }

    const YAML: &str = "\
openapi: 3.0.3
paths:
  /items/{id}:
    get:
      parameters:
        - {name: id, in: path}
";

    #[test]
    fn a_value_is_where_its_key_stands() {
        assert_eq!(at(YAML, "/openapi"), (1, 1));
        assert_eq!(at(YAML, "/paths/~1items~1{id}"), (3, 3));
        assert_eq!(at(YAML, "/paths/~1items~1{id}/get"), (4, 5));
        assert_eq!(
            at(YAML, "/paths/~1items~1{id}/get/parameters/0/in"),
            (6, 22)
        );
        let json = "{\n \"paths\": {\n  \"/a\": {}\n }\n}";
        assert_eq!(at(json, "/paths/~1a"), (3, 3));
    }

    #[test]
    fn what_is_missing_is_where_it_would_stand() {
        assert_eq!(at(YAML, "/info/title"), (1, 1));
        assert_eq!(at(YAML, "/paths/~1items~1{id}/get/operationId"), (4, 5));
    }

    #[test]
    fn a_scalar_is_found_with_both_its_ends() {
        let found = Places::of(YAML).unwrap().find("/openapi");
        assert_eq!(&YAML[found.offset.unwrap()..found.end.unwrap()], "3.0.3");
    }
}
