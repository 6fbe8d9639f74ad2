//! Newtonsoft's `JToken` and what derives from it, and `JsonConvert`.

use super::json_path;
use super::object::enumerated;
use super::table::{Member, Table, TableKind};
use crate::error::Fault;
use crate::evaluate::{Call, Conversion, Machine, is_instance, json_kind, sequence, to_json};
use crate::types::Type;
use crate::value::{Content, Json, Object, Opaque, Place, Token, Value};

pub(super) const TABLES: &[Table] = &[
    TOKEN,
    Table {
        name: "JContainer",
        namespace: "Newtonsoft.Json.Linq",
        bases: &["JToken"],
        members: &[
            Member("int Count", |_, a| {
                let length = a.token(0)?.with(|content| match content {
                    Content::Object(entries) => entries.len(),
                    Content::Array(items) => items.len(),
                    _ => 1,
                });
                Ok(Value::int(i32::try_from(length).unwrap_or(i32::MAX)))
            }),
            Member("void RemoveAll()", |_, a| {
                a.token(0)?.clear();
                Ok(Value::Null)
            }),
        ],
        ..Table::CLASS
    },
    OBJECT,
    ARRAY,
    Table {
        name: "JValue",
        namespace: "Newtonsoft.Json.Linq",
        bases: &["JToken"],
        members: &[
            Member("new(object value)", |_, a| {
                to_json(&a.value(0)).map(Value::json)
            }),
            Member("object Value", |_, a| Ok(plain(&a.token(0)?))),
            Member("static JValue CreateNull()", |_, _| {
                Ok(Value::json(Token::new(Content::Null)))
            }),
        ],
        ..Table::CLASS
    },
    PROPERTY,
    Table {
        name: "JTokenType",
        namespace: "Newtonsoft.Json.Linq",
        kind: TableKind::Enumeration,
        values: &[
            "None",
            "Object",
            "Array",
            "Constructor",
            "Property",
            "Comment",
            "Integer",
            "Float",
            "String",
            "Boolean",
            "Null",
            "Undefined",
            "Date",
            "Raw",
            "Bytes",
            "Guid",
            "Uri",
            "TimeSpan",
        ],
        ..Table::CLASS
    },
    Table {
        name: "Formatting",
        namespace: "Newtonsoft.Json",
        kind: TableKind::Enumeration,
        values: &["None", "Indented"],
        ..Table::CLASS
    },
    CONVERT,
];

