//! Values in policies: literal, or an expression that gives one.

use apim_expressions::Expression;
use base64::Engine as _;

/// A value of an attribute or element.
#[derive(Debug, Clone)]
pub(crate) enum Value<T> {
    Literal(T),
    Expression(Box<Prepared>),
}

/// An expression, with what it may see: looked up once, not for every request.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) expression: Expression,
    /// Whether it may read the URL that the backend is called with.
    pub(crate) reads_url: bool,
    /// Whether it may read what was configured.
    pub(crate) reads_descriptions: bool,
}

/// Members of the context that say what was configured.
const DESCRIPTIONS: [&str; 7] = [
    "Api",
    "Operation",
    "Product",
    "Subscription",
    "User",
    "Deployment",
    "Certificate",
];

impl From<Expression> for Prepared {
    /// A member's name stands in the text of an expression that may read it,
    /// unless an escape writes its letters otherwise.
    fn from(expression: Expression) -> Self {
        let source = expression.source();
        let escapes = source.contains('\\');
        Self {
            reads_url: escapes || source.contains("Url"),
            reads_descriptions: escapes || DESCRIPTIONS.iter().any(|name| source.contains(name)),
            expression,
        }
    }
}

impl<T> Value<T> {
    /// The value, if it is known without a request.
    pub(crate) fn literal(&self) -> Option<&T> {
        match self {
            Self::Literal(value) => Some(value),
            Self::Expression(_) => None,
        }
    }
}

/// What values can be made from text and from what an expression gave.
pub(crate) trait PolicyValue: Sized {
    /// What a value must be, for messages.
    const EXPECTED: &'static str;

    fn from_text(text: &str) -> Option<Self>;

    fn from_value(value: &apim_expressions::Value) -> Option<Self> {
        Self::from_text(&value.to_string())
    }
}

impl PolicyValue for String {
    const EXPECTED: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl PolicyValue for Vec<u8> {
    const EXPECTED: &'static str = "bytes";

    /// Written out, bytes are Base64.
    fn from_text(text: &str) -> Option<Self> {
        let text: String = text.split_whitespace().collect();
        base64::engine::general_purpose::STANDARD.decode(text).ok()
    }

    fn from_value(value: &apim_expressions::Value) -> Option<Self> {
        match value {
            apim_expressions::Value::Bytes(_) => Some(value.to_body()),
            other => Self::from_text(&other.to_string()),
        }
    }
}

impl PolicyValue for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Option<Self> {
        match text.trim() {
            text if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
            text if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
            _ => None,
        }
    }

    fn from_value(value: &apim_expressions::Value) -> Option<Self> {
        value
            .as_bool()
            .or_else(|| Self::from_text(&value.to_string()))
    }
}

impl PolicyValue for i64 {
    const EXPECTED: &'static str = "an integer";

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn from_value(value: &apim_expressions::Value) -> Option<Self> {
        value
            .as_i64()
            .or_else(|| Self::from_text(&value.to_string()))
    }
}

/// An enum of keywords as a [`PolicyValue`].
macro_rules! keyword {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($variant),+ }

        impl $crate::compile::PolicyValue for $name {
            const EXPECTED: &'static str = concat!("one of" $(, " '", $text, "'")+);

            fn from_text(text: &str) -> Option<Self> {
                let text = text.trim();
                $(if text.eq_ignore_ascii_case($text) { return Some(Self::$variant); })+
                None
            }
        }
    };
}
pub(crate) use keyword;
