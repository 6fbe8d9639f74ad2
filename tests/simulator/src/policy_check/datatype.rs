//! The simple types of the policy schemas, and .NET's words for a value that
//! does not fit one.

use policy_document::expression;

/// The type of an attribute or of an element's text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Datatype {
    /// The schema's name for the type; empty for one without a name.
    pub(super) name: &'static str,
    pub(super) base: Base,
    /// Whether an expression may stand in its place.
    pub(super) expression: bool,
}

/// What a literal value must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Base {
    String,
    /// At least one character.
    NonEmpty,
    Pattern(&'static str),
    OneOf(&'static [&'static str]),
    Boolean,
    Int,
    Long,
    UnsignedInt,
    Integer,
    NonNegativeInteger,
    PositiveInteger,
    Double,
    Float,
    DateTime,
}

impl Datatype {
    /// Checks a literal or expression; the error is the end of .NET's message
    /// (`The value … is invalid according to its datatype …`).
    pub(super) fn check(&self, value: &str) -> Result<(), String> {
        if self.expression && expression::is_expression(value) {
            return Ok(());
        }
        let problem = match self.base.check(value) {
            Ok(()) => return Ok(()),
            Err(_) if self.expression => {
                format!(
                    "The value '{value}' is not valid according to any of the memberTypes of the union."
                )
            }
            Err(problem) => problem,
        };
        let name = match self.name {
            "" => "String",
            name => name,
        };
        let prefix = if self.base.is_built_in() && !self.expression && !name.contains(':') {
            "http://www.w3.org/2001/XMLSchema:"
        } else {
            ""
        };
        Err(format!(
            "The value '{value}' is invalid according to its datatype '{prefix}{name}' - {problem}"
        ))
    }
}

impl Base {
    fn is_built_in(self) -> bool {
        !matches!(self, Self::NonEmpty | Self::Pattern(_) | Self::OneOf(_))
    }

    fn check(self, value: &str) -> Result<(), String> {
        let trimmed = value.trim();
        let number = |valid: bool, name: &str| {
            if valid {
                Ok(())
            } else {
                Err(format!("The string '{value}' is not a valid {name} value."))
            }
        };
        match self {
            Self::NonEmpty if value.is_empty() => {
                Err("The actual length is less than the MinLength value.".to_owned())
            }
            Self::String | Self::NonEmpty => Ok(()),
            Self::Pattern(pattern) => {
                let matches = regex::Regex::new(&format!("^(?:{pattern})$"))
                    .is_ok_and(|pattern| pattern.is_match(value));
                if matches {
                    Ok(())
                } else {
                    Err("The Pattern constraint failed.".to_owned())
                }
            }
            Self::OneOf(values) if values.contains(&value) => Ok(()),
            Self::OneOf(_) => Err("The Enumeration constraint failed.".to_owned()),
            Self::Boolean => number(matches!(trimmed, "true" | "false" | "1" | "0"), "Boolean"),
            Self::Int => number(trimmed.parse::<i32>().is_ok(), "Int32"),
            Self::Long => number(trimmed.parse::<i64>().is_ok(), "Int64"),
            Self::UnsignedInt => number(trimmed.parse::<u32>().is_ok(), "UInt32"),
            Self::Integer => number(is_integer(trimmed), "Integer"),
            Self::NonNegativeInteger => {
                let valid = is_integer(trimmed) && (!trimmed.starts_with('-') || is_zero(trimmed));
                number(valid, "NonNegativeInteger")
            }
            Self::PositiveInteger => {
                let valid = is_integer(trimmed) && !trimmed.starts_with('-') && !is_zero(trimmed);
                number(valid, "PositiveInteger")
            }
            Self::Double => number(is_double(trimmed), "Double"),
            Self::Float => number(is_double(trimmed), "Single"),
            Self::DateTime => number(is_date_time(trimmed), "DateTime"),
        }
    }
}

/// `xs:integer`: any number of digits with an optional sign.
fn is_integer(value: &str) -> bool {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_zero(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b'0' | b'-' | b'+'))
}

/// `xs:double`: Rust's reader takes more spellings of what is no number.
fn is_double(value: &str) -> bool {
    matches!(value, "INF" | "-INF" | "NaN")
        || (value.parse::<f64>().is_ok()
            && value
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)))
}

/// `xs:dateTime`: `2024-01-31T00:00:00`, with fractions and a zone if wished.
fn is_date_time(value: &str) -> bool {
    const PATTERN: &str = r"^-?\d{4,}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-4]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-](0\d|1[0-4]):[0-5]\d)?$";
    regex::Regex::new(PATTERN).is_ok_and(|pattern| pattern.is_match(value))
}
