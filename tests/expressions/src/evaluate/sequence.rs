//! Sequences: what can be walked, and the queries that are made while they are.

use std::sync::Arc;

use parking_lot::Mutex;

use super::convert;
use super::machine::Machine;
use super::operators::{items, order};
use crate::error::Fault;
use crate::types::Type;
use crate::value::{Content, ItemsKind, Json, Key, Number, Object, Opaque, Query, Step, Value};

/// How many queries may be made of each other.
const MAX_QUERIES: u16 = 64;

/// A new array.
pub(crate) fn array(element: Type, values: Vec<Value>) -> Value {
    if element == Type::Number(crate::value::Kind::Byte) {
        let bytes = values.iter().map(|value| {
            value
                .as_i64()
                .and_then(|n| u8::try_from(n).ok())
                .unwrap_or_default()
        });
        return Value::from_bytes(bytes.collect());
    }
    items(element, ItemsKind::Array, values)
}

/// A new list.
pub(crate) fn list(element: Type, values: Vec<Value>) -> Value {
    items(element, ItemsKind::List, values)
}

/// A new set, without what is there twice.
pub(crate) fn set(
    machine: &mut Machine<'_>,
    element: Type,
    values: Vec<Value>,
) -> Result<Value, Fault> {
    let values = distinct(machine, values)?;
    Ok(items(element, ItemsKind::HashSet, values))
}

/// An array of strings.
pub(crate) fn strings<S: Into<Arc<str>>>(texts: impl IntoIterator<Item = S>) -> Value {
    let values = texts.into_iter().map(|text| Value::String(text.into()));
    array(Type::String, values.collect())
}

/// A query of a sequence.
pub(crate) fn query(machine: &mut Machine<'_>, source: Value, step: Step) -> Result<Value, Fault> {
    if source.is_null() {
        return Err(Fault::argument_null("source"));
    }
    machine.allocate(64)?;
    let length = match &source {
        Value::Object(Opaque(object)) => match &**object {
            Object::Query(query) => query.length + 1,
            _ => 1,
        },
        _ => 1,
    };
    if length > MAX_QUERIES {
        return Err(Fault::limit("Too many queries are made of each other"));
    }
    Ok(Value::object(Object::Query(Query {
        source,
        step,
        length,
    })))
}

/// All items of a sequence.
pub(crate) fn collect(machine: &mut Machine<'_>, source: &Value) -> Result<Vec<Value>, Fault> {
    let mut walk = Walk::of(machine, source)?;
    let mut values = Vec::new();
    while let Some(value) = walk.next(machine)? {
        machine.allocate(24)?;
        values.push(value);
    }
    Ok(values)
}

/// A walk along a sequence.
pub(crate) enum Walk {
    Items(Arc<Object>, usize, usize),
    Bytes(Arc<Mutex<Vec<u8>>>, usize),
    Values(std::vec::IntoIter<Value>),
    /// A query, the walk of its source, and how far it is.
    Query(Arc<Object>, Box<Walk>, Progress),
}

/// How far a query is.
#[derive(Default)]
pub(crate) struct Progress {
    index: usize,
    begun: bool,
    inner: Option<Box<Walk>>,
}

impl Walk {
    /// Begins to walk.
    pub(crate) fn of(machine: &mut Machine<'_>, source: &Value) -> Result<Self, Fault> {
        machine.charge(1)?;
        match source {
            Value::Null => Err(Fault::argument_null("source")),
            Value::Bytes(bytes) => Ok(Self::Bytes(bytes.clone(), 0)),
            Value::String(text) => {
                machine.allocate(text.len() * 24)?;
                Ok(values(text.encode_utf16().map(Value::Char).collect()))
            }
            Value::Json(Json(token)) => {
                let children = match token.content() {
                    Content::Object(entries) => {
                        machine.charge(entries.len())?;
                        entries
                            .keys()
                            .filter_map(|name| token.property(name))
                            .collect()
                    }
                    Content::Array(items) => items,
                    Content::Property(_, value) => vec![value],
                    _ => Vec::new(),
                };
                machine.allocate(children.len() * 24)?;
                Ok(values(children.into_iter().map(Value::json).collect()))
            }
            Value::Object(Opaque(object)) => Self::of_object(machine, object, source),
            _ => Err(Fault::invalid("This is no sequence.")),
        }
    }