const TOKEN: Table = Table {
    name: "JToken",
    namespace: "Newtonsoft.Json.Linq",
    bases: &["IEnumerable<JToken>"],
    members: &[
        Member("static JToken Parse(string json)", |m, a| {
            parse(m, a).map(Value::json)
        }),
        Member("static JToken FromObject(object value)", |m, a| {
            from_object(m, &a.value(0), 0).map(Value::json)
        }),
        Member(
            "static bool DeepEquals(JToken a, JToken b)",
            |m, a| match (a.token(0), a.token(1)) {
                (Ok(one), Ok(two)) => {
                    m.charge(one.write(false).len() / 8)?;
                    Ok(one.deep_equals(&two).into())
                }
                (one, two) => Ok((one.is_err() && two.is_err()).into()),
            },
        ),
        Member("JToken this[object key]", get),
        Member("void set_Item(object key, JToken value)", set),
        Member("JToken SelectToken(string path)", |m, a| {
            let found = json_path::select(m, &a.token(0)?, &a.text(1)?)?;
            if found.len() > 1 {
                return Err(Fault::new(
                    "JsonException",
                    "Path returned multiple tokens.",
                ));
            }
            Ok(found.into_iter().next().map_or(Value::Null, Value::json))
        }),
        Member(
            "JToken SelectToken(string path, bool errorWhenNoMatch)",
            |m, a| {
                let found = json_path::select(m, &a.token(0)?, &a.text(1)?)?;
                if found.len() > 1 {
                    return Err(Fault::new(
                        "JsonException",
                        "Path returned multiple tokens.",
                    ));
                }
                match found.into_iter().next() {
                    Some(token) => Ok(Value::json(token)),
                    None if a.bool(2) => Err(Fault::new("JsonException", "Path does not match.")),
                    None => Ok(Value::Null),
                }
            },
        ),
        Member("IEnumerable<JToken> SelectTokens(string path)", |m, a| {
            let found = json_path::select(m, &a.token(0)?, &a.text(1)?)?;
            Ok(tokens(found))
        }),
        Member("T Value<T>(object key)", |m, a| {
            let found = get(m, a)?;
            valued(m, found, &a.kind(0))
        }),
        Member("T Value<T>()", |m, a| {
            let value = a.value(0);
            valued(m, value, &a.kind(0))
        }),
        Member("T ToObject<T>()", |m, a| {
            let value = a.value(0);
            converted(m, value, &a.kind(0))
        }),
        Member("IEnumerable<JToken> Children()", children),
        Member("IEnumerable<T> Values<T>()", |m, a| {
            let mut all = Vec::new();
            for value in sequence::collect(m, &a.value(0))? {
                all.push(converted(m, value, &a.kind(0))?);
            }
            Ok(sequence::array(a.kind(0), all))
        }),
        Member("bool HasValues", |_, a| {
            Ok(a.token(0)?
                .with(|content| match content {
                    Content::Object(entries) => !entries.is_empty(),
                    Content::Array(items) => !items.is_empty(),
                    Content::Property(..) => true,
                    _ => false,
                })
                .into())
        }),
        Member("JTokenType Type", |_, a| {
            let kind = json_kind(&a.token(0)?.content());
            Ok(enumerated("JTokenType", kind))
        }),
        Member("JToken Parent", |_, a| Ok(parent(&a.token(0)?))),
        Member("JToken Root", |_, a| {
            let mut root = a.token(0)?;
            while let Some(container) = root.container() {
                root = container;
            }
            Ok(Value::json(root))
        }),
        Member("string Path", |m, a| {
            let mut path = String::new();
            let mut node = a.token(0)?;
            while let Some((container, place)) = node.place() {
                path = match place {
                    Place::Name(name) if path.is_empty() || path.starts_with('[') => {
                        format!("{name}{path}")
                    }
                    Place::Name(name) => format!("{name}.{path}"),
                    Place::Index(index) if path.is_empty() || path.starts_with('[') => {
                        format!("[{index}]{path}")
                    }
                    Place::Index(index) => format!("[{index}].{path}"),
                };
                node = container;
            }
            m.text(path)
        }),
        Member("JToken First", |m, a| {
            Ok(sequence::collect(m, &a.value(0))?
                .into_iter()
                .next()
                .unwrap_or_default())
        }),
        Member("JToken Last", |m, a| {
            Ok(sequence::collect(m, &a.value(0))?.pop().unwrap_or_default())
        }),
        Member("JToken DeepClone()", |m, a| {
            let token = a.token(0)?;
            m.allocate(token.write(false).len() * 2)?;
            Ok(Value::json(token.copy()))
        }),
        Member("void Remove()", |_, a| {
            let token = a.token(0)?;
            match token.place() {
                Some((container, Place::Name(name))) => container.remove(&name),
                Some((container, Place::Index(index))) => container.remove_at(index),
                None => return Err(Fault::invalid("The parent is missing.")),
            };
            Ok(Value::Null)
        }),
        Member("void Replace(JToken value)", |m, a| {
            let token = a.token(0)?;
            let with = attachable(m, &a.value(1))?;
            match token.place() {
                Some((container, Place::Name(name))) => container.set(&name, with)?,
                Some((container, Place::Index(index))) => container.replace_at(index, with)?,
                None => return Err(Fault::invalid("The parent is missing.")),
            }
            Ok(Value::Null)
        }),
        Member("string ToString(Formatting formatting)", |m, a| {
            let text = a.token(0)?.write(a.member(1) == "Indented");
            m.text(text)
        }),
    ],
    ..Table::CLASS
};

