//! Arrays, lists, sets, dictionaries and what they have in common.

use super::table::{Member, Table, TableKind};
use crate::error::Fault;
use crate::evaluate::{Call, Machine, default_of, equal, key, sequence};
use crate::types::Type;
use crate::value::{Dictionary, Object, Value};

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "IEnumerable<T>",
        namespace: "System.Collections.Generic",
        ..Table::CLASS
    },
    Table {
        name: "ICollection<T>",
        namespace: "System.Collections.Generic",
        bases: &["IEnumerable<T>"],
        members: &[Member("int Count", count)],
        ..Table::CLASS
    },
    Table {
        name: "IReadOnlyCollection<T>",
        namespace: "System.Collections.Generic",
        bases: &["IEnumerable<T>"],
        members: &[Member("int Count", count)],
        ..Table::CLASS
    },
    Table {
        name: "IList<T>",
        namespace: "System.Collections.Generic",
        bases: &["ICollection<T>"],
        members: &[
            Member("T this[int index]", |_, a| item(a)),
            Member("int IndexOf(T item)", index_of),
        ],
        ..Table::CLASS
    },
    ARRAY,
    LIST,
    SET,
    PAIR,
    READ_ONLY_DICTIONARY,
    Table {
        name: "IDictionary<TKey, TValue>",
        namespace: "System.Collections.Generic",
        bases: &["IReadOnlyDictionary<TKey, TValue>"],
        members: DICTIONARY.members,
        ..Table::CLASS
    },
    DICTIONARY,
];

fn count(machine: &mut Machine<'_>, call: &mut Call<'_>) -> Result<Value, Fault> {
    let length = match &call.values[0] {
        Value::Bytes(bytes) => bytes.lock().len(),
        Value::Object(object) => match &*object.0 {
            Object::Items(items) => items.values.lock().len(),
            Object::Dictionary(dictionary) => dictionary.entries.lock().len(),
            _ => sequence::collect(machine, &call.value(0))?.len(),
        },
        other => sequence::collect(machine, &other.clone())?.len(),
    };
    Ok(Value::int(i32::try_from(length).unwrap_or(i32::MAX)))
}

fn outside() -> Fault {
    Fault::new(
        "IndexOutOfRangeException",
        "Index was outside the bounds of the array.",
    )
}

fn out_of_list() -> Fault {
    Fault::new(
        "ArgumentOutOfRangeException",
        "Index was out of range. Must be non-negative and less than the size of the collection. (Parameter 'index')",
    )
}

fn item(call: &Call<'_>) -> Result<Value, Fault> {
    let index = usize::try_from(call.int(1)?).ok();
    match &call.values[0] {
        Value::Bytes(bytes) => index
            .and_then(|index| bytes.lock().get(index).copied())
            .map(|byte| Value::Number(crate::value::Number::Byte(byte)))
            .ok_or_else(outside),
        Value::Object(object) => match &*object.0 {
            Object::Items(items) => {
                let found = index.and_then(|index| items.values.lock().get(index).cloned());
                found.ok_or_else(|| match items.kind {
                    crate::value::ItemsKind::Array => outside(),
                    _ => out_of_list(),
                })
            }
            _ => Err(Fault::null()),
        },
        _ => Err(Fault::null()),
    }
}

fn set_item(_: &mut Machine<'_>, call: &mut Call<'_>) -> Result<Value, Fault> {
    let index = usize::try_from(call.int(1)?).map_err(|_| outside())?;
    match &call.values[0] {
        Value::Bytes(bytes) => {
            let byte = call.int(2)?;
            let mut bytes = bytes.lock();
            *bytes.get_mut(index).ok_or_else(outside)? = u8::try_from(byte).unwrap_or_default();
        }
        Value::Object(object) => {
            if let Object::Items(items) = &*object.0 {
                let mut values = items.values.lock();
                let place = values.get_mut(index).ok_or_else(outside)?;
                let old = std::mem::replace(place, call.values[2].clone());
                drop(values);
                drop(old);
            }
        }
        _ => return Err(Fault::null()),
    }
    Ok(Value::Null)
}

fn index_of(machine: &mut Machine<'_>, call: &mut Call<'_>) -> Result<Value, Fault> {
    let wanted = call.value(1);
    let all = sequence::collect(machine, &call.value(0))?;
    let at = all.iter().position(|value| equal(value, &wanted));
    Ok(Value::int(
        at.and_then(|at| i32::try_from(at).ok()).unwrap_or(-1),
    ))
}

