//! The guard: a passage in an API's policy document that answers 503 for
//! operations whose own policy is not in place yet.
//!
//! An operation that an import makes can be called at once, but its own policy
//! document can only be written once it exists. In between, this stands
//! directly behind the first `<base />` of the inbound section, so after the
//! preflight phase and before authentication:
//!
//! ```xml
//! <choose>
//!     <when condition="@(new [] { "get-orders" }.Contains(context.Operation.Id))">
//!         <return-response>
//!             <set-status code="503" reason="Service Unavailable" />
//!         </return-response>
//!     </when>
//! </choose>
//! ```
//!
//! The document is text here, since it was printed, hashed and checked as text
//! before; the place is found by walking the text as `rawxml` is read (code,
//! quotes and comments are stepped over), never by a search that code in an
//! attribute could answer.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::policy::csharp;

/// A document into which no guard can be put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// It is not a policy document.
    #[error("the policy document has no `<inbound>` section to guard (byte {0})")]
    NoInbound(usize),
    /// An element, comment or expression does not end.
    #[error("the policy document ends inside of something that began at byte {0}")]
    Unfinished(usize),
    /// An operation's id would have to be escaped; imports make none such.
    #[error("the operation id `{0}` has characters other than letters, digits, `-`, `_` and `.`")]
    OddOperationId(String),
}

/// The document with a guard for these operations; unchanged for none.
pub fn guarded(document: &str, operations: &BTreeSet<String>) -> Result<String, GuardError> {
    if operations.is_empty() {
        return Ok(document.to_owned());
    }
    let at = place(document)?;
    let mut out = document.get(..at).unwrap_or_default().to_owned();
    out.push('\n');
    push_guard(operations, &mut out)?;
    out.push_str(document.get(at..).unwrap_or_default());
    Ok(out)
}

fn push_guard(operations: &BTreeSet<String>, out: &mut String) -> Result<(), GuardError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut ids = String::new();
    for id in operations {
        if id.is_empty() || !id.chars().all(plain) {
            return Err(GuardError::OddOperationId(id.clone()));
        }
        let comma = if ids.is_empty() { "" } else { ", " };
        // Writing into a String cannot fail.
        let _ = write!(ids, "{comma}\"{id}\"");
    }
    let pad = "        ";
    let _ = write!(
        out,
        "{pad}<choose>\n\
         {pad}    <when condition=\"@(new [] {{ {ids} }}.Contains(context.Operation.Id))\">\n\
         {pad}        <return-response>\n\
         {pad}            <set-status code=\"503\" reason=\"Service Unavailable\" />\n\
         {pad}        </return-response>\n\
         {pad}    </when>\n\
         {pad}</choose>"
    );
    Ok(())
}

/// Where the guard goes: behind `<base/>` of the inbound section, or behind
/// `<inbound>` where it has none.
fn place(document: &str) -> Result<usize, GuardError> {
    let mut open: Vec<&str> = Vec::new();
    let mut inbound = None;
    let mut at = 0;
    while let Some(tag) = next_tag(document, at)? {
        at = tag.end;
        match tag.kind {
            Kind::End => {
                open.pop();
                if tag.name == "inbound" && open.len() == 1 {
                    break;
                }
            }
            Kind::Empty if tag.name == "base" && open == ["policies", "inbound"] => {
                return Ok(tag.end);
            }
            Kind::Empty => {}
            Kind::Start => {
                if tag.name == "inbound" && open == ["policies"] {
                    inbound = Some(tag.end);
                }
                open.push(tag.name);
            }
        }
    }
    inbound.ok_or(GuardError::NoInbound(at))
}

enum Kind {
    Start,
    Empty,
    End,
}

struct Tag<'a> {
    name: &'a str,
    kind: Kind,
    end: usize,
}

/// The next element tag from `at` on; text, code and comments before it are
/// stepped over.
fn next_tag(document: &str, mut at: usize) -> Result<Option<Tag<'_>>, GuardError> {
    while let Some(rest) = document.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(comment) = rest.strip_prefix("<!--") {
            let end = comment.find("-->").ok_or(GuardError::Unfinished(at))?;
            at += "<!--".len() + end + "-->".len();
        } else if rest.starts_with('<') {
            return tag(document, at).map(Some);
        } else {
            at += step(rest).ok_or(GuardError::Unfinished(at))?;
        }
    }
    Ok(None)
}

