//! How a table is written, and what its functions read their arguments with.

use std::sync::Arc;

use crate::error::Fault;
use crate::evaluate::{Call, Run};
use crate::types::Type;
use crate::value::{Json, Object, Opaque, Token, Value};

/// A type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    /// Its name, with type parameters: `List<T>`.
    pub(crate) name: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) kind: TableKind,
    /// What it derives from, besides `object`.
    pub(crate) bases: &'static [&'static str],
    /// The members of an enumeration.
    pub(crate) values: &'static [&'static str],
    pub(crate) members: &'static [Member],
}

/// What a type is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableKind {
    Class,
    Struct,
    Enumeration,
}

/// A signature as C# writes it (`static` and `this` as there, `T this[…]` for
/// an indexer, `set_Name` for what an assignment calls), and what it does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member(pub(crate) &'static str, pub(crate) Run);

impl Table {
    pub(crate) const CLASS: Self = Self {
        name: "",
        namespace: "",
        kind: TableKind::Class,
        bases: &[],
        values: &[],
        members: &[],
    };
}

impl Call<'_> {
    pub(crate) fn value(&self, index: usize) -> Value {
        self.values.get(index).cloned().unwrap_or_default()
    }

    /// A text that must not be null.
    pub(crate) fn text(&self, index: usize) -> Result<Arc<str>, Fault> {
        match self.values.get(index) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) if !other.is_null() => Ok(other.to_string().into()),
            _ => Err(Fault::argument_null("value")),
        }
    }

    /// A text, null as nothing.
    pub(crate) fn text_or_empty(&self, index: usize) -> Arc<str> {
        self.text(index).unwrap_or_else(|_| "".into())
    }

    pub(crate) fn int(&self, index: usize) -> Result<i64, Fault> {
        match self.values.get(index) {
            Some(Value::Char(unit)) => Ok((*unit).into()),
            Some(value) => value.as_i64().ok_or_else(Fault::null),
            None => Err(Fault::null()),
        }
    }

    /// An integer that counts or points into something.
    pub(crate) fn count(&self, index: usize, name: &str) -> Result<usize, Fault> {
        usize::try_from(self.int(index)?).map_err(|_| Fault::out_of_range(name))
    }

    pub(crate) fn double(&self, index: usize) -> Result<f64, Fault> {
        match self.values.get(index) {
            Some(Value::Number(number)) => Ok(number.as_double()),
            _ => Err(Fault::null()),
        }
    }

    pub(crate) fn bool(&self, index: usize) -> bool {
        self.values.get(index).and_then(Value::as_bool) == Some(true)
    }

    pub(crate) fn unit(&self, index: usize) -> Result<u16, Fault> {
        match self.values.get(index) {
            Some(Value::Char(unit)) => Ok(*unit),
            _ => Err(Fault::null()),
        }
    }

    pub(crate) fn bytes(&self, index: usize) -> Result<Vec<u8>, Fault> {
        match self.values.get(index) {
            Some(Value::Bytes(bytes)) => Ok(bytes.lock().clone()),
            _ => Err(Fault::argument_null("bytes")),
        }
    }

    pub(crate) fn token(&self, index: usize) -> Result<Token, Fault> {
        match self.values.get(index) {
            Some(Value::Json(Json(token))) => Ok(token.clone()),
            _ => Err(Fault::argument_null("token")),
        }
    }

    pub(crate) fn object(&self, index: usize) -> Result<Arc<Object>, Fault> {
        match self.values.get(index) {
            Some(Value::Object(Opaque(object))) => Ok(object.clone()),
            _ => Err(Fault::null()),
        }
    }

    /// The name of an enumeration's member.
    pub(crate) fn member(&self, index: usize) -> &'static str {
        match self.values.get(index) {
            Some(Value::Object(Opaque(object))) => match &**object {
                Object::Enum(_, name) => name,
                _ => "",
            },
            _ => "",
        }
    }

    /// A type argument.
    pub(crate) fn kind(&self, index: usize) -> Type {
        self.types.get(index).cloned().unwrap_or(Type::Object)
    }

    /// Writes an `out` parameter.
    pub(crate) fn set(&mut self, index: usize, value: Value) {
        if let Some(place) = self.values.get_mut(index) {
            *place = value;
        }
    }
}
