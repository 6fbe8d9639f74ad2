//! A call of an API that the gateway can match to an operation, for whoever
//! wants to try it.

use operator_core::desired::{DesiredApi, Operation};
use serde_json::Value;

/// The arguments of curl for one call of an API: of an operation that needs
/// least, with what it needs.
pub(super) fn arguments(api: &DesiredApi, gateway: &str, key: Option<&str>) -> String {
    let operations = api.document.operations.as_deref().unwrap_or_default();
    let document: Value = serde_saphyr::from_str(&api.document.value).unwrap_or_default();
    let least = operations.iter().min_by_key(|one| needs(one));
    let mut words = Vec::new();
    let mut path = String::new();
    if let Some(operation) = least {
        if operation.method != "GET" && operation.method != "*" {
            words.push(format!("-X {}", operation.method));
        }
        if ["POST", "PUT", "PATCH"].contains(&operation.method.as_str()) {
            words.push("-H 'Content-Type: application/json' -d '{}'".to_owned());
        }
        path = filled(operation, &document);
    }
    if api.settings.subscription_required
        && let Some(key) = key
    {
        let name = &api.settings.subscription_key_names.header;
        words.push(format!("-H '{name}: {key}'"));
    }
    let gateway = gateway.trim_end_matches('/');
    let url = format!("{gateway}/{}{path}", api.settings.path);
    // What a shell reads in its own way.
    let plain = |c: char| c.is_ascii_alphanumeric() || ":/.-_~%".contains(c);
    words.push(if url.chars().all(plain) {
        url
    } else {
        format!("'{}'", url.replace('\'', "%27"))
    });
    words.join(" ")
}

/// How much a call of it needs: the least of all operations is shown.
fn needs(operation: &Operation) -> (bool, usize, usize) {
    let reads = ["GET", "*"].contains(&operation.method.as_str());
    let template = &operation.url_template;
    (!reads, template.matches('{').count(), template.len())
}

/// Its template with a value for each parameter, and the query that it
/// requires.
fn filled(operation: &Operation, document: &Value) -> String {
    let (path, query) = match operation.url_template.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (operation.url_template.as_str(), None),
    };
    let parameters = parameters(operation, path, document);
    let value = |place: &str, name: &str| {
        let found = parameters
            .iter()
            .find(|one| one["in"] == place && one["name"] == name);
        sample(found.copied().unwrap_or(&Value::Null))
    };
    let mut url = String::new();
    let mut rest = path;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, behind) = behind.split_once('}').unwrap_or((behind, ""));
        url.push_str(before);
        url.push_str(&value("path", name));
        rest = behind;
    }
    url.push_str(rest);
    // A wildcard takes whatever is there.
    let mut url = url.trim_end_matches('*').to_owned();
    let mut pairs: Vec<String> = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter_map(|pair| Some(pair.split_once('=')?.0))
        .map(|name| format!("{name}={}", value("query", name)))
        .collect();
    for one in &parameters {
        let name = one["name"].as_str().unwrap_or_default();
        let said = pairs
            .iter()
            .any(|pair| pair.split('=').next() == Some(name));
        if one["in"] == "query" && one["required"] == true && !said {
            pairs.push(format!("{name}={}", sample(one)));
        }
    }
    if !pairs.is_empty() {
        url.push('?');
        url.push_str(&pairs.join("&"));
    }
    url
}

/// What the document says of the operation's parameters.
fn parameters<'d>(operation: &Operation, path: &str, document: &'d Value) -> Vec<&'d Value> {
    let item = &document["paths"][path];
    let own = &item[operation.method.to_lowercase()]["parameters"];
    [own, &item["parameters"]]
        .into_iter()
        .filter_map(Value::as_array)
        .flatten()
        .map(|one| {
            let target = one["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
            target
                .and_then(|path| document.pointer(path))
                .unwrap_or(one)
        })
        .collect()
}