const ARRAY: Table = Table {
    name: "Array<T>",
    namespace: "System",
    bases: &["IList<T>"],
    members: &[
        Member("int Length", count),
        Member("void set_Item(int index, T value)", set_item),
        Member("T[] Clone()", |m, a| {
            let all = sequence::collect(m, &a.value(0))?;
            Ok(sequence::array(a.kind(0), all))
        }),
        Member("static int IndexOf<U>(U[] array, U value)", index_of),
        Member(
            "static bool Exists<U>(U[] array, Func<U, bool> match)",
            |m, a| {
                for value in sequence::collect(m, &a.value(0))? {
                    if m.invoke(&a.value(1), &[value])?.as_bool() == Some(true) {
                        return Ok(true.into());
                    }
                }
                Ok(false.into())
            },
        ),
        Member(
            "static U Find<U>(U[] array, Func<U, bool> match)",
            |m, a| {
                for value in sequence::collect(m, &a.value(0))? {
                    if m.invoke(&a.value(1), std::slice::from_ref(&value))?
                        .as_bool()
                        == Some(true)
                    {
                        return Ok(value);
                    }
                }
                Ok(default_of(&a.kind(0)))
            },
        ),
        Member("static void Reverse<U>(U[] array)", |m, a| {
            let mut all = sequence::collect(m, &a.value(0))?;
            all.reverse();
            write_all(&a.value(0), 0, &all)
        }),
        Member("static void Sort<U>(U[] array)", |m, a| {
            let mut all = sequence::collect(m, &a.value(0))?;
            m.charge(all.len().saturating_mul(20))?;
            all.sort_by(|a, b| sequence::comparison(a, b).unwrap_or(std::cmp::Ordering::Equal));
            write_all(&a.value(0), 0, &all)
        }),
        Member(
            "static void Copy<U>(U[] source, U[] target, int length)",
            |m, a| {
                let all = sequence::collect(m, &a.value(0))?;
                let length = a.count(2, "length")?;
                let part = all.get(..length).ok_or_else(too_short)?;
                write_all(&a.value(1), 0, part)
            },
        ),
        Member(
            "static void Copy<U>(U[] source, int from, U[] target, int to, int length)",
            |m, a| {
                let all = sequence::collect(m, &a.value(0))?;
                let (from, to, length) = (
                    a.count(1, "sourceIndex")?,
                    a.count(3, "destinationIndex")?,
                    a.count(4, "length")?,
                );
                let part = all
                    .get(from..)
                    .and_then(|rest| rest.get(..length))
                    .ok_or_else(too_short)?;
                write_all(&a.value(2), to, part)
            },
        ),
    ],
    ..Table::CLASS
};

fn too_short() -> Fault {
    Fault::argument(
        "Source array was not long enough. Check the source index, length, and the array's lower bounds.",
    )
}

fn write_all(target: &Value, at: usize, values: &[Value]) -> Result<Value, Fault> {
    match target {
        Value::Bytes(bytes) => {
            let mut bytes = bytes.lock();
            let places = bytes
                .get_mut(at..)
                .and_then(|rest| rest.get_mut(..values.len()))
                .ok_or_else(too_short)?;
            for (place, value) in places.iter_mut().zip(values) {
                *place = value
                    .as_i64()
                    .and_then(|n| u8::try_from(n).ok())
                    .unwrap_or_default();
            }
        }
        Value::Object(object) => {
            if let Object::Items(items) = &*object.0 {
                let mut known = items.values.lock();
                let places = known
                    .get_mut(at..)
                    .and_then(|rest| rest.get_mut(..values.len()))
                    .ok_or_else(too_short)?;
                places.clone_from_slice(values);
            }
        }
        _ => return Err(Fault::argument_null("destinationArray")),
    }
    Ok(Value::Null)
}

/// Changes a list in place.
fn change<R>(
    call: &Call<'_>,
    part: impl FnOnce(&mut Vec<Value>) -> Result<R, Fault>,
) -> Result<R, Fault> {
    match &*call.object(0)? {
        Object::Items(items) => part(&mut items.values.lock()),
        _ => Err(Fault::null()),
    }
}

