//! Lists: `$filter`, `$top`, `$skip` and `nextLink`.

use super::error::ArmError;
use super::request::Request;
use crate::http::Reply;
use serde_json::{Value, json};
use std::borrow::Cow;

/// How many entries a page has where the request does not say.
const PAGE: usize = 100;

/// An entry of a list, which is written out only where the page shows it.
pub(crate) trait Entry {
    /// The value that a filter compares; `Null` where there is none.
    fn field(&self, name: &str) -> Cow<'_, Value>;
    /// The entry as it is shown.
    fn body(self) -> Value;
}

impl Entry for Value {
    fn field(&self, name: &str) -> Cow<'_, Value> {
        Cow::Borrowed(match name {
            "name" => &self["name"],
            other => &self["properties"][other],
        })
    }

    fn body(self) -> Value {
        self
    }
}

/// Answers one page of a list. `service_id` is needed for `nextLink`.
pub(crate) fn page<E: Entry>(
    request: &Request,
    service_id: &str,
    items: impl IntoIterator<Item = E>,
) -> Result<Reply, ArmError> {
    let filter = filter(request)?;
    let items: Vec<E> = items
        .into_iter()
        .filter(|item| filter.as_ref().is_none_or(|filter| filter.matches(item)))
        .collect();
    let skip = number(request, "$skip", 0)?.unwrap_or(0);
    let top = number(request, "$top", 1)?;
    let count = items.len();
    let size = top.unwrap_or(PAGE);
    let shown = items.into_iter().skip(skip).take(size);
    let value: Vec<Value> = shown.map(Entry::body).collect();
    let mut body = json!({ "value": value, "count": count });
    if skip + size < count {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &request.query {
            if !name.eq_ignore_ascii_case("$skip") {
                query.append_pair(name, value);
            }
        }
        query.append_pair("$skip", &(skip + size).to_string());
        body["nextLink"] = format!(
            "{}{service_id}/{}?{}",
            request.origin,
            request.rest.join("/"),
            query.finish()
        )
        .into();
    }
    Ok(Reply::pretty(200, &body))
}

/// The filter that a list is asked for with.
pub(crate) fn filter(request: &Request) -> Result<Option<Filter>, ArmError> {
    match request.parameter("$filter") {
        Some(text) if !text.trim().is_empty() => Filter::parse(text).map(Some),
        _ => Ok(None),
    }
}

fn number(request: &Request, name: &str, least: usize) -> Result<Option<usize>, ArmError> {
    let Some(text) = request.parameter(name) else {
        return Ok(None);
    };
    match text.parse::<usize>() {
        Ok(number) if number >= least => Ok(Some(number)),
        _ => Err(ArmError::invalid(
            name,
            &format!("The value '{text}' of {name} must be a whole number of at least {least}."),
        )),
    }
}

/// The subset of `OData` that the service documents: comparisons and three
/// functions, joined by `and` or `or` without brackets.
pub(crate) struct Filter(Vec<Vec<Term>>);

struct Term {
    field: String,
    condition: Test,
}

enum Test {
    Eq(Value),
    Ne(Value),
    Contains(String),
    StartsWith(String),
    EndsWith(String),
}

impl Filter {
    fn parse(text: &str) -> Result<Self, ArmError> {
        let invalid = || {
            ArmError::invalid(
                "$filter",
                &format!(
                    "The filter '{text}' cannot be understood: `field eq 'text'`, ne, contains(field,'text'), startswith, endswith, joined by and, or."
                ),
            )
        };
        let words =
            |joiner: &str, text: &str| -> Vec<String> { split_outside_quotes(text, joiner) };
        let any = words(" or ", text)
            .iter()
            .map(|all| {
                words(" and ", all)
                    .iter()
                    .map(|term| Term::parse(term.trim()).ok_or_else(invalid))
                    .collect()
            })
            .collect::<Result<Vec<Vec<Term>>, ArmError>>()?;
        Ok(Self(any))
    }

    /// The path that everything must have that passes.
    pub(crate) fn path(&self) -> Option<&str> {
        let [all] = self.0.as_slice() else {
            return None;
        };
        all.iter().find_map(|term| match &term.condition {
            Test::Eq(Value::String(path)) if term.field() == "path" => Some(path.as_str()),
            _ => None,
        })
    }

