//! Values: what stands in an attribute or between two tags.
//!
//! API Management reads the same text as itself, as C# or as the name of a
//! stored value. Here the type says which it is, so that text from a config
//! cannot turn into the other two.

/// How the parts of a [`Value`] are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Plain text.
    Literal,
    /// One C# expression.
    Expression,
    /// C# statements that return.
    Statements,
}

/// A piece of a [`Value`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// Text, in the language that the [`Form`] names.
    Text(String),
    /// The display name of a named value.
    NamedValue(String),
}

/// The value of an attribute, or a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Value {
    /// How the parts are read.
    pub form: Form,
    /// The pieces, one after the other.
    pub parts: Vec<Part>,
    /// The JSON pointer of the config value this was made from.
    pub pointer: Option<String>,
}

impl Value {
    fn new(form: Form, part: Part) -> Self {
        Self {
            form,
            parts: vec![part],
            pointer: None,
        }
    }

    /// Plain text.
    #[must_use]
    pub fn literal(text: impl Into<String>) -> Self {
        Self::new(Form::Literal, Part::Text(text.into()))
    }

    /// Plain text and named values, mixed: `Bearer {{token}}`.
    #[must_use]
    pub fn mixed(parts: impl IntoIterator<Item = Part>) -> Self {
        Self {
            form: Form::Literal,
            parts: parts.into_iter().collect(),
            pointer: None,
        }
    }

    /// Names the config value this was made from: errors name it too.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }
}

/// C# code. Text from a config belongs into it only through
/// [`csharp::string`](crate::csharp::string).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Expression(Value);

impl Expression {
    /// One expression, without the `@(` and `)` around it.
    #[must_use]
    pub fn new(code: impl Into<String>) -> Self {
        Self(Value::new(Form::Expression, Part::Text(code.into())))
    }

    /// Statements that return, without the `@{` and `}` around them.
    #[must_use]
    pub fn statements(code: impl Into<String>) -> Self {
        Self(Value::new(Form::Statements, Part::Text(code.into())))
    }

    /// More code, after what is there.
    #[must_use]
    pub fn then(mut self, code: impl Into<String>) -> Self {
        self.0.parts.push(Part::Text(code.into()));
        self
    }

    /// A named value, after the code that is there. API Management puts its
    /// text into the code as it is, so it usually stands between quotes.
    #[must_use]
    pub fn then_named_value(mut self, name: impl Into<String>) -> Self {
        self.0.parts.push(Part::NamedValue(name.into()));
        self
    }
}

/// A reference to a named value, by its display name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamedValue(Value);

impl NamedValue {
    /// The named value with this display name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(Value::new(Form::Literal, Part::NamedValue(name.into())))
    }
}

/// What can stand where a `T` is wanted: a literal of that type, or code that
/// yields one.
pub trait IntoValue<T: ?Sized> {
    /// As a value of the policy tree.
    fn into_value(self) -> Value;
}

/// A `T` that must be known before any request comes in: where API Management
/// takes no expression.
#[derive(Debug)]
pub struct Fixed<T: ?Sized>(std::marker::PhantomData<T>);

/// The types in whose place an expression may stand.
pub trait AllowsCode {}

/// A value with the pointer of the config value it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Located<V> {
    value: V,
    pointer: String,
}

/// Names the config value that a value was made from.
pub trait At: Sized {
    /// Errors about this value will name the config value at `pointer`, a
    /// JSON pointer.
    fn at(self, pointer: impl Into<String>) -> Located<Self> {
        Located {
            value: self,
            pointer: pointer.into(),
        }
    }
}

/// Names the entry of a config's list that each value was made from.
///
/// ```
/// # use policy_sdk::prelude::*;
/// let cors = Cors::new().allowed_origins(each_at("/allowOrigins", ["https://a.example"]));
/// ```
pub fn each_at<V: At>(
    pointer: impl Into<String>,
    values: impl IntoIterator<Item = V>,
) -> impl Iterator<Item = Located<V>> {
    let pointer = pointer.into();
    values
        .into_iter()
        .enumerate()
        .map(move |(index, value)| value.at(format!("{pointer}/{index}")))
}

impl<T: ?Sized, V: IntoValue<T>> IntoValue<T> for Located<V> {
    fn into_value(self) -> Value {
        self.value.into_value().at(self.pointer)
    }
}

impl<V: Into<Value>> From<Located<V>> for Value {
    fn from(located: Located<V>) -> Self {
        located.value.into().at(located.pointer)
    }
}

impl From<Expression> for Value {
    fn from(expression: Expression) -> Self {
        expression.0
    }
}

impl From<NamedValue> for Value {
    fn from(name: NamedValue) -> Self {
        name.0
    }
}

impl<T: AllowsCode + ?Sized> IntoValue<T> for Expression {
    fn into_value(self) -> Value {
        self.0
    }
}

impl<T: ?Sized> IntoValue<T> for NamedValue {
    fn into_value(self) -> Value {
        self.0
    }
}

impl IntoValue<str> for Value {
    fn into_value(self) -> Value {
        self
    }
}

macro_rules! literals {
    ($($literal:ty => $kind:ty),* $(,)?) => {$(
        impl IntoValue<$kind> for $literal {
            fn into_value(self) -> Value {
                Value::literal(self.to_string())
            }
        }
        impl IntoValue<Fixed<$kind>> for $literal {
            fn into_value(self) -> Value {
                Value::literal(self.to_string())
            }
        }
        impl From<$literal> for Value {
            fn from(literal: $literal) -> Self {
                Self::literal(literal.to_string())
            }
        }
        impl At for $literal {}
    )*};
}

literals! {
    &str => str,
    String => str,
    &String => str,
    u16 => u32,
    u32 => u32,
    u64 => u64,
    bool => bool,
}

impl At for Expression {}
impl At for NamedValue {}
impl AllowsCode for str {}
impl AllowsCode for u32 {}
impl AllowsCode for u64 {}
impl AllowsCode for bool {}