const LIST: Table = Table {
    name: "List<T>",
    namespace: "System.Collections.Generic",
    bases: &["IList<T>"],
    members: &[
        Member("new()", |_, a| Ok(sequence::list(a.kind(0), Vec::new()))),
        Member("new(int capacity)", |_, a| {
            Ok(sequence::list(a.kind(0), Vec::new()))
        }),
        Member("new(IEnumerable<T> items)", |m, a| {
            let all = sequence::collect(m, &a.value(0))?;
            Ok(sequence::list(a.kind(0), all))
        }),
        Member("void Add(T item)", |m, a| {
            m.allocate(24)?;
            let value = a.value(1);
            change(a, |all| {
                all.push(value);
                Ok(Value::Null)
            })
        }),
        Member("void AddRange(IEnumerable<T> items)", |m, a| {
            let more = sequence::collect(m, &a.value(1))?;
            change(a, |all| {
                all.extend(more);
                Ok(Value::Null)
            })
        }),
        Member("void Insert(int index, T item)", |m, a| {
            m.allocate(24)?;
            let (index, value) = (a.count(1, "index")?, a.value(2));
            change(a, |all| {
                if index > all.len() {
                    return Err(out_of_list());
                }
                m.charge(all.len() / 16)?;
                all.insert(index, value);
                Ok(Value::Null)
            })
        }),
        Member("bool Remove(T item)", |m, a| {
            let wanted = a.value(1);
            change(a, |all| {
                m.charge(all.len())?;
                let at = all.iter().position(|value| equal(value, &wanted));
                if let Some(at) = at {
                    all.remove(at);
                }
                Ok(at.is_some().into())
            })
        }),
        Member("void RemoveAt(int index)", |m, a| {
            let index = a.count(1, "index")?;
            change(a, |all| {
                if index >= all.len() {
                    return Err(out_of_list());
                }
                m.charge(all.len() / 16)?;
                all.remove(index);
                Ok(Value::Null)
            })
        }),
        Member("void Clear()", |_, a| {
            change(a, |all| {
                all.clear();
                Ok(Value::Null)
            })
        }),
        Member("void Reverse()", |m, a| {
            change(a, |all| {
                m.charge(all.len())?;
                all.reverse();
                Ok(Value::Null)
            })
        }),
        Member("void Sort()", |m, a| {
            change(a, |all| {
                m.charge(all.len().saturating_mul(20))?;
                all.sort_by(|a, b| sequence::comparison(a, b).unwrap_or(std::cmp::Ordering::Equal));
                Ok(Value::Null)
            })
        }),
        Member("bool Exists(Func<T, bool> match)", |m, a| {
            for value in sequence::collect(m, &a.value(0))? {
                if m.invoke(&a.value(1), &[value])?.as_bool() == Some(true) {
                    return Ok(true.into());
                }
            }
            Ok(false.into())
        }),
        Member("T Find(Func<T, bool> match)", |m, a| {
            for value in sequence::collect(m, &a.value(0))? {
                if m.invoke(&a.value(1), std::slice::from_ref(&value))?
                    .as_bool()
                    == Some(true)
                {
                    return Ok(value);
                }
            }
            Ok(default_of(&a.kind(0)))
        }),
        Member("void ForEach(Action<T> action)", |m, a| {
            for value in sequence::collect(m, &a.value(0))? {
                m.invoke(&a.value(1), &[value])?;
            }
            Ok(Value::Null)
        }),
        Member("void set_Item(int index, T value)", set_item),
    ],
    ..Table::CLASS
};

const SET: Table = Table {
    name: "HashSet<T>",
    namespace: "System.Collections.Generic",
    bases: &["ICollection<T>"],
    members: &[
        Member("new()", |m, a| sequence::set(m, a.kind(0), Vec::new())),
        Member("new(IEnumerable<T> items)", |m, a| {
            let all = sequence::collect(m, &a.value(0))?;
            sequence::set(m, a.kind(0), all)
        }),
        Member("bool Add(T item)", |m, a| {
            m.allocate(24)?;
            let value = a.value(1);
            change(a, |all| {
                m.charge(all.len())?;
                let new = !all.iter().any(|known| equal(known, &value));
                if new {
                    all.push(value);
                }
                Ok(new.into())
            })
        }),
        Member("bool Remove(T item)", |m, a| {
            let wanted = a.value(1);
            change(a, |all| {
                m.charge(all.len())?;
                let at = all.iter().position(|value| equal(value, &wanted));
                if let Some(at) = at {
                    all.remove(at);
                }
                Ok(at.is_some().into())
            })
        }),
    ],
    ..Table::CLASS
};

const PAIR: Table = Table {
    name: "KeyValuePair<TKey, TValue>",
    namespace: "System.Collections.Generic",
    kind: TableKind::Struct,
    members: &[
        Member("new(TKey key, TValue value)", |_, a| {
            Ok(Value::object(Object::Pair(a.value(0), a.value(1))))
        }),
        Member("TKey Key", |_, a| match &*a.object(0)? {
            Object::Pair(key, _) => Ok(key.clone()),
            _ => Err(Fault::null()),
        }),
        Member("TValue Value", |_, a| match &*a.object(0)? {
            Object::Pair(_, value) => Ok(value.clone()),
            _ => Err(Fault::null()),
        }),
    ],
    ..Table::CLASS
};

