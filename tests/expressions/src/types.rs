//! The types of expressions.

use std::fmt;
use std::sync::Arc;

use crate::value::Kind;

/// A type, as the checker knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Void,
    /// The type of `null`.
    Null,
    Object,
    Bool,
    Char,
    Number(Kind),
    String,
    Array(Arc<Type>),
    Nullable(Arc<Type>),
    /// A type of the tables, with its type arguments.
    Named(&'static str, Arc<[Type]>),
    /// A type parameter of a member's signature.
    Parameter(Arc<str>),
    /// `Func<…>` and `Action<…>` (which returns nothing).
    Function(Arc<[Type]>, Arc<Type>),
    /// `new { … }`.
    Anonymous(Arc<[(Arc<str>, Type)]>),
}

impl Type {
    pub(crate) const INT: Self = Self::Number(Kind::Int);

    pub(crate) fn named(name: &'static str) -> Self {
        Self::Named(name, Arc::from([]))
    }

    pub(crate) fn array(element: Self) -> Self {
        Self::Array(Arc::new(element))
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, types: &[Self]| {
            for (index, one) in types.iter().enumerate() {
                if index > 0 {
                    f.write_str(", ")?;
                }
                one.fmt(f)?;
            }
            Ok(())
        };
        match self {
            Self::Void => f.write_str("void"),
            Self::Null => f.write_str("<null>"),
            Self::Object => f.write_str("object"),
            Self::Bool => f.write_str("bool"),
            Self::Char => f.write_str("char"),
            Self::Number(kind) => f.write_str(kind.name()),
            Self::String => f.write_str("string"),
            Self::Array(element) => write!(f, "{element}[]"),
            Self::Nullable(inner) => write!(f, "{inner}?"),
            Self::Named(name, arguments) if arguments.is_empty() => f.write_str(name),
            Self::Named(name, arguments) => {
                write!(f, "{name}<")?;
                list(f, arguments)?;
                f.write_str(">")
            }
            Self::Parameter(name) => f.write_str(name),
            Self::Function(parameters, result) => {
                let action = **result == Self::Void;
                f.write_str(if action { "Action" } else { "Func" })?;
                if action && parameters.is_empty() {
                    return Ok(());
                }
                f.write_str("<")?;
                list(f, parameters)?;
                if !action {
                    if !parameters.is_empty() {
                        f.write_str(", ")?;
                    }
                    result.fmt(f)?;
                }
                f.write_str(">")
            }
            Self::Anonymous(fields) => {
                f.write_str("<anonymous type: ")?;
                for (index, (name, kind)) in fields.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{kind} {name}")?;
                }
                f.write_str(">")
            }
        }
    }
}