/// The length of what stands first in the text: an expression or a character.
/// None when the expression does not end.
fn step(rest: &str) -> Option<usize> {
    for (open, close) in [("@(", ')'), ("@{", '}')] {
        if let Some(code) = rest.strip_prefix(open) {
            let length = csharp::length(code, close).ok()?;
            return Some(open.len() + length + close.len_utf8());
        }
    }
    rest.chars().next().map(char::len_utf8)
}

/// The tag that starts at `start`.
fn tag(document: &str, start: usize) -> Result<Tag<'_>, GuardError> {
    let unfinished = GuardError::Unfinished(start);
    let after = start + 1;
    let closing = document
        .get(after..)
        .is_some_and(|rest| rest.starts_with('/'));
    let name_start = after + usize::from(closing);
    let rest = document.get(name_start..).unwrap_or_default();
    let name_length = rest
        .find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))
        .ok_or(unfinished.clone())?;
    let name = rest.get(..name_length).unwrap_or_default();
    let mut at = name_start + name_length;
    let mut quote: Option<char> = None;
    let mut slash = false;
    while let Some(rest) = document.get(at..).filter(|rest| !rest.is_empty()) {
        let length = step(rest).ok_or(unfinished.clone())?;
        let first = rest.chars().next().unwrap_or_default();
        at += length;
        match (quote, first) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(first),
            (None, '>') => {
                let kind = match (closing, slash) {
                    (true, _) => Kind::End,
                    (false, true) => Kind::Empty,
                    (false, false) => Kind::Start,
                };
                return Ok(Tag {
                    name,
                    kind,
                    end: at,
                });
            }
            (None, c) => slash = c == '/',
        }
    }
    Err(unfinished)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_guard_stands_behind_base_and_before_authentication() {
        let document = "<policies>\n    <inbound>\n        <cors>\n            <allowed-origins>\n                <origin>*</origin>\n            </allowed-origins>\n        </cors>\n        <base />\n        <validate-jwt header-name=\"Authorization\" />\n    </inbound>\n</policies>\n";
        insta::assert_snapshot!(guarded(document, &ids(&["get-a", "put-b"])).unwrap(), @r#"
        <policies>
            <inbound>
                <cors>
                    <allowed-origins>
                        <origin>*</origin>
                    </allowed-origins>
                </cors>
                <base />
                <choose>
                    <when condition="@(new [] { "get-a", "put-b" }.Contains(context.Operation.Id))">
                        <return-response>
                            <set-status code="503" reason="Service Unavailable" />
                        </return-response>
                    </when>
                </choose>
                <validate-jwt header-name="Authorization" />
            </inbound>
        </policies>
        "#);
    }

    #[test]
    fn code_and_comments_that_look_like_base_do_not_attract_the_guard() {
        let document = "<!-- <policies><inbound><base /> -->\n<policies><inbound><set-variable name=\"x\" value=\"@(\"</inbound><base />\")\" /><!-- <base /> --><choose><when condition=\"@(1 > 0)\"><base /></when></choose><base /><x /></inbound></policies>";
        let with = guarded(document, &ids(&["a"])).unwrap();
        let at = document.rfind("<base /><x />").unwrap() + "<base />".len();
        assert_eq!(with.get(..at), document.get(..at));
        assert!(with.get(at..).unwrap().starts_with("\n        <choose>\n"));
        assert!(with.ends_with("</choose><x /></inbound></policies>"));
    }

    #[test]
    fn an_inbound_section_without_base_is_guarded_at_its_start() {
        let with = guarded(
            "<policies><inbound><a/></inbound><backend><base/></backend></policies>",
            &ids(&["a"]),
        )
        .unwrap();
        assert!(with.starts_with("<policies><inbound>\n        <choose>"));
    }

    #[test]
    fn no_operations_need_no_guard() {
        assert_eq!(guarded("anything", &ids(&[])).unwrap(), "anything");
    }

    #[test]
    fn what_cannot_be_guarded_is_refused() {
        assert_eq!(
            guarded("<policies></policies>", &ids(&["a"])),
            Err(GuardError::NoInbound(21))
        );
        assert_eq!(
            guarded("<policies><inbound a=\"", &ids(&["a"])),
            Err(GuardError::Unfinished(10))
        );
        assert_eq!(
            guarded("<policies><inbound></inbound></policies>", &ids(&["a\""])),
            Err(GuardError::OddOperationId("a\"".into()))
        );
    }
}
