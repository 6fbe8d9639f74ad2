//! Checking a request body against the published contract of its kind.

use super::error::{ArmError, Detail};
use regex::Regex;
use serde_json::{Map, Value};

/// No upper bound.
pub(super) const ANY: usize = usize::MAX;

/// The fields that an object may have.
#[derive(Debug)]
pub(super) struct Contract {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    name: &'static str,
    required: bool,
    read_only: bool,
    kind: Kind,
}

/// What a field may hold. Lengths are counted in UTF-16 units, as .NET does.
#[derive(Debug)]
pub(super) enum Kind {
    Text {
        min: usize,
        max: usize,
        pattern: Option<&'static str>,
        one_of: &'static [&'static str],
    },
    Flag,
    Number {
        min: i64,
        max: i64,
    },
    Texts {
        max_items: usize,
        one_of: &'static [&'static str],
    },
    List {
        of: &'static Contract,
        min_items: usize,
        max_items: usize,
    },
    Nested(&'static Contract),
    /// Anything: maps with free keys, examples, polymorphic values.
    Free,
}

pub(super) const fn text(min: usize, max: usize) -> Kind {
    Kind::Text {
        min,
        max,
        pattern: None,
        one_of: &[],
    }
}

pub(super) const fn one_of(values: &'static [&'static str]) -> Kind {
    Kind::Text {
        min: 0,
        max: ANY,
        pattern: None,
        one_of: values,
    }
}

const fn field(name: &'static str, required: bool, read_only: bool, kind: Kind) -> Field {
    Field {
        name,
        required,
        read_only,
        kind,
    }
}

pub(super) const fn optional(name: &'static str, kind: Kind) -> Field {
    field(name, false, false, kind)
}

pub(super) const fn required(name: &'static str, kind: Kind) -> Field {
    field(name, true, false, kind)
}

pub(super) const fn read_only(name: &'static str, kind: Kind) -> Field {
    field(name, false, true, kind)
}

/// What a body may hold beside `properties`: the envelope of every child.
const ENVELOPE: [&str; 4] = ["properties", "id", "name", "type"];

/// Reads the `properties` of a body, checked; read-only fields are dropped,
/// explicit nulls are kept.
pub(super) fn properties(contract: &Contract, body: &[u8]) -> Result<Map<String, Value>, ArmError> {
    let mut envelope = parsed(body)?;
    if let Some(unknown) = envelope
        .keys()
        .find(|key| !ENVELOPE.contains(&key.as_str()))
    {
        return Err(ArmError::validation(vec![unknown_member(
            unknown, "Resource",
        )]));
    }
    let Some(Value::Object(mut properties)) = envelope.remove("properties") else {
        return Err(ArmError::validation(vec![Detail::new(
            "properties",
            "The properties field is required.",
        )]));
    };
    let mut problems = Vec::new();
    check_object(contract, &properties, "", &mut problems);
    if !problems.is_empty() {
        return Err(ArmError::validation(problems));
    }
    for field in contract.fields.iter().filter(|field| field.read_only) {
        properties.remove(field.name);
    }
    Ok(properties)
}

/// Reads a body without an envelope, as actions have it, checked.
pub(super) fn object(contract: &Contract, body: &[u8]) -> Result<Map<String, Value>, ArmError> {
    let object = parsed(body)?;
    let mut problems = Vec::new();
    check_object(contract, &object, "", &mut problems);
    if problems.is_empty() {
        Ok(object)
    } else {
        Err(ArmError::validation(problems))
    }
}

fn parsed(body: &[u8]) -> Result<Map<String, Value>, ArmError> {
    let json: Value = serde_json::from_slice(body).map_err(|error| {
        ArmError::gateway(
            400,
            "InvalidRequestContent",
            format!("The request content was invalid and could not be deserialized: '{error}'."),
        )
    })?;
    match json {
        Value::Object(object) => Ok(object),
        _ => Err(ArmError::gateway(
            400,
            "InvalidRequestContent",
            "The request content is not valid and could not be deserialized: 'An object was expected.'."
                .to_owned(),
        )),
    }
}