const OBJECT: Table = Table {
    name: "JObject",
    namespace: "Newtonsoft.Json.Linq",
    bases: &["JContainer"],
    members: &[
        Member("new()", |_, _| {
            Ok(Value::json(Token::new(Content::Object(
                indexmap::IndexMap::new(),
            ))))
        }),
        Member("new(params object[] content)", |m, a| {
            let object = Token::new(Content::Object(indexmap::IndexMap::new()));
            for value in sequence::collect(m, &a.value(0))? {
                m.allocate(64)?;
                add_property(m, &object, &value)?;
            }
            Ok(Value::json(object))
        }),
        Member("static JObject Parse(string json)", |m, a| {
            of_kind(parse(m, a)?, "JObject")
        }),
        Member("static JObject FromObject(object value)", |m, a| {
            let token = from_object(m, &a.value(0), 0)?;
            match token.class() {
                "JObject" => Ok(Value::json(token)),
                other => Err(Fault::argument(format!(
                    "Object serialized to {other}. JObject instance expected."
                ))),
            }
        }),
        Member("JToken this[string name]", |_, a| {
            let name = a.text(1)?;
            Ok(a.token(0)?.get(&name).map_or(Value::Null, Value::json))
        }),
        Member("void set_Item(string name, JToken value)", |m, a| {
            m.allocate(64)?;
            let value = attachable(m, &a.value(2))?;
            a.token(0)?.set(&a.text(1)?, value)?;
            Ok(Value::Null)
        }),
        Member("void Add(string name, JToken value)", |m, a| {
            m.allocate(64)?;
            let object = a.token(0)?;
            let name = a.text(1)?;
            if object.get(&name).is_some() {
                return Err(Fault::argument(format!(
                    "Can not add property {name} to Newtonsoft.Json.Linq.JObject. Property with the same name already exists on object."
                )));
            }
            object.set(&name, attachable(m, &a.value(2))?)?;
            Ok(Value::Null)
        }),
        Member("void Add(object property)", |m, a| {
            m.allocate(64)?;
            add_property(m, &a.token(0)?, &a.value(1))?;
            Ok(Value::Null)
        }),
        Member("bool Remove(string name)", |_, a| {
            let name = a.text(1)?;
            Ok(a.token(0)?.remove(&name).into())
        }),
        Member("bool ContainsKey(string name)", |_, a| {
            let name = a.text(1)?;
            Ok(a.token(0)?.get(&name).is_some().into())
        }),
        Member("bool TryGetValue(string name, out JToken value)", |_, a| {
            let name = a.text(1)?;
            let found = a.token(0)?.get(&name);
            a.set(2, found.clone().map_or(Value::Null, Value::json));
            Ok(found.is_some().into())
        }),
        Member("JToken GetValue(string name)", |_, a| {
            let name = a.text(1)?;
            Ok(a.token(0)?.get(&name).map_or(Value::Null, Value::json))
        }),
        Member(
            "JToken GetValue(string name, StringComparison comparison)",
            |m, a| {
                let name = a.text(1)?;
                let object = a.token(0)?;
                if let Some(found) = object.get(&name) {
                    return Ok(Value::json(found));
                }
                let ignore = a.member(2).ends_with("IgnoreCase");
                let names = names(m, &object)?;
                let alike = names
                    .iter()
                    .find(|known| super::text::same_text(known, &name, ignore));
                Ok(alike
                    .and_then(|known| object.get(known))
                    .map_or(Value::Null, Value::json))
            },
        ),
        Member("JProperty Property(string name)", |_, a| {
            let name = a.text(1)?;
            Ok(a.token(0)?.property(&name).map_or(Value::Null, Value::json))
        }),
        Member("IEnumerable<JProperty> Properties()", children),
        Member(
            "IEnumerable<KeyValuePair<string, JToken>> __pairs()",
            |m, a| {
                let object = a.token(0)?;
                let mut pairs = Vec::new();
                for name in names(m, &object)? {
                    let value = object.get(&name).map_or(Value::Null, Value::json);
                    pairs.push(Value::object(Object::Pair(Value::String(name), value)));
                }
                Ok(sequence::array(Type::Object, pairs))
            },
        ),
        Member("IEnumerable<JToken> PropertyValues()", |m, a| {
            let object = a.token(0)?;
            let names = names(m, &object)?;
            Ok(tokens(
                names.iter().filter_map(|name| object.get(name)).collect(),
            ))
        }),
        Member("void Merge(object content)", |m, a| {
            let from = to_json(&a.value(1))?;
            m.allocate(from.write(false).len() * 4)?;
            merge(&a.token(0)?, &from)?;
            Ok(Value::Null)
        }),
    ],
    ..Table::CLASS
};