/// A value that a parameter may have, percent-encoded.
fn sample(parameter: &Value) -> String {
    // OpenAPI has it in the schema, Swagger beside the name.
    let schema = match &parameter["schema"] {
        Value::Null => parameter,
        schema => schema,
    };
    let given = [
        &parameter["example"],
        &schema["example"],
        &schema["default"],
        &schema["enum"][0],
    ];
    let text = match given.into_iter().find(|value| !value.is_null()) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None if schema["type"] == "boolean" => "true".to_owned(),
        None if schema["format"] == "uuid" => "00000000-0000-4000-8000-000000000000".to_owned(),
        None => "1".to_owned(),
    };
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use operator_core::annotations::Adoption;
    use operator_core::desired::{
        ApiDocument, ApiSettings, DocumentOrigin, ImportFormat, SubscriptionKeyNames,
    };
    use operator_core::names::{ApiId, ContentHash};
    use serde_json::json;

    use super::*;

    fn api(operations: &[(&str, &str)], document: &Value) -> DesiredApi {
        let value = document.to_string();
        DesiredApi {
            id: ApiId::parse("stock").unwrap(),
            mark: String::new(),
            settings: ApiSettings {
                display_name: String::new(),
                description: String::new(),
                path: "stock".to_owned(),
                protocols: Vec::new(),
                subscription_required: false,
                subscription_key_names: SubscriptionKeyNames::default(),
                api_version: None,
                api_version_set: None,
                openid_provider: None,
                oauth2: None,
                about: operator_core::about::About::default(),
            },
            service_url: None,
            document: ApiDocument {
                format: ImportFormat::OpenApiJson,
                hash: ContentHash::of(&value),
                value,
                origin: DocumentOrigin::Inline,
                operations: Some(
                    operations
                        .iter()
                        .map(|(method, template)| Operation {
                            id: "id".to_owned(),
                            operation_id: None,
                            method: (*method).to_owned(),
                            url_template: (*template).to_owned(),
                        })
                        .collect(),
                ),
            },
            products: [].into(),
            parts: [].into(),
            own_prefix: String::new(),
            adoption: Adoption::Refuse,
            rollout: None,
            rollback: None,
            mandatory: None,
        }
    }

    fn called(operations: &[(&str, &str)], document: &Value) -> String {
        arguments(&api(operations, document), "https://localhost:8444/", None)
    }

    #[test]
    fn the_operation_that_needs_least_is_called_with_what_it_needs() {
        let none = json!({});
        let of = |operations: &[(&str, &str)]| {
            let call = called(operations, &none);
            call.replace("https://localhost:8444/stock", "")
        };
        assert_eq!(
            of(&[("POST", "/"), ("GET", "/items/{id}"), ("GET", "/items")]),
            "/items"
        );
        assert_eq!(of(&[("POST", "/a"), ("GET", "/items/{id}")]), "/items/1");
        assert_eq!(of(&[("GET", "/*")]), "/");
        assert_eq!(of(&[("DELETE", "/{a}/b-{c}")]), "-X DELETE /1/b-1");
        assert_eq!(
            of(&[("PUT", "/a?x={y}")]),
            "-X PUT -H 'Content-Type: application/json' -d '{}' '/a?x=1'"
        );
        assert_eq!(of(&[]), "");
    }

    #[test]
    fn values_are_the_documents_own_where_it_has_some() {
        let document = json!({
            "paths": {"/items/{kind}/{id}": {
                "parameters": [{"$ref": "#/components/parameters/kind"}],
                "get": {"parameters": [
                    {"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}},
                    {"name": "page", "in": "query", "required": true, "schema": {"type": "integer", "default": 5}},
                    {"name": "deep", "in": "query", "required": true, "schema": {"type": "boolean"}},
                    {"name": "more", "in": "query", "schema": {"type": "string"}},
                ]},
            }},
            "components": {"parameters": {"kind":
                {"name": "kind", "in": "path", "required": true, "schema": {"enum": ["it's a/b"]}},
            }},
        });
        assert_eq!(
            called(&[("GET", "/items/{kind}/{id}")], &document),
            "'https://localhost:8444/stock/items/it%27s%20a%2Fb/00000000-0000-4000-8000-000000000000?page=5&deep=true'"
        );
    }

    #[test]
    fn the_key_is_there_where_one_is_needed() {
        let mut api = api(&[("GET", "/a")], &json!({}));
        let call = |api: &DesiredApi| arguments(api, "https://localhost:8444", Some("s3cret"));
        assert_eq!(call(&api), "https://localhost:8444/stock/a");
        api.settings.subscription_required = true;
        api.settings.subscription_key_names.header = "X-Key".to_owned();
        assert_eq!(
            call(&api),
            "-H 'X-Key: s3cret' https://localhost:8444/stock/a"
        );
    }
}