fn unknown_member(path: &str, type_name: &str) -> Detail {
    let member = path.rsplit('.').next().unwrap_or(path);
    Detail::new(
        path,
        &format!(
            "Could not find member '{member}' on object of type '{type_name}'. Path '{path}'."
        ),
    )
}

fn check_object(
    contract: &Contract,
    object: &Map<String, Value>,
    prefix: &str,
    problems: &mut Vec<Detail>,
) {
    let path = |name: &str| {
        if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}.{name}")
        }
    };
    for name in object.keys() {
        if !contract.fields.iter().any(|field| field.name == name) {
            problems.push(unknown_member(&path(name), contract.name));
        }
    }
    for field in contract.fields {
        match object.get(field.name) {
            None | Some(Value::Null) if field.required => problems.push(Detail::new(
                &path(field.name),
                &format!("The {} field is required.", field.name),
            )),
            None | Some(Value::Null) => {}
            Some(_) if field.read_only => {}
            Some(value) => check_value(&field.kind, value, &path(field.name), problems),
        }
    }
}

fn check_value(kind: &Kind, value: &Value, path: &str, problems: &mut Vec<Detail>) {
    let mut wrong = |message: String| problems.push(Detail::new(path, &message));
    let name = path.rsplit('.').next().unwrap_or(path);
    match (kind, value) {
        (Kind::Free, _) | (Kind::Flag, Value::Bool(_)) => {}
        (
            Kind::Text {
                min,
                max,
                pattern,
                one_of,
            },
            Value::String(text),
        ) => {
            let length = text.encode_utf16().count();
            if length < *min || length > *max {
                wrong(length_message(name, *min, *max));
            } else if !one_of.is_empty() && !one_of.contains(&text.as_str()) {
                wrong(format!(
                    "Requested value '{text}' was not found. Possible values of {name} are: {}.",
                    one_of.join(", ")
                ));
            } else if let Some(pattern) = pattern
                && !Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
            {
                wrong(format!(
                    "The field {name} must match the regular expression '{pattern}'."
                ));
            }
        }
        (Kind::Number { min, max }, Value::Number(number)) => match number.as_i64() {
            Some(number) if (*min..=*max).contains(&number) => {}
            _ => wrong(format!("The field {name} must be between {min} and {max}.")),
        },
        (Kind::Texts { max_items, one_of }, Value::Array(items)) => {
            if items.len() > *max_items {
                wrong(format!(
                    "The field {name} must be an array with a maximum length of {max_items}."
                ));
            }
            for item in items {
                match item.as_str() {
                    Some(text) if one_of.is_empty() || one_of.contains(&text) => {}
                    _ => wrong(format!(
                        "Error converting value {item} of {name}. Possible values are: {}.",
                        if one_of.is_empty() {
                            "text".to_owned()
                        } else {
                            one_of.join(", ")
                        }
                    )),
                }
            }
        }
        (
            Kind::List {
                of,
                min_items,
                max_items,
            },
            Value::Array(items),
        ) => {
            if items.len() < *min_items || items.len() > *max_items {
                wrong(format!(
                    "The field {name} must be an array of {min_items} to {max_items} items."
                ));
            }
            for (index, item) in items.iter().enumerate() {
                let place = format!("{path}[{index}]");
                match item {
                    Value::Object(object) => check_object(of, object, &place, problems),
                    _ => problems.push(Detail::new(
                        &place,
                        &format!("Error converting value {item} to type '{}'.", of.name),
                    )),
                }
            }
        }
        (Kind::Nested(contract), Value::Object(object)) => {
            check_object(contract, object, path, problems);
        }
        (kind, value) => wrong(format!(
            "Error converting value {value} to type '{}'. Path '{path}'.",
            type_name(kind)
        )),
    }
}

fn length_message(name: &str, min: usize, max: usize) -> String {
    if max == ANY {
        format!("The field {name} must be a string with a minimum length of {min}.")
    } else {
        format!(
            "The field {name} must be a string with a minimum length of {min} and a maximum length of {max}."
        )
    }
}