const ARRAY: Table = Table {
    name: "JArray",
    namespace: "Newtonsoft.Json.Linq",
    bases: &["JContainer"],
    members: &[
        Member("new()", |_, _| {
            Ok(Value::json(Token::new(Content::Array(Vec::new()))))
        }),
        Member("new(params object[] content)", |m, a| {
            let array = Token::new(Content::Array(Vec::new()));
            let mut all = sequence::collect(m, &a.value(0))?;
            // One sequence is its items.
            if let [one] = all.as_slice()
                && matches!(one, Value::Object(_) | Value::Json(_))
                && one_sequence(one)
            {
                let one = one.clone();
                all = sequence::collect(m, &one)?;
            }
            for value in all {
                m.allocate(64)?;
                array.push(attachable(m, &value)?)?;
            }
            Ok(Value::json(array))
        }),
        Member("static JArray Parse(string json)", |m, a| {
            of_kind(parse(m, a)?, "JArray")
        }),
        Member("static JArray FromObject(object value)", |m, a| {
            let token = from_object(m, &a.value(0), 0)?;
            match token.class() {
                "JArray" => Ok(Value::json(token)),
                other => Err(Fault::argument(format!(
                    "Object serialized to {other}. JArray instance expected."
                ))),
            }
        }),
        Member("JToken this[int index]", get),
        Member("void set_Item(int index, JToken value)", set),
        Member("void Add(JToken value)", |m, a| {
            m.allocate(64)?;
            a.token(0)?.push(attachable(m, &a.value(1))?)?;
            Ok(Value::Null)
        }),
        Member("void Insert(int index, JToken value)", |m, a| {
            m.allocate(64)?;
            a.token(0)?
                .insert(a.count(1, "index")?, attachable(m, &a.value(2))?)?;
            Ok(Value::Null)
        }),
        Member("void RemoveAt(int index)", |_, a| {
            if !a.token(0)?.remove_at(a.count(1, "index")?) {
                return Err(Fault::out_of_range("index"));
            }
            Ok(Value::Null)
        }),
        Member("void Clear()", |_, a| {
            a.token(0)?.clear();
            Ok(Value::Null)
        }),
    ],
    ..Table::CLASS
};

const PROPERTY: Table = Table {
    name: "JProperty",
    namespace: "Newtonsoft.Json.Linq",
    bases: &["JContainer"],
    members: &[
        Member("new(string name, object value)", |m, a| {
            m.allocate(64)?;
            let value = attachable(m, &a.value(1))?;
            let value = if value.container().is_some() {
                value.copy()
            } else {
                value
            };
            Ok(Value::json(Token::new(Content::Property(
                a.text(0)?,
                value,
            ))))
        }),
        Member("new(string name, params object[] content)", |m, a| {
            let array = Token::new(Content::Array(Vec::new()));
            for value in sequence::collect(m, &a.value(1))? {
                m.allocate(64)?;
                array.push(attachable(m, &value)?)?;
            }
            Ok(Value::json(Token::new(Content::Property(
                a.text(0)?,
                array,
            ))))
        }),
        Member("string Name", |_, a| match a.token(0)?.content() {
            Content::Property(name, _) => Ok(Value::String(name)),
            _ => Err(Fault::null()),
        }),
        Member("JToken Value", |_, a| match a.token(0)?.content() {
            Content::Property(_, value) => Ok(Value::json(value)),
            _ => Err(Fault::null()),
        }),
        Member("void set_Value(JToken value)", |m, a| {
            a.token(0)?.set_property(attachable(m, &a.value(1))?)?;
            Ok(Value::Null)
        }),
    ],
    ..Table::CLASS
};

