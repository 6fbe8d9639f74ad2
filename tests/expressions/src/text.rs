//! Text of attributes and elements: a literal, or an expression.

use crate::{Expression, ParseError};

/// What stands in an attribute or an element of a policy document.
#[derive(Debug, Clone)]
pub enum Text {
    /// Text as it is, after the escape `@@`.
    Literal(String),
    /// An expression.
    Expression(Expression),
}

impl Text {
    /// Reads text whose XML entities and named values are resolved already.
    /// It is an expression where it begins with `@(` or `@{`, white space
    /// aside; it must then end with it. `@@` at the beginning stands for `@`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if Self::is_expression(text) {
            return Expression::parse(text).map(Self::Expression);
        }
        let trimmed = text.trim_start();
        Ok(Self::Literal(match trimmed.strip_prefix("@@") {
            Some(rest) => format!("{}@{rest}", &text[..text.len() - trimmed.len()]),
            None => text.to_owned(),
        }))
    }

    /// Whether a text is an expression and not a literal.
    #[must_use]
    pub fn is_expression(text: &str) -> bool {
        let text = text.trim_start();
        text.starts_with("@(") || text.starts_with("@{")
    }
}
