//! The wiki of an API: one page of Markdown in the developer portal, from the
//! annotation `wiki`.
//!
//! A page is a documentation of the service and has no field for a mark: its
//! text ends with it.

use serde_json::{Value, json};

use crate::apim::{DesiredPart, DesiredParts, PartId};
use crate::mark::{OwnershipMark, mark_in, marked};
use crate::names::ApiId;

/// The page and the wiki that shows it. The page's title is its first heading,
/// or the API's name where it begins with none.
#[must_use]
pub fn desired(text: &str, api_name: &str, id: &ApiId, mark: &OwnershipMark) -> DesiredParts {
    let text = normal(text);
    let title = heading(&text).unwrap_or(api_name);
    let content = marked(&text, mark.as_str());
    let part = |content: Value| DesiredPart {
        content,
        made_as: None,
    };
    let page = part(json!({"title": title, "content": content}));
    let wiki = part(json!({"documents": [{"documentationId": id.as_str()}]}));
    [
        (PartId::Documentation(id.clone()), page),
        (PartId::Wiki, wiki),
    ]
    .into()
}

/// The text of the heading that the page begins with.
fn heading(text: &str) -> Option<&str> {
    let first = text.lines().next()?.trim();
    let rest = first.trim_start_matches('#');
    let level = first.len() - rest.len();
    let title = rest.trim_end_matches('#').trim();
    ((1..=6).contains(&level) && rest.starts_with([' ', '\t']) && !title.is_empty())
        .then_some(title)
}

/// A page as it is compared: neither the ends of lines nor what is around the
/// text changes what a reader sees.
#[must_use]
pub fn normal(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.join("\n").trim_matches('\n').trim_end().to_owned()
}

/// Whose a documentation is, as its end says.
#[must_use]
pub fn mark_of(documentation: &Value) -> Option<&str> {
    mark_in(documentation.get("content")?.as_str()?.trim_end()).1
}

/// A documentation's text without the mark.
#[must_use]
pub fn unmarked(documentation: &Value) -> Option<&str> {
    let text = documentation.get("content")?.as_str()?;
    Some(mark_in(text.trim_end()).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ObjectKey;

    fn page(text: &str) -> Value {
        let id = ApiId::parse("shop.orders").unwrap();
        let mark = OwnershipMark::new("0f3b4c1d-aaaa", &ObjectKey::new("shop", "orders"));
        let mut parts = desired(text, "Orders", &id, &mark);
        let page = parts.remove(&PartId::Documentation(id)).unwrap();
        let wiki = parts.remove(&PartId::Wiki).unwrap();
        assert_eq!(
            wiki.content,
            json!({"documents": [{"documentationId": "shop.orders"}]})
        );
        assert!(parts.is_empty());
        page.content
    }

    #[test]
    fn a_page_says_whose_it_is_where_no_reader_sees_it() {
        let made = page("# Orders, explained\n\nAsk first.\n");
        assert_eq!(
            made,
            json!({
                "title": "Orders, explained",
                "content": "# Orders, explained\n\nAsk first.\n<!-- apim-operator/1 0f3b4c1d shop/orders -->",
            })
        );
        assert_eq!(mark_of(&made), Some("apim-operator/1 0f3b4c1d shop/orders"));
        assert_eq!(unmarked(&made), Some("# Orders, explained\n\nAsk first."));
        for foreign in [
            "",
            "Ask first.",
            "<!-- a note -->",
            "<!-- apim-operator/1 0f3b4c1d shop/orders -->\nmore",
        ] {
            assert_eq!(mark_of(&json!({"content": foreign})), None, "{foreign}");
        }
        assert_eq!(mark_of(&json!({"title": "x"})), None);
    }

    #[test]
    fn the_title_is_the_heading_that_the_page_begins_with_or_the_name_of_the_api() {
        for (text, title) in [
            ("# One #\ntext", "One"),
            ("\n\n###\tTwo", "Two"),
            ("text\n# Three", "Orders"),
            ("#hashtag", "Orders"),
            ("#", "Orders"),
            ("####### seven", "Orders"),
        ] {
            assert_eq!(page(text)["title"], title, "{text}");
        }
    }

    #[test]
    fn the_ends_of_lines_are_no_difference() {
        assert_eq!(normal("\r\na\r\n  b\r\n\r\n"), "a\n  b");
        assert_eq!(normal("a  \nb"), "a  \nb");
        assert_eq!(normal("    code\nb"), "    code\nb");
    }
}
