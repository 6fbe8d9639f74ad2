//! Mends what can be mended without changing what a document means: the text is
//! edited where it has to be, and stays as it is everywhere else, comments too.

use serde_json::Value;

use super::lint::{has_no_id, numbers, pointer_of};
use super::operations;
use super::places::Places;
use super::{parse, version_of};

/// A text that goes in at a place of another, in the place of `taken` bytes.
struct Edit {
    at: usize,
    taken: usize,
    text: String,
}

/// A mended document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// Its text.
    pub text: String,
    /// How much of it was mended.
    pub count: usize,
}

/// Mends a document; none where nothing can be mended. What comes out says the
/// same as what went in, but for the ids that an import would have given, and
/// for numbers that the specification wants to be texts.
#[must_use]
pub fn fix(text: &str) -> Option<Fixed> {
    let (value, _) = parse::parse(text).ok()?;
    let version = version_of(&value).ok()?;
    let places = Places::of(text)?;
    let mut wanted = value.clone();
    let mut edits = Vec::new();
    for pin in operations::extract(&value, version).pins {
        let pointer = pointer_of(&pin);
        if !has_no_id(&value, &pin) {
            continue;
        }
        let Some(edit) = places
            .find(&pointer)
            .offset
            .and_then(|at| named(text, at, &pin.id))
        else {
            continue;
        };
        if let Some(Value::Object(operation)) = wanted.pointer_mut(&pointer) {
            operation.insert("operationId".to_owned(), pin.id.into());
            edits.push(edit);
        }
    }
    for pointer in numbers(&value) {
        let found = places.find(pointer);
        let (Some(at), Some(end)) = (found.offset, found.end) else {
            continue;
        };
        if let (Some(number), Some(there)) = (text.get(at..end), wanted.pointer_mut(pointer)) {
            let quoted = format!("\"{number}\"");
            *there = number.into();
            edits.push(Edit {
                at,
                taken: end - at,
                text: quoted,
            });
        }
    }
    let count = edits.len();
    let text = edited(text, edits);
    // An edit that does not mean what it should is none that anybody wants.
    let (now, _) = parse::parse(&text).ok()?;
    (count > 0 && now == wanted).then_some(Fixed { text, count })
}

/// Puts an id first into the object that begins at a place.
fn named(text: &str, at: usize, id: &str) -> Option<Edit> {
    let rest = text.get(at..)?;
    let line = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let before = text.get(line..at)?;
    if let Some(inside) = rest.strip_prefix('{') {
        let space: String = inside.chars().take_while(|c| c.is_whitespace()).collect();
        let comma = if inside.trim_start().starts_with('}') {
            ""
        } else {
            ","
        };
        // On a line of its own where the others are.
        let (first, gap) = if space.contains('\n') {
            (space.as_str(), "")
        } else {
            ("", " ")
        };
        let gap = if comma.is_empty() { "" } else { gap };
        return Some(Edit {
            at: at + 1,
            taken: 0,
            text: format!("{first}\"operationId\": \"{id}\"{comma}{gap}"),
        });
    }
    // A block: its first key begins a line.
    before.trim().is_empty().then(|| Edit {
        at,
        taken: 0,
        text: format!("operationId: {id}\n{before}"),
    })
}

fn edited(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.at);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for edit in edits {
        out.push_str(text.get(done..edit.at).unwrap_or_default());
        out.push_str(&edit.text);
        done = edit.at + edit.taken;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::super::lint::lint;
    use super::*;

    #[test]
    fn ids_are_written_down_and_everything_else_stays_comments_too() {
        let text = "\
openapi: 3.0.3 # the last
info: {title: Stock, version: 1.0}
paths:
  /items:
    get:
      # All of them.
      summary: List
      responses: {'200': {description: OK}}
    post: {responses: {'200': {description: OK}}}
";
        let fixed = fix(text).unwrap();
        assert_eq!(
            fixed.text,
            "\
openapi: 3.0.3 # the last
info: {title: Stock, version: \"1.0\"}
paths:
  /items:
    get:
      # All of them.
      operationId: get-items
      summary: List
      responses: {'200': {description: OK}}
    post: {\"operationId\": \"post-items\", responses: {'200': {description: OK}}}
"
        );
        assert_eq!(fixed.count, 3);
        assert_eq!(lint(&fixed.text), []);
        assert_eq!(fix(&fixed.text), None, "there is nothing left");
    }

    #[test]
    fn json_keeps_its_lines() {
        let text = r#"{
  "openapi": "3.0.3",
  "info": {"title": "Stock", "version": "1"},
  "paths": {
    "/items": {
      "get": {
        "responses": {"200": {"description": "OK"}}
      },
      "put": {}
    }
  }
}
"#;
        let fixed = fix(text).unwrap();
        assert!(
            fixed.text.contains(
                "\"get\": {\n        \"operationId\": \"get-items\",\n        \"responses\""
            ),
            "{}",
            fixed.text
        );
        assert!(
            fixed
                .text
                .contains("\"put\": {\"operationId\": \"put-items\"}"),
            "{}",
            fixed.text
        );
        assert_eq!(lint(&fixed.text), []);
    }

    #[test]
    fn an_id_that_is_there_is_never_changed() {
        let text = "\
openapi: 3.0.3
info: {title: Stock, version: '1'}
paths:
  /items:
    get: {operationId: Größe, responses: {'200': {description: OK}}}
";
        assert_eq!(fix(text), None);
        assert_eq!(lint(text).len(), 1);
    }

    #[test]
    fn what_stands_behind_an_alias_is_left_alone_where_it_would_change_others() {
        let text = "\
openapi: 3.0.3
info: {title: Stock, version: '1'}
paths:
  /a: {get: &same {responses: {'200': {description: OK}}}}
  /b: {get: *same}
";
        // One text is both operations: no edit names each of them.
        assert_eq!(fix(text), None);
    }
}
