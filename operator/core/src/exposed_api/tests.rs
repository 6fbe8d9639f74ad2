use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::validate::test_support::{meta, spec};

fn problems(spec: &Value) -> Vec<String> {
    read(&meta(&[]), spec)
        .expect_err("the spec was expected to be refused")
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn with(more: &Value) -> ExposedApi {
    read(&meta(&[]), &spec(more)).unwrap()
}

#[test]
fn numbers_and_flags_may_be_text() {
    let api = with(&json!({
        "port": "8080",
        "apiKeyVerification": {"enabled": "true", "location": "X-Key"},
    }));
    assert_eq!(api.port, 8080);
    assert!(api.subscription.required);
    assert_eq!(api.subscription.names.header, "X-Key");
    assert_eq!(api.subscription.names.query, "subscription-key");
    assert_eq!(with(&json!({"port": 8080.0})).port, 8080);
}

#[test]
fn an_empty_text_means_absent() {
    let api = with(&json!({
        "apiType": "", "name": " ", "developerUI": "", "segment": "", "specification": "",
        "apiKeyVerification": {"enabled": "", "location": ""},
    }));
    assert_eq!(api.dialect, Dialect::Original);
    assert_eq!(api.api_type, ApiType::OpenApi);
    assert_eq!(api.name, "catalog");
    assert_eq!(api.developer_ui, None);
    assert_eq!(api.segment, None);
    assert_eq!(api.specification, None);
    assert_eq!(api.subscription, SubscriptionKey::default());
}

#[test]
fn a_specification_has_six_shapes() {
    let url = "https://specs.example.com/v4.json";
    let by_url = |version: Option<&str>| {
        Some(Specification {
            source: SpecificationSource::Url(url.parse().unwrap()),
            version: version.map(str::to_owned),
        })
    };
    let inline = |text: &str| {
        Some(Specification {
            source: SpecificationSource::Inline(text.to_owned()),
            version: None,
        })
    };
    let read = |value: Value| {
        let mut spec = spec(&json!({}));
        spec["specification"] = value;
        read(&meta(&[]), &spec).unwrap().specification
    };
    assert_eq!(
        read(json!({"url": url, "version": "v4"})),
        by_url(Some("v4"))
    );
    assert_eq!(read(json!({"url": url, "version": 4})), by_url(Some("4")));
    assert_eq!(read(json!([{"url": url, "version": ""}])), by_url(None));
    assert_eq!(read(json!([url])), by_url(None));
    assert_eq!(read(json!(["", url])), by_url(None));
    assert_eq!(read(json!(url)), by_url(None));
    assert_eq!(read(json!("openapi: 3.0.0\n")), inline("openapi: 3.0.0"));
    assert_eq!(
        read(json!("{\"swagger\": \"2.0\"}")),
        inline("{\"swagger\": \"2.0\"}")
    );
    assert_eq!(
        read(json!({"openapi": "3.0.0"})),
        inline("{\"openapi\":\"3.0.0\"}")
    );
    for nothing in [
        json!({}),
        json!([]),
        json!([{}]),
        json!(null),
        json!({"version": "v4"}),
    ] {
        assert_eq!(read(nothing.clone()), None, "{nothing}");
    }
}

#[test]
fn of_several_documents_the_first_is_taken_with_a_warning() {
    let mut spec = spec(&json!({}));
    spec["specification"] = json!(["https://a.example/1", "https://a.example/2"]);
    let api = read(&meta(&[]), &spec).unwrap();
    assert_eq!(
        api.warnings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        [
            "spec.specification: lists 2 documents; only the first is published. Write one ExposedAPI \
             for each"
        ]
    );
}

#[test]
fn a_value_that_cannot_be_understood_is_one_error_with_its_field() {
    let cases = [
        (
            json!({"port": 0}),
            "spec.port: expected a port from 1 to 65535, got `0`",
        ),
        (
            json!({"port": "65536"}),
            "spec.port: expected a port from 1 to 65535, got `65536`",
        ),
        (
            json!({"port": "http"}),
            "spec.port: expected a port from 1 to 65535, got `http`",
        ),
        (
            json!({"port": 80.5}),
            "spec.port: expected a port from 1 to 65535, got `80.5`",
        ),
        (
            json!({"port": null}),
            "spec.port: is missing; write the port of the Service, 1 to 65535",
        ),
        (
            json!({"apiType": "open-api"}),
            "spec.apiType: `open-api` is not an API type; did you mean `openapi`; write one of `openapi`, \
             `mcp`, `prometheus`, `openmetrics`",
        ),
        (
            json!({"apiType": ["openapi"]}),
            "spec.apiType: expected a text, got a list of 1",
        ),
        (
            json!({"implementation": "Catalog_Svc"}),
            "spec.implementation: `Catalog_Svc` is not the name of a Service: write at most 63 lowercase \
             letters, digits and `-`, beginning and ending with a letter or digit, or `<external>`",
        ),
        (
            json!({"implementation": ""}),
            "spec.implementation: is missing; write the name of the Service, or `<external>`",
        ),
        (
            json!({"path": ""}),
            "spec.path: is missing; write the path below which the API is reached, such as `/catalog/v4`",
        ),
        (
            json!({"apiKeyVerification": true}),
            "spec.apiKeyVerification: expected an object, got `true`",
        ),
        (
            json!({"apiKeyVerification": {"enabled": "yes"}}),
            "spec.apiKeyVerification.enabled: expected `true` or `false`, got `yes`",
        ),
        (
            json!({"apiKeyVerification": {"location": "my key"}}),
            "spec.apiKeyVerification.location: `my key` is neither `header` nor `query` nor the name of a \
             header",
        ),
    ];
    for (more, expected) in cases {
        assert_eq!(problems(&spec(&more)), [expected], "{more}");
    }
}

#[test]
fn every_problem_is_reported_at_once() {
    assert_eq!(
        problems(&json!({"apiType": "soap", "port": -1})),
        [
            "spec.apiType: `soap` is not an API type; write one of `openapi`, `mcp`, `prometheus`, `openmetrics`",
            "spec.implementation: is missing; write the name of the Service, or `<external>`",
            "spec.path: is missing; write the path below which the API is reached, such as `/catalog/v4`",
            "spec.port: expected a port from 1 to 65535, got `-1`",
        ]
    );
    assert_eq!(
        problems(&json!("nothing"))[0],
        "spec: expected an object, got `nothing`"
    );
}

#[test]
fn a_specification_that_is_none_is_refused() {
    let cases = [
        (
            json!("v4"),
            "spec.specification: `v4` is neither a URL nor an OpenAPI document",
        ),
        (
            json!("ftp://a/b"),
            "spec.specification: `ftp://a/b` has the scheme `ftp`; only `https` and `http` are fetched",
        ),
        (
            json!({"url": "https://"}),
            "spec.specification.url: `https://` is not a URL: empty host",
        ),
        (
            json!({"url": "https://me:secret@a.example/b"}),
            "spec.specification.url: the URL holds a user name or a password; credentials are never sent, \
             publish the document where none are needed",
        ),
        (
            json!([{"url": 7}]),
            "spec.specification[0].url: expected a URL, got `7`",
        ),
        (
            json!({"uri": "https://a.example"}),
            "spec.specification: has neither `url` nor the `openapi` or `swagger` of an OpenAPI document, but \
             `uri`",
        ),
        (
            json!(7),
            "spec.specification: expected `{url, version}`, a URL or an OpenAPI document, got `7`",
        ),
    ];
    for (value, expected) in cases {
        let mut spec = spec(&json!({}));
        spec["specification"] = value.clone();
        assert_eq!(problems(&spec), [expected], "{value}");
    }
}

#[test]
fn paths_are_read_by_the_rule_of_api_management() {
    let long = "a".repeat(400);
    for (text, expected) in [
        ("/", ""),
        ("/catalog", "catalog"),
        ("catalog/v4", "catalog/v4"),
        ("/catalog/v4/", "catalog/v4"),
        ("/.well-known/x", ".well-known/x"),
        ("/a-b_c.d:e", "a-b_c.d:e"),
        (long.as_str(), long.as_str()),
    ] {
        let path = ApiPath::parse(text).unwrap();
        assert_eq!(path.as_api_management(), expected, "{text}");
        assert_eq!(path.to_string(), format!("/{expected}"));
    }
    for (text, expected) in [
        (
            "//a",
            "`//a` is not a path: it holds `//`; write one `/` between two segments",
        ),
        (
            "/a/{id}",
            "`/a/{id}` is not a path: it holds `{`; parameters belong into the OpenAPI document, the path is a \
             plain prefix",
        ),
        (
            "/a?b=1",
            "`/a?b=1` is not a path: it holds `?`; parameters belong into the OpenAPI document, the path is a \
             plain prefix",
        ),
        (
            "/a/../b",
            "`/a/../b` is not a path: it holds `.` or `..` as a step; write the path it leads to",
        ),
        (
            "/a/./b",
            "`/a/./b` is not a path: it holds `.` or `..` as a step; write the path it leads to",
        ),
        (
            "/caf\u{e9}",
            "`/caf\u{e9}` is not a path: it holds `\\u{e9}`; API Management takes letters, digits, `_`, `-`, \
             `.`, `:` and `/`",
        ),
        (
            "/-a",
            "`/-a` is not a path: it must begin with a letter, a digit, `_` or `.`",
        ),
        (
            "/a.",
            "`/a.` is not a path: it must end with a letter, a digit, `_` or `-`",
        ),
        (
            "/-",
            "`/-` is not a path: it must begin with a letter, a digit, `_` or `.`",
        ),
    ] {
        assert_eq!(ApiPath::parse(text).unwrap_err(), expected);
    }
    let too_long = ApiPath::parse(&"a".repeat(401)).unwrap_err();
    assert!(
        too_long.ends_with("it has 401 characters; API Management takes at most 400"),
        "{too_long}"
    );
}

#[test]
fn names_must_be_kubernetes_names() {
    let mut object = meta(&[]);
    object.name = "Catalog".into();
    object.namespace = String::new();
    let problems = read(&object, &spec(&json!({}))).unwrap_err();
    assert_eq!(
        problems.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(),
        ["metadata.name", "metadata.namespace"]
    );
}

/// Objects that run somewhere: TM Forum's example, the component operator's
/// output, the original operator's quick start, metrics, an external echo.
fn real_objects() -> Vec<(&'static str, Value)> {
    vec![
        (
            "produced by the component operator, policies off",
            json!({
                "name": "userrolesandpermissions", "apiType": "openapi",
                "implementation": "ctk-permissionspecapi", "port": 8080,
                "path": "/ctk-productcatalogmanagement/rolesAndPermissionsManagement/v5",
                "developerUI": "/ctk-productcatalogmanagement/rolesAndPermissionsManagement/v5/docs",
                "apiKeyVerification": {"enabled": false, "location": "header"},
                "rateLimit": {"enabled": false, "identifier": "IP", "limit": "6", "interval": "pm"},
                "quota": {"identifier": "", "limit": ""},
                "template": "",
                "specification": {"url": "https://specs.example.com/TMF672-v5.0.0.swagger.json", "version": "v5"},
                "segment": "securityFunction",
            }),
        ),
        (
            "the original operator's quick start",
            json!({
                "path": "/product-catalog",
                "specification": "{\"openapi\": \"3.0.1\", \"info\": {}, \"paths\": {}}",
                "implementation": "tmf620-product-catalog-service", "port": 8080,
                "rateLimit": {"limit": 1000, "period": 60},
                "CORS": {"allowOrigins": ["*"], "allowMethods": ["GET"]},
            }),
        ),
        (
            "metrics",
            json!({
                "name": "metrics", "apiType": "prometheus", "implementation": "r1-productcatalogmanagement-sm",
                "path": "/r1-productcatalogmanagement/metrics", "port": 4000, "segment": "managementFunction",
            }),
        ),
        (
            "an echo outside the cluster",
            json!({
                "name": "echo", "apiType": "openapi", "implementation": "<external>", "path": "/", "port": 443,
                "specification": ["https://specs.example.com/echo.json"],
            }),
        ),
        (
            "a model context server without a document",
            json!({
                "name": "mcp", "apiType": "mcp", "implementation": "r1-mcp", "path": "/r1/mcp", "port": 8080,
                "resources": [{}], "required": true,
            }),
        ),
    ]
}

#[test]
fn real_objects_are_read() {
    let table: Vec<Value> = real_objects()
        .into_iter()
        .map(|(what, spec)| summary_of(what, &spec))
        .collect();
    insta::assert_json_snapshot!(table);
}

fn summary_of(what: &str, spec: &Value) -> Value {
    let api = read(&meta(&[]), spec).unwrap_or_else(|problems| panic!("{what}: {problems:?}"));
    json!({
        "what": what,
        "name": api.name,
        "dialect": api.dialect,
        "type": api.api_type.as_str(),
        "implementation": format!("{:?}", api.implementation),
        "port": api.port,
        "path": api.path.to_string(),
        "specification": api.specification.map(|s| match s.source {
            SpecificationSource::Inline(text) => format!("inline, {} characters", text.len()),
            SpecificationSource::Url(url) => url.to_string(),
        }),
    })
}

#[test]
fn the_published_example_is_read() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oda/exposedapi-example.yaml");
    let Ok(text) = std::fs::read_to_string(file) else {
        println!("SKIPPED the_published_example_is_read: ../shared is not there");
        return;
    };
    let object = crate::annotations::yaml::read(&text).unwrap();
    insta::assert_json_snapshot!(summary_of("TM Forum's example", &object["spec"]));
}