const CONVERT: Table = Table {
    name: "JsonConvert",
    namespace: "Newtonsoft.Json",
    members: &[
        Member("static string SerializeObject(object value)", |m, a| {
            let text = from_object(m, &a.value(0), 0)?.write(false);
            m.text(text)
        }),
        Member(
            "static string SerializeObject(object value, Formatting formatting)",
            |m, a| {
                let text = from_object(m, &a.value(0), 0)?.write(a.member(1) == "Indented");
                m.text(text)
            },
        ),
        Member("static T DeserializeObject<T>(string json)", |m, a| {
            let token = parse(m, a)?;
            converted(m, Value::json(token), &a.kind(0))
        }),
    ],
    ..Table::CLASS
};

/// A value as JSON that another node is to hold: what that costs is paid, also
/// for the copy where one will be made.
fn attachable(machine: &mut Machine<'_>, value: &Value) -> Result<Token, Fault> {
    let token = to_json(value)?;
    machine.allocate(token.size().saturating_mul(64))?;
    Ok(token)
}

fn parse(machine: &mut Machine<'_>, call: &Call<'_>) -> Result<Token, Fault> {
    let text = call.text(0)?;
    machine.allocate(text.len().saturating_mul(4))?;
    Token::parse(&text)
}

pub(super) fn of_kind(token: Token, wanted: &str) -> Result<Value, Fault> {
    if token.class() == wanted {
        return Ok(Value::json(token));
    }
    Err(Fault::new(
        "JsonReaderException",
        format!(
            "Error reading {wanted} from JsonReader. Current JsonReader item is not {}: {}.",
            if wanted == "JArray" {
                "an array"
            } else {
                "an object"
            },
            json_kind(&token.content())
        ),
    ))
}

fn tokens(found: Vec<Token>) -> Value {
    sequence::array(
        Type::named("JToken"),
        found.into_iter().map(Value::json).collect(),
    )
}

fn children(machine: &mut Machine<'_>, call: &mut Call<'_>) -> Result<Value, Fault> {
    let all = sequence::collect(machine, &call.value(0))?;
    Ok(sequence::array(Type::named("JToken"), all))
}

fn names(machine: &mut Machine<'_>, object: &Token) -> Result<Vec<std::sync::Arc<str>>, Fault> {
    let names: Vec<_> = object.with(|content| match content {
        Content::Object(entries) => entries.keys().cloned().collect(),
        _ => Vec::new(),
    });
    machine.charge(names.len())?;
    Ok(names)
}

fn one_sequence(value: &Value) -> bool {
    match value {
        Value::Object(Opaque(object)) => matches!(&**object, Object::Items(_) | Object::Query(_)),
        _ => false,
    }
}