const READ_ONLY_DICTIONARY: Table = Table {
    name: "IReadOnlyDictionary<TKey, TValue>",
    namespace: "System.Collections.Generic",
    bases: &["IReadOnlyCollection<KeyValuePair<TKey, TValue>>"],
    members: &[
        Member("TValue this[TKey key]", |m, a| {
            find(m, a)?.ok_or_else(|| {
                Fault::new(
                    "KeyNotFoundException",
                    format!(
                        "The given key '{}' was not present in the dictionary.",
                        a.value(1)
                    ),
                )
            })
        }),
        Member("bool ContainsKey(TKey key)", |m, a| {
            Ok(find(m, a)?.is_some().into())
        }),
        Member("bool TryGetValue(TKey key, out TValue value)", |m, a| {
            let found = find(m, a)?;
            let is_found = found.is_some();
            let none = default_of(&a.kind(1));
            a.set(2, found.unwrap_or(none));
            Ok(is_found.into())
        }),
        Member("IEnumerable<TKey> Keys", |m, a| halves(m, a, true)),
        Member("IEnumerable<TValue> Values", |m, a| halves(m, a, false)),
    ],
    ..Table::CLASS
};

/// The value of a key, in a dictionary or in a part of `context` that is one.
pub(super) fn find(machine: &mut Machine<'_>, call: &Call<'_>) -> Result<Option<Value>, Fault> {
    let wanted = call.value(1);
    if wanted.is_null() {
        return Err(Fault::argument_null("key"));
    }
    machine.charge(2)?;
    match &*call.object(0)? {
        Object::Dictionary(dictionary) => Ok(key(&wanted).and_then(|key| {
            dictionary
                .entries
                .lock()
                .get(&key)
                .map(|(_, value)| value.clone())
        })),
        _ => super::context::look_up(machine, &call.value(0), &wanted),
    }
}

fn halves(machine: &mut Machine<'_>, call: &mut Call<'_>, keys: bool) -> Result<Value, Fault> {
    let mut all = Vec::new();
    for pair in sequence::collect(machine, &call.value(0))? {
        if let Value::Object(object) = &pair
            && let Object::Pair(key, value) = &*object.0
        {
            all.push(if keys { key.clone() } else { value.clone() });
        }
    }
    Ok(sequence::array(Type::Object, all))
}

const DICTIONARY: Table = Table {
    name: "Dictionary<TKey, TValue>",
    namespace: "System.Collections.Generic",
    bases: &["IDictionary<TKey, TValue>"],
    members: &[
        Member("new()", |_, a| {
            Ok(Value::object(Object::Dictionary(Dictionary {
                key: a.kind(0),
                value: a.kind(1),
                entries: parking_lot::Mutex::default(),
            })))
        }),
        Member("void Add(TKey key, TValue value)", |m, a| {
            if put(m, a)? {
                return Err(Fault::argument(format!(
                    "An item with the same key has already been added. Key: {}",
                    a.value(1)
                )));
            }
            Ok(Value::Null)
        }),
        Member("void set_Item(TKey key, TValue value)", |m, a| {
            let known = put(m, a)?;
            if known
                && let Object::Dictionary(dictionary) = &*a.object(0)?
                && let Some(key) = key(&a.value(1))
            {
                let old = dictionary
                    .entries
                    .lock()
                    .insert(key, (a.value(1), a.value(2)));
                drop(old);
            }
            Ok(Value::Null)
        }),
        Member("bool Remove(TKey key)", |_, a| {
            match (&*a.object(0)?, key(&a.value(1))) {
                (Object::Dictionary(dictionary), Some(key)) => {
                    let old = dictionary.entries.lock().shift_remove(&key);
                    Ok(old.is_some().into())
                }
                _ => Ok(false.into()),
            }
        }),
        Member("void Clear()", |_, a| match &*a.object(0)? {
            Object::Dictionary(dictionary) => {
                dictionary.entries.lock().clear();
                Ok(Value::Null)
            }
            _ => Err(Fault::null()),
        }),
    ],
    ..Table::CLASS
};

/// Adds an entry; whether the key was there already, in which case nothing
/// changes.
fn put(machine: &mut Machine<'_>, call: &Call<'_>) -> Result<bool, Fault> {
    let Some(wanted) = key(&call.value(1)) else {
        return Err(if call.value(1).is_null() {
            Fault::argument_null("key")
        } else {
            Fault::new(
                "NotSupportedException",
                "A key of this type is not known here.",
            )
        });
    };
    machine.allocate(96)?;
    match &*call.object(0)? {
        Object::Dictionary(dictionary) => {
            let mut entries = dictionary.entries.lock();
            let known = entries.contains_key(&wanted);
            if !known {
                entries.insert(wanted, (call.value(1), call.value(2)));
            }
            Ok(known)
        }
        _ => Err(Fault::null()),
    }
}