fn type_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text { .. } => "System.String",
        Kind::Flag => "System.Boolean",
        Kind::Number { .. } => "System.Int32",
        Kind::Texts { .. } => "System.String[]",
        Kind::List { of, .. } => of.name,
        Kind::Nested(contract) => contract.name,
        Kind::Free => "System.Object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract_table as table;
    use super::*;
    use serde_json::json;

    fn problems(contract: &Contract, properties: &Value) -> Vec<(String, String)> {
        let body = json!({ "properties": properties }).to_string();
        match super::properties(contract, body.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(error) => error
                .details
                .into_iter()
                .map(|detail| (detail.target, detail.message))
                .collect(),
        }
    }

    #[test]
    fn an_unknown_property_is_refused_by_name() {
        let api = json!({"path": "a", "displayName": "A", "serviceURL": "https://a"});
        assert_eq!(
            problems(&table::API_CREATE_OR_UPDATE_PROPERTIES, &api),
            [(
                "serviceURL".to_owned(),
                "Could not find member 'serviceURL' on object of type 'ApiCreateOrUpdateProperties'. Path 'serviceURL'."
                    .to_owned()
            )]
        );
    }

    #[test]
    fn lengths_enumerations_patterns_and_types_are_checked() {
        let api = json!({
            "path": "p".repeat(401), "displayName": "", "apiRevisionDescription": "d".repeat(257),
            "protocols": ["gopher"], "subscriptionRequired": "yes", "contact": {"phone": "1"},
        });
        let found = problems(&table::API_CREATE_OR_UPDATE_PROPERTIES, &api);
        let targets: Vec<&str> = found.iter().map(|(target, _)| target.as_str()).collect();
        assert_eq!(
            targets,
            [
                "apiRevisionDescription",
                "subscriptionRequired",
                "contact.phone",
                "displayName",
                "path",
                "protocols"
            ]
        );
        let named_value = json!({"displayName": "a b", "value": "v"});
        assert_eq!(
            problems(&table::NAMED_VALUE_CREATE_CONTRACT_PROPERTIES, &named_value),
            [(
                "displayName".to_owned(),
                "The field displayName must match the regular expression '^[A-Za-z0-9-._]+$'."
                    .to_owned()
            )]
        );
        let backend = json!({
            "url": "https://b", "protocol": "http",
            "circuitBreaker": {"rules": [{"failureCondition": {"statusCodeRanges": [{"min": 100, "max": 599}]}}]},
        });
        assert_eq!(
            problems(&table::BACKEND_CONTRACT_PROPERTIES, &backend),
            [(
                "circuitBreaker.rules[0].failureCondition.statusCodeRanges[0].min".to_owned(),
                "The field min must be between 200 and 599.".to_owned()
            )]
        );
    }

    #[test]
    fn required_fields_are_required_and_read_only_ones_ignored() {
        assert_eq!(
            problems(&table::BACKEND_CONTRACT_PROPERTIES, &json!({"url": null})),
            [
                ("url".to_owned(), "The url field is required.".to_owned()),
                (
                    "protocol".to_owned(),
                    "The protocol field is required.".to_owned()
                ),
            ]
        );
        let body = json!({"properties": {"path": "a", "provisioningState": "Succeeded"}});
        let checked = super::properties(
            &table::API_CREATE_OR_UPDATE_PROPERTIES,
            body.to_string().as_bytes(),
        );
        assert_eq!(
            Value::Object(checked.expect("the body is right")),
            json!({"path": "a"})
        );
    }

    #[test]
    fn every_pattern_of_the_table_compiles() {
        fn walk(contract: &Contract, depth: usize) {
            for field in contract.fields {
                match &field.kind {
                    Kind::Text {
                        pattern: Some(pattern),
                        ..
                    } => {
                        Regex::new(pattern).expect("a pattern");
                    }
                    Kind::Nested(inner) | Kind::List { of: inner, .. } if depth < 6 => {
                        walk(inner, depth + 1);
                    }
                    _ => {}
                }
            }
        }
        walk(&table::NAMED_VALUE_CREATE_CONTRACT_PROPERTIES, 0);
        walk(&table::NAMED_VALUE_UPDATE_PARAMETER_PROPERTIES, 0);
        walk(&table::API_CREATE_OR_UPDATE_PROPERTIES, 0);
        walk(&table::BACKEND_CONTRACT_PROPERTIES, 0);
    }
}