    fn of_object(
        machine: &mut Machine<'_>,
        object: &Arc<Object>,
        source: &Value,
    ) -> Result<Self, Fault> {
        match &**object {
            Object::Items(items) => {
                let length = items.values.lock().len();
                Ok(Self::Items(object.clone(), 0, length))
            }
            Object::Dictionary(dictionary) => {
                let pairs: Vec<Value> = dictionary
                    .entries
                    .lock()
                    .values()
                    .map(|(key, value)| Value::object(Object::Pair(key.clone(), value.clone())))
                    .collect();
                machine.allocate(pairs.len() * 64)?;
                Ok(values(pairs))
            }
            Object::Query(query) => machine.deeper(|machine| match &query.step {
                Step::Distinct => {
                    let all = collect(machine, &query.source)?;
                    distinct(machine, all).map(values)
                }
                Step::Reverse => {
                    let mut all = collect(machine, &query.source)?;
                    all.reverse();
                    Ok(values(all))
                }
                Step::OrderBy(key, descending) => {
                    sorted(machine, &query.source, key, *descending).map(values)
                }
                Step::Zip(other, with) => {
                    let left = collect(machine, &query.source)?;
                    let right = collect(machine, other)?;
                    let mut pairs = Vec::with_capacity(left.len().min(right.len()));
                    for (a, b) in left.into_iter().zip(right) {
                        pairs.push(machine.invoke(with, &[a, b])?);
                    }
                    Ok(values(pairs))
                }
                _ => {
                    let inner = Self::of(machine, &query.source)?;
                    Ok(Self::Query(
                        object.clone(),
                        Box::new(inner),
                        Progress::default(),
                    ))
                }
            }),
            _ => match crate::members::enumerate(machine, source)? {
                Some(all) => Ok(values(all)),
                None => Err(Fault::invalid("This is no sequence.")),
            },
        }
    }

    /// The next item.
    pub(crate) fn next(&mut self, machine: &mut Machine<'_>) -> Result<Option<Value>, Fault> {
        machine.charge(1)?;
        match self {
            Self::Values(values) => Ok(values.next()),
            Self::Bytes(bytes, index) => {
                let byte = bytes.lock().get(*index).copied();
                *index += 1;
                Ok(byte.map(|byte| Value::Number(Number::Byte(byte))))
            }
            Self::Items(object, index, length) => {
                let Object::Items(items) = &**object else {
                    return Ok(None);
                };
                let values = items.values.lock();
                if values.len() != *length {
                    return Err(Fault::invalid(
                        "Collection was modified; enumeration operation may not execute.",
                    ));
                }
                let value = values.get(*index).cloned();
                *index += 1;
                Ok(value)
            }
            Self::Query(object, source, progress) => {
                let object = object.clone();
                let Object::Query(query) = &*object else {
                    return Ok(None);
                };
                machine.deeper(|machine| advance(machine, &query.step, source, progress))
            }
        }
    }
}

fn values(values: Vec<Value>) -> Walk {
    Walk::Values(values.into_iter())
}

fn advance(
    machine: &mut Machine<'_>,
    step: &Step,
    source: &mut Walk,
    progress: &mut Progress,
) -> Result<Option<Value>, Fault> {
    match step {
        Step::Where(test) => {
            while let Some(item) = source.next(machine)? {
                if holds(machine, test, &item, &mut progress.index)? {
                    return Ok(Some(item));
                }
            }
            Ok(None)
        }
        Step::Select(with) => match source.next(machine)? {
            Some(item) => with_index(machine, with, &item, &mut progress.index).map(Some),
            None => Ok(None),
        },
        Step::SelectMany(with) => loop {
            if let Some(inner) = &mut progress.inner {
                if let Some(item) = inner.next(machine)? {
                    return Ok(Some(item));
                }
                progress.inner = None;
            }
            let Some(item) = source.next(machine)? else {
                return Ok(None);
            };
            let inner = machine.invoke(with, &[item])?;
            progress.inner = Some(Box::new(Walk::of(machine, &inner)?));
        },
        Step::Skip(count) => {
            while progress.index < *count {
                progress.index += 1;
                if source.next(machine)?.is_none() {
                    return Ok(None);
                }
            }
            source.next(machine)
        }
        Step::Take(count) => {
            if progress.index >= *count {
                return Ok(None);
            }
            progress.index += 1;
            source.next(machine)
        }
        Step::SkipWhile(test) => {
            while let Some(item) = source.next(machine)? {
                if progress.begun || !holds(machine, test, &item, &mut progress.index)? {
                    progress.begun = true;
                    return Ok(Some(item));
                }
            }
            Ok(None)
        }
        Step::TakeWhile(test) => match source.next(machine)? {
            Some(item) if !progress.begun && holds(machine, test, &item, &mut progress.index)? => {
                Ok(Some(item))
            }
            _ => {
                progress.begun = true;
                Ok(None)
            }
        },
        Step::Concat(more) => {
            if !progress.begun {
                if let Some(item) = source.next(machine)? {
                    return Ok(Some(item));
                }
                progress.begun = true;
                progress.inner = Some(Box::new(Walk::of(machine, more)?));
            }
            match &mut progress.inner {
                Some(inner) => inner.next(machine),
                None => Ok(None),
            }
        }
        Step::Cast(kind) => match source.next(machine)? {
            Some(item) if item.is_null() || convert::is_instance(&item, kind) => Ok(Some(item)),
            Some(item) => Err(Fault::cast(convert::type_of(&item), kind)),
            None => Ok(None),
        },
        Step::OfType(kind) => {
            while let Some(item) = source.next(machine)? {
                if convert::is_instance(&item, kind) {
                    return Ok(Some(item));
                }
            }
            Ok(None)
        }
        Step::Distinct | Step::Reverse | Step::OrderBy(..) | Step::Zip(..) => Ok(None),
    }
}