/// `token[key]`.
fn get(_: &mut Machine<'_>, call: &mut Call<'_>) -> Result<Value, Fault> {
    let token = call.token(0)?;
    match (token.content(), call.value(1)) {
        (Content::Object(entries), Value::String(name)) => {
            Ok(entries.get(&name).cloned().map_or(Value::Null, Value::json))
        }
        (Content::Array(items), Value::Number(index)) => index
            .as_integer()
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| items.get(index).cloned())
            .map(Value::json)
            .ok_or_else(|| Fault::out_of_range("index")),
        (Content::Object(_), key) => Err(Fault::argument(format!(
            "Accessed JObject values with invalid key value: {key}. Object property name expected."
        ))),
        (Content::Array(_), key) => Err(Fault::argument(format!(
            "Accessed JArray values with invalid key value: \"{key}\". Int32 array index expected."
        ))),
        (Content::Property(..), _) => Err(Fault::invalid(
            "Cannot access child value on Newtonsoft.Json.Linq.JProperty.",
        )),
        _ => Err(Fault::invalid(
            "Cannot access child value on Newtonsoft.Json.Linq.JValue.",
        )),
    }
}

fn set(machine: &mut Machine<'_>, call: &mut Call<'_>) -> Result<Value, Fault> {
    machine.allocate(64)?;
    let token = call.token(0)?;
    let value = attachable(machine, &call.value(2))?;
    match (token.class(), call.value(1)) {
        ("JObject", Value::String(name)) => token.set(&name, value)?,
        ("JArray", Value::Number(index)) => {
            let index = index
                .as_integer()
                .and_then(|index| usize::try_from(index).ok());
            let length = token.with(|content| match content {
                Content::Array(items) => items.len(),
                _ => 0,
            });
            let index = index
                .filter(|index| *index < length)
                .ok_or_else(|| Fault::out_of_range("index"))?;
            token.replace_at(index, value)?;
        }
        (class, _) => {
            return Err(Fault::invalid(format!(
                "Cannot set child value on Newtonsoft.Json.Linq.{class}."
            )));
        }
    }
    Ok(Value::Null)
}

fn parent(token: &Token) -> Value {
    match token.place() {
        Some((container, Place::Name(name))) if token.class() != "JProperty" => {
            container.property(&name).map_or(Value::Null, Value::json)
        }
        Some((container, _)) => Value::json(container),
        None => Value::Null,
    }
}

fn add_property(machine: &mut Machine<'_>, object: &Token, value: &Value) -> Result<(), Fault> {
    attachable(machine, value)?;
    let Value::Json(Json(token)) = value else {
        return Err(Fault::argument(
            "Can not add this to Newtonsoft.Json.Linq.JObject: it is no property.",
        ));
    };
    match token.content() {
        Content::Property(name, value) => {
            if object.get(&name).is_some() {
                return Err(Fault::argument(format!(
                    "Can not add property {name} to Newtonsoft.Json.Linq.JObject. Property with the same name already exists on object."
                )));
            }
            object.set(&name, value)
        }
        Content::Object(entries) => {
            for (name, value) in entries {
                object.set(&name, value)?;
            }
            Ok(())
        }
        _ => Err(Fault::argument(format!(
            "Can not add Newtonsoft.Json.Linq.{} to Newtonsoft.Json.Linq.JObject.",
            token.class()
        ))),
    }
}

fn merge(into: &Token, from: &Token) -> Result<(), Fault> {
    match (into.class(), from.content()) {
        ("JObject", Content::Object(entries)) => {
            for (name, value) in entries {
                match into.get(&name) {
                    Some(known) if known.class() == value.class() && known.class() != "JValue" => {
                        merge(&known, &value)?;
                    }
                    Some(_) if matches!(value.content(), Content::Null) => {}
                    _ => into.set(&name, value)?,
                }
            }
            Ok(())
        }
        ("JArray", Content::Array(items)) => items.into_iter().try_for_each(|item| into.push(item)),
        _ => Ok(()),
    }
}

/// What a JSON value is in .NET.
pub(super) fn plain(token: &Token) -> Value {
    match token.content() {
        Content::Null => Value::Null,
        Content::Bool(value) => value.into(),
        Content::Integer(value) => value.into(),
        Content::Float(value) => value.into(),
        Content::String(text) => Value::String(text),
        Content::Date(date) => Value::DateTime(date),
        _ => Value::json(token.clone()),
    }
}

