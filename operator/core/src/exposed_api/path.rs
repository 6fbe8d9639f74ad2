//! The path of an API.

use std::fmt;

use crate::annotations::nearest::shown;

/// The path below which an API is reached, good for an Ingress and for API
/// Management: either empty (the root) or segments without a `/` at either
/// end.
///
/// The rule is API Management's, as its clients enforce it:
/// `^(?:|[\w]|[\w.][\w-/.:]{0,398}[\w-])$`. Beyond it, Kubernetes refuses
/// Prefix paths with `//`, `/./` and `/../`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApiPath(String);

/// The longest path that API Management takes.
const MAX: usize = 400;

impl ApiPath {
    /// Reads a path, with or without its leading `/`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("`{}` is not a path: {why}", shown(text)));
        let path = text.strip_prefix('/').unwrap_or(text);
        let path = path.strip_suffix('/').unwrap_or(path);
        if text.contains("//") {
            return refuse("it holds `//`; write one `/` between two segments");
        }
        if let Some(bad) = path.chars().find(|c| matches!(c, '?' | '#' | '{' | '}')) {
            return refuse(&format!(
                "it holds `{bad}`; parameters belong into the OpenAPI document, the path is a plain prefix"
            ));
        }
        if path.split('/').any(|segment| matches!(segment, "." | "..")) || path.contains("..") {
            return refuse("it holds `.` or `..` as a step; write the path it leads to");
        }
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if let Some(bad) = path.chars().find(|c| !word(*c) && !"-/.:".contains(*c)) {
            return refuse(&format!(
                "it holds `{}`; API Management takes letters, digits, `_`, `-`, `.`, `:` and `/`",
                bad.escape_default()
            ));
        }
        if path.len() > MAX {
            return refuse(&format!(
                "it has {} characters; API Management takes at most {MAX}",
                path.len()
            ));
        }
        let first = path.chars().next();
        let last = path.chars().next_back();
        let single = path.len() == 1;
        if first.is_some_and(|c| !(word(c) || (c == '.' && !single))) {
            return refuse("it must begin with a letter, a digit, `_` or `.`");
        }
        if last.is_some_and(|c| !(word(c) || (c == '-' && !single))) {
            return refuse("it must end with a letter, a digit, `_` or `-`");
        }
        Ok(Self(path.to_owned()))
    }

    /// As API Management has it: without a leading `/`.
    #[must_use]
    pub fn as_api_management(&self) -> &str {
        &self.0
    }
}

/// With a leading `/`, as an Ingress and a URL have it.
impl fmt::Display for ApiPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}