/// A function of an item, and of its index where it has two parameters.
fn with_index(
    machine: &mut Machine<'_>,
    function: &Value,
    item: &Value,
    index: &mut usize,
) -> Result<Value, Fault> {
    let at = i32::try_from(*index).unwrap_or(i32::MAX);
    *index += 1;
    machine.invoke(function, &[item.clone(), Value::int(at)])
}

fn holds(
    machine: &mut Machine<'_>,
    test: &Value,
    item: &Value,
    index: &mut usize,
) -> Result<bool, Fault> {
    Ok(with_index(machine, test, item, index)?.as_bool() == Some(true))
}

/// What makes values the same in a set: a key where there is one.
pub(crate) fn distinct(machine: &mut Machine<'_>, all: Vec<Value>) -> Result<Vec<Value>, Fault> {
    let mut keys: std::collections::HashSet<Key> = std::collections::HashSet::new();
    let mut kept: Vec<Value> = Vec::new();
    for value in all {
        machine.charge(2)?;
        if let Some(key) = convert::key(&value) {
            if keys.insert(key) {
                kept.push(value);
            }
        } else {
            machine.charge(kept.len())?;
            if !kept.iter().any(|known| convert::equal(known, &value)) {
                kept.push(value);
            }
        }
    }
    Ok(kept)
}

fn sorted(
    machine: &mut Machine<'_>,
    source: &Value,
    key: &Value,
    descending: bool,
) -> Result<Vec<Value>, Fault> {
    let mut keyed = Vec::new();
    for item in collect(machine, source)? {
        keyed.push((machine.invoke(key, std::slice::from_ref(&item))?, item));
    }
    let rounds = usize::try_from(keyed.len().checked_ilog2().unwrap_or(0)).unwrap_or(0);
    machine.charge(keyed.len() * (rounds + 1))?;
    let mut failed = false;
    keyed.sort_by(|(a, _), (b, _)| {
        let found = comparison(a, b);
        failed |= found.is_none();
        let found = found.unwrap_or(std::cmp::Ordering::Equal);
        if descending { found.reverse() } else { found }
    });
    if failed {
        return Err(Fault::invalid(
            "Failed to compare two elements in the array.",
        ));
    }
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}

/// How two values are sorted; null comes first, texts by their characters
/// without regard to case at first, as the invariant culture has it.
pub(crate) fn comparison(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Value::Null, Value::Null) => Some(std::cmp::Ordering::Equal),
        (Value::Null, _) => Some(std::cmp::Ordering::Less),
        (_, Value::Null) => Some(std::cmp::Ordering::Greater),
        (Value::String(a), Value::String(b)) => Some(crate::members::compare_text(a, b)),
        (Value::Json(Json(a)), Value::Json(Json(b))) => match (a.content(), b.content()) {
            (Content::String(a), Content::String(b)) => Some(crate::members::compare_text(&a, &b)),
            (Content::Integer(a), Content::Integer(b)) => Some(a.cmp(&b)),
            (Content::Date(a), Content::Date(b)) => Some(a.ticks.cmp(&b.ticks)),
            (Content::Float(a), Content::Float(b)) => a.partial_cmp(&b),
            _ => None,
        },
        (Value::Guid(a), Value::Guid(b)) => Some(a.cmp(b)),
        _ => order(a, b),
    }
}
