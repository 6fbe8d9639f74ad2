//! The functions that make code and named values.
//!
//! Their code and names are looked up among the strings that stand in the
//! template. So nothing that comes from a config or an API, however it is
//! joined, filtered or passed on within Tera, can be taken for either: at most
//! it chooses among what the template's author wrote. Values get into code as
//! C# strings only ([`crate::code`]).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policy_sdk::{Form, Part};
use tera::value::ValueKind;
use tera::{Error, Kwargs, State, Tera, Value};

use crate::code::{self, Argument};
use crate::marks;

/// What stands in the place of a mark in the result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Code {
    /// An expression or statements.
    CSharp {
        /// Which of the two.
        form: Form,
        /// The code.
        parts: Vec<Part>,
    },
    /// A named value.
    NamedValue(String),
}

/// What the functions made while one template ran.
#[derive(Debug, Clone, Default)]
pub(crate) struct Codes(Arc<Mutex<Vec<Code>>>);

impl Codes {
    /// What one mark stands for.
    pub(crate) fn get(&self, index: usize) -> Option<Code> {
        self.lock().get(index).cloned()
    }

    fn add(&self, code: Code) -> Value {
        let mut codes = self.lock();
        codes.push(code);
        Value::safe_string(&marks::code(codes.len() - 1))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Code>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the functions known to Tera. `strings` are those of the template.
pub(crate) fn register(tera: &mut Tera, strings: BTreeSet<String>) -> Codes {
    let codes = Codes::default();
    let strings = Arc::new(strings);
    for (name, form) in [
        ("expression", Form::Expression),
        ("statements", Form::Statements),
    ] {
        let (codes, strings) = (codes.clone(), Arc::clone(&strings));
        tera.register_function(name, move |kwargs: Kwargs, _: &State| {
            csharp(&kwargs, form, &codes, &strings)
        });
    }
    let own = codes.clone();
    tera.register_function("named_value", move |kwargs: Kwargs, _: &State| {
        let name = written(&kwargs, "name", &strings)?;
        no_others(&kwargs, "name")?;
        Ok::<_, Error>(own.add(Code::NamedValue(name)))
    });
    // What it marks would be taken for the template's own markup.
    tera.register_filter("safe", |_: Value, _: Kwargs, _: &State| {
        Err::<Value, _>(Error::message(
            "values are inserted as text, so there is no `safe`: write elements in the template itself, and \
             code with `expression`",
        ))
    });
    codes
}

fn csharp(
    kwargs: &Kwargs,
    form: Form,
    codes: &Codes,
    strings: &BTreeSet<String>,
) -> Result<Value, Error> {
    let code = written(kwargs, "code", strings)?;
    if code.trim_start().starts_with('@') {
        return Err(Error::message(
            "write the code without `@(` and `)`, or `@{` and `}`, around it",
        ));
    }
    let arguments = kwargs
        .iter()
        .filter_map(|(key, value)| Some((key.as_str()?, value)))
        .filter(|(key, _)| *key != "code")
        .map(|(key, value)| Ok((key.to_owned(), argument(key, value, codes)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    let parts = code::place(&code, &arguments).map_err(Error::message)?;
    Ok(codes.add(Code::CSharp { form, parts }))
}

/// An argument that must be a string of the template.
fn written(kwargs: &Kwargs, key: &str, strings: &BTreeSet<String>) -> Result<String, Error> {
    let text = kwargs.must_get::<&str>(key)?;
    if strings.contains(text) {
        return Ok(text.to_owned());
    }
    Err(Error::message(match key {
        "code" => {
            "`code` must stand in the template as a string: a value cannot be code. Write \
             `code=\"…$name…\", name=…` to put a value into it"
        }
        _ => "`name` must stand in the template as a string: a value cannot choose a named value",
    }))
}

fn no_others(kwargs: &Kwargs, known: &str) -> Result<(), Error> {
    let other = kwargs
        .iter()
        .find_map(|(key, _)| key.as_str().filter(|key| *key != known));
    other.map_or(Ok(()), |other| {
        Err(Error::message(format!("there is no argument `{other}`")))
    })
}

fn argument(key: &str, value: &Value, codes: &Codes) -> Result<Argument, Error> {
    let wrong =
        |what: &str| Error::message(format!("`{key}` is {what}, which cannot stand in code"));
    Ok(match value.kind() {
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            match marks::code_index(text).and_then(|index| codes.get(index)) {
                Some(Code::NamedValue(name)) => Argument::NamedValue(name),
                Some(Code::CSharp { .. }) => return Err(wrong("an expression of its own")),
                None if text.contains(marks::ALL) => {
                    return Err(wrong("joined of several things; pass each for itself"));
                }
                None => Argument::Text(text.to_owned()),
            }
        }
        ValueKind::None => Argument::Plain("null".to_owned()),
        ValueKind::Undefined => return Err(wrong("undefined")),
        ValueKind::Array => return Err(wrong("a list")),
        ValueKind::Map => return Err(wrong("an object")),
        ValueKind::Bytes => return Err(wrong("bytes")),
        // `x-$n` must not become `x--1`.
        _ => match value.to_string() {
            negative if negative.starts_with('-') => Argument::Plain(format!("({negative})")),
            plain => Argument::Plain(plain),
        },
    })
}