fn fitting(value: Value, kind: &Type) -> Result<Value, Fault> {
    match &value {
        Value::Null => Ok(crate::evaluate::default_of(kind)),
        Value::Json(Json(token)) if *kind == Type::Object => Ok(plain(token)),
        other if is_instance(other, kind) => Ok(value),
        other => Err(Fault::cast(crate::evaluate::type_of(other), kind)),
    }
}

/// `Value<T>`: what is not there, and null, is the type's default.
fn valued(machine: &mut Machine<'_>, value: Value, kind: &Type) -> Result<Value, Fault> {
    let none = match &value {
        Value::Json(Json(token)) => token.with(|content| matches!(content, Content::Null)),
        other => other.is_null(),
    };
    if none {
        return Ok(crate::evaluate::default_of(kind));
    }
    converted(machine, value, kind)
}

fn converted(machine: &mut Machine<'_>, value: Value, kind: &Type) -> Result<Value, Fault> {
    if let Type::Array(element) = kind {
        let mut all = Vec::new();
        for item in sequence::collect(machine, &value)? {
            all.push(converted(machine, item, element)?);
        }
        return Ok(sequence::array((**element).clone(), all));
    }
    let value = match kind {
        Type::Named(..) | Type::Object => value,
        kind => machine.convert(&Conversion::FromJson(kind.clone()), value)?,
    };
    fitting(value, kind)
}

/// `FromObject` and `SerializeObject`: of what is plain data.
pub(super) fn from_object(
    machine: &mut Machine<'_>,
    value: &Value,
    depth: u16,
) -> Result<Token, Fault> {
    if depth > 32 {
        return Err(Fault::limit("The value nests too deeply for JSON"));
    }
    machine.allocate(64)?;
    let Value::Object(Opaque(object)) = value else {
        return match value {
            Value::Json(_) => Ok(attachable(machine, value)?.copy()),
            other => to_json(other),
        };
    };
    let whole = |pairs: Vec<(String, Token)>| -> Result<Token, Fault> {
        let object = Token::new(Content::Object(indexmap::IndexMap::new()));
        for (name, value) in pairs {
            object.set(&name, value)?;
        }
        Ok(object)
    };
    match &**object {
        Object::Anonymous(names, values) => {
            let mut pairs = Vec::new();
            for (name, value) in names.iter().zip(values) {
                pairs.push((name.to_string(), from_object(machine, value, depth + 1)?));
            }
            whole(pairs)
        }
        Object::Pair(key, value) => {
            let pairs = vec![
                ("Key".to_owned(), from_object(machine, key, depth + 1)?),
                ("Value".to_owned(), from_object(machine, value, depth + 1)?),
            ];
            whole(pairs)
        }
        Object::Dictionary(dictionary) => {
            let entries: Vec<(Value, Value)> =
                dictionary.entries.lock().values().cloned().collect();
            let mut pairs = Vec::new();
            for (key, value) in entries {
                pairs.push((key.to_string(), from_object(machine, &value, depth + 1)?));
            }
            whole(pairs)
        }
        Object::Items(_) | Object::Query(_) => {
            let array = Token::new(Content::Array(Vec::new()));
            for value in sequence::collect(machine, value)? {
                array.push(from_object(machine, &value, depth + 1)?)?;
            }
            Ok(array)
        }
        Object::Uri(_) => to_json(&value.to_string().into()),
        Object::Part(part) if super::context::is_text_map(*part) => {
            let mut pairs = Vec::new();
            for pair in sequence::collect(machine, value)? {
                if let Value::Object(Opaque(pair)) = &pair
                    && let Object::Pair(key, value) = &**pair
                {
                    pairs.push((key.to_string(), from_object(machine, value, depth + 1)?));
                }
            }
            whole(pairs)
        }
        other => Err(Fault::new(
            "NotSupportedException",
            format!(
                "A value of type '{}' as JSON is not known here.",
                other.class()
            ),
        )),
    }
}