    fn matches(&self, item: &impl Entry) -> bool {
        self.0
            .iter()
            .any(|all| all.iter().all(|term| term.matches(item)))
    }
}

fn split_outside_quotes(text: &str, joiner: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if !quoted
            && rest
                .get(..joiner.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(joiner))
        {
            parts.push(String::new());
            rest = &rest[joiner.len()..];
            continue;
        }
        quoted ^= character == '\'';
        if let Some(last) = parts.last_mut() {
            last.push(character);
        }
        rest = &rest[character.len_utf8()..];
    }
    parts
}

fn literal(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Some(inner) = text
        .strip_prefix('\'')
        .and_then(|text| text.strip_suffix('\''))
    {
        return Some(inner.replace("''", "'").into());
    }
    match text {
        "true" => Some(true.into()),
        "false" => Some(false.into()),
        "null" => Some(Value::Null),
        number => number.parse::<i64>().ok().map(Value::from),
    }
}

impl Term {
    fn parse(text: &str) -> Option<Self> {
        if let Some((function, arguments)) = text.split_once('(') {
            let (field, value) = arguments.strip_suffix(')')?.split_once(',')?;
            let Value::String(value) = literal(value)? else {
                return None;
            };
            let condition = match function.trim().to_ascii_lowercase().as_str() {
                "contains" => Test::Contains(value),
                "startswith" => Test::StartsWith(value),
                "endswith" => Test::EndsWith(value),
                _ => return None,
            };
            return Some(Self {
                field: field.trim().to_owned(),
                condition,
            });
        }
        let mut words = text.splitn(3, ' ');
        let (field, operator, value) = (words.next()?, words.next()?, literal(words.next()?)?);
        let condition = match operator.to_ascii_lowercase().as_str() {
            "eq" => Test::Eq(value),
            "ne" => Test::Ne(value),
            _ => return None,
        };
        Some(Self {
            field: field.to_owned(),
            condition,
        })
    }

    /// The field's name, without what it is in.
    fn field(&self) -> &str {
        self.field.rsplit('/').next().unwrap_or(&self.field)
    }

    fn matches(&self, item: &impl Entry) -> bool {
        let found = item.field(self.field());
        let equal = |wanted: &Value| match (&*found, wanted) {
            (Value::String(found), Value::String(wanted)) => found.eq_ignore_ascii_case(wanted),
            // A revision that is not current does not say so.
            (Value::Null, Value::Bool(false)) => true,
            (found, wanted) => found == wanted,
        };
        let text = found.as_str().unwrap_or_default().to_lowercase();
        match &self.condition {
            Test::Eq(wanted) => equal(wanted),
            Test::Ne(wanted) => !equal(wanted),
            Test::Contains(part) => text.contains(&part.to_lowercase()),
            Test::StartsWith(part) => text.starts_with(&part.to_lowercase()),
            Test::EndsWith(part) => text.ends_with(&part.to_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_filters_are_understood_and_others_refused() {
        let item =
            json!({"name": "orders-v1", "properties": {"path": "shop/orders", "isCurrent": true}});
        for (filter, expected) in [
            ("name eq 'orders-v1'", true),
            ("name ne 'orders-v1'", false),
            (
                "contains(properties/path,'ORD') and isCurrent eq true",
                true,
            ),
            ("startswith(name,'x') or endswith(name,'v1')", true),
            ("path eq 'a and b'", false),
        ] {
            let parsed = Filter::parse(filter)
                .map_err(|_| filter)
                .expect("understood");
            assert_eq!(parsed.matches(&item), expected, "{filter}");
        }
        assert!(Filter::parse("length(name) gt 3").is_err());
        for (filter, path) in [
            ("isCurrent eq true and properties/path eq 'a'", Some("a")),
            ("path eq 'a' or path eq 'b'", None),
            ("path ne 'a'", None),
        ] {
            let parsed = Filter::parse(filter)
                .map_err(|_| filter)
                .expect("understood");
            assert_eq!(parsed.path(), path, "{filter}");
        }
    }
}