#[test]
fn objects_of_a_running_canvas_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oda");
    if !folder.is_dir() {
        println!("SKIPPED objects_of_a_running_canvas_are_read: ../shared is not there");
        return;
    }
    for (i, kind) in [
        (1, "openapi"),
        (2, "prometheus"),
        (3, "openapi"),
        (4, "openapi"),
    ] {
        let text =
            std::fs::read_to_string(folder.join(format!("istio-apistatus-{i}.json"))).unwrap();
        let object: Value = serde_json::from_str(&text).unwrap();
        let summary = summary_of("an object of a canvas", &object["spec"]);
        assert_eq!(summary["type"], kind, "{summary}");
        let path = object["spec"]["path"].as_str().unwrap();
        assert_eq!(summary["path"], path);
        let url = object["spec"]["specification"]
            .as_array()
            .map(|list| match &list[0] {
                Value::String(url) => url.clone(),
                other => other["url"].as_str().unwrap().to_owned(),
            });
        assert_eq!(summary["specification"].as_str().map(str::to_owned), url);
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(Value::from("https://a.example/b")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(
                ("[a-zA-Z]{1,8}|url|version|enabled|location|openapi", inner),
                0..4
            )
            .prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

#[test]
fn only_a_name_that_a_service_can_have_names_one() {
    assert_eq!(service_named("catalog-2"), Some("catalog-2"));
    for text in ["", "<external>", "two words", "a/b", "Catalog"] {
        assert_eq!(service_named(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_spec_makes_the_reader_panic(
        fields in prop::collection::vec((prop::sample::select(&OWN_FIELDS[..]), any_value()), 0..10)
    ) {
        let spec: Value = fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        match read(&meta(&[]), &spec) {
            Ok(api) => prop_assert!(api.port > 0),
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                prop_assert!(problems.iter().all(|p| p.message.len() < 1500), "{problems:?}");
            }
        }
    }

    #[test]
    fn a_path_that_is_read_is_one_that_both_sides_take(text in "[/a-c.:{_ -]{0,12}") {
        if let Ok(path) = ApiPath::parse(&text) {
            let inner = path.as_api_management();
            prop_assert!(!inner.starts_with('/') && !inner.ends_with('/'));
            let steps = inner.contains("//") || inner.contains("..");
            prop_assert!(!steps, "{}", inner);
            let plain = inner.chars().all(|c| c != '{');
            prop_assert!(plain, "{}", inner);
            let again = path.to_string();
            prop_assert_eq!(ApiPath::parse(&again), Ok(path));
        }
    }
}
