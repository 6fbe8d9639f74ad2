use serde_json::{Value, json};

use super::test_support::{World, document, instance, meta, spec};
use super::*;
use crate::apim::AppliedRecord;
use crate::build::build;
use crate::class::ErrorClass;
use crate::desired::{DocumentOrigin, ImportFormat};
use crate::names::InstanceName;

fn with_url() -> Value {
    let mut spec = spec(&json!({}));
    spec["specification"] = json!({"url": "https://specs.example.com/catalog.swagger.json"});
    spec
}

fn applied(instance: &str, id: &str) -> AppliedRecord {
    AppliedRecord::unknown(
        InstanceName::parse(instance).unwrap(),
        ApiId::parse(id).unwrap(),
    )
}

#[test]
fn problems_of_all_parts_are_reported_together() {
    let world = World::default();
    let object = meta(&[
        ("plugins", "guard, nobody"),
        ("plugn", "x"),
        ("plugin.guard", "audience: 5"),
        ("api-id", "x"),
    ]);
    let spec = spec(&json!({"port": "x", "specification": "openapi: [", "apiType": "openapi"}));
    assert_eq!(
        world.refusal(&object, &spec),
        [
            "spec.port: expected a port from 1 to 65535, got `x`",
            "metadata.annotations[apim.oda.tmforum.org/plugn]: `plugn` is not a key of apim-operator; did you mean \
             `plugin.<name>`?",
            "metadata.annotations[apim.oda.tmforum.org/api-id]: instance `default` does not let API owners set \
             `api-id`; it lets them set `plugins`, `plugin.*`, `operation-plugins`, `deletion-policy`, `paused`, \
             `retry`, `ingress-tls-secret`. Remove it, or ask the platform team to add it to `ownerMay`",
            "metadata.annotations[apim.oda.tmforum.org/api-id]: `x` does not begin with `components.`, and instance \
             `default` allows no other id like it; allowed: none (`allow.apiIds`)",
            "metadata.annotations[apim.oda.tmforum.org/plugins]: [nobody] there is no plugin `nobody`; loaded are \
             `guard`, `headers`, `share`, `throttle`",
            "metadata.annotations[apim.oda.tmforum.org/plugin.guard] /audience: [guard] expected a text, got `5`",
        ]
    );
}

#[test]
fn a_document_that_cannot_be_read_is_an_error_with_line_and_column() {
    let spec = spec(&json!({"specification": "openapi: 3.0.3\ninfo: ]"}));
    let rejection = World::default().validate(&meta(&[]), &spec).unwrap_err();
    assert_eq!(
        (rejection.class, rejection.reason),
        (ErrorClass::Invalid, Reason::InvalidDocument)
    );
    let text = rejection.to_string();
    assert!(
        text.starts_with(
            "spec.specification: the OpenAPI document is not valid YAML: line 2, column "
        ),
        "{text}"
    );
}

#[test]
fn a_url_is_fetched_and_its_document_imported() {
    let mut world = World::default();
    let inquiry = world.inquire(&meta(&[]), &with_url());
    assert_eq!(
        inquiry.document(),
        DocumentNeed::Fetch(
            "https://specs.example.com/catalog.swagger.json"
                .parse()
                .unwrap()
        )
    );
    let rejection = world.validate(&meta(&[]), &with_url()).unwrap_err();
    assert_eq!(rejection.reason, Reason::DocumentUnavailable);
    assert_eq!(
        rejection.to_string(),
        "spec.specification: `https://specs.example.com/catalog.swagger.json` has not been fetched yet"
    );

    world.document = DocumentFacts::Fetched(document().to_string());
    let api = build(&world.validate(&meta(&[]), &with_url()).unwrap())
        .api
        .unwrap();
    assert_eq!(api.document.format, ImportFormat::OpenApiJson);
    assert_eq!(
        api.document.origin,
        DocumentOrigin::Url {
            url: "https://specs.example.com/catalog.swagger.json".into()
        }
    );
    assert_eq!(api.document.operations.unwrap().len(), 2);
}

#[test]
fn a_document_that_cannot_be_fetched_has_the_class_of_the_failure() {
    let world = World {
        document: DocumentFacts::Failed {
            class: ErrorClass::Transient,
            message: "the server answered 503".into(),
        },
        ..World::default()
    };
    let rejection = world.validate(&meta(&[]), &with_url()).unwrap_err();
    assert_eq!(
        (
            rejection.class,
            rejection.reason,
            rejection.to_string().as_str()
        ),
        (
            ErrorClass::Transient,
            Reason::DocumentUnavailable,
            "spec.specification: `https://specs.example.com/catalog.swagger.json` could not be fetched: the server \
             answered 503"
        )
    );
}

#[test]
fn offline_the_url_stands_for_the_document() {
    let world = World {
        document: DocumentFacts::NotTried,
        ..World::default()
    };
    let api = build(&world.validate(&meta(&[]), &with_url()).unwrap())
        .api
        .unwrap();
    assert_eq!(api.document.format, ImportFormat::SwaggerLinkJson);
    assert_eq!(api.document.operations, None);
    assert_eq!(
        api.document.hash,
        crate::names::ContentHash::of("https://specs.example.com/catalog.swagger.json")
    );
}

#[test]
fn an_instance_may_leave_fetching_to_api_management() {
    let world = World::with(instance("eu", &json!({"specification": {"fetch": "Link"}})));
    assert_eq!(
        world.inquire(&meta(&[]), &with_url()).document(),
        DocumentNeed::Nothing
    );
    let api = build(&world.validate(&meta(&[]), &with_url()).unwrap())
        .api
        .unwrap();
    assert_eq!(
        api.document.value,
        "https://specs.example.com/catalog.swagger.json"
    );
    // Without the document, nobody knows where an external implementation is.
    let mut external = with_url();
    external["implementation"] = json!("<external>");
    assert!(matches!(
        world.inquire(&meta(&[]), &external).document(),
        DocumentNeed::Fetch(_)
    ));
}

#[test]
fn a_document_that_is_too_large_goes_by_its_url_or_is_refused() {
    let mut large = document();
    large["info"]["description"] = json!("x".repeat(crate::openapi::MAX_INLINE));
    let world = World {
        document: DocumentFacts::Fetched(large.to_string()),
        ..World::default()
    };
    let desired = build(&world.validate(&meta(&[]), &with_url()).unwrap());
    let imported = desired.api.unwrap().document;
    assert_eq!(imported.format, ImportFormat::OpenApiJsonLink);
    assert_eq!(
        imported.value,
        "https://specs.example.com/catalog.swagger.json"
    );
    assert_eq!(imported.operations.unwrap().len(), 2);
    assert!(
        desired.warnings[0]
            .message
            .contains("it fetches the document from the URL itself")
    );
    let inline = spec(&json!({"specification": large}));
    let refusal = World::default().refusal(&meta(&[]), &inline);
    assert!(
        refusal[0].contains("API Management imports at most 4194304 inline"),
        "{refusal:?}"
    );
}

#[test]
fn without_a_document_a_catch_all_is_generated_and_status_says_so() {
    let desired = build(
        &World::default()
            .validate(
                &meta(&[]),
                &spec(&json!({"specification": null, "apiType": "mcp"})),
            )
            .unwrap(),
    );
    let imported = desired.api.unwrap().document;
    assert_eq!(imported.origin, DocumentOrigin::Generated);
    let operations: Vec<_> = imported
        .operations
        .unwrap()
        .into_iter()
        .map(|o| format!("{} {}", o.method, o.url_template))
        .collect();
    assert_eq!(
        operations,
        [
            "GET /*",
            "POST /*",
            "PUT /*",
            "PATCH /*",
            "DELETE /*",
            "HEAD /*"
        ]
    );
    assert_eq!(
        desired
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        [
            "spec.specification: is missing: one operation for each of GET, POST, PUT, PATCH, DELETE and HEAD on \
             `/*` was generated instead"
        ]
    );
}

#[test]
fn without_an_instance_objects_wait() {
    let mut world = World::default();
    world.instances.clear();
    let rejection = world.validate(&meta(&[]), &spec(&json!({}))).unwrap_err();
    assert_eq!(
        (rejection.class, rejection.reason),
        (ErrorClass::Waiting, Reason::NoInstance)
    );
}

#[test]
fn an_instance_that_azure_was_not_asked_about_is_waited_for() {
    let world = World {
        context: None,
        ..World::default()
    };
    let rejection = world.validate(&meta(&[]), &spec(&json!({}))).unwrap_err();
    assert_eq!(
        (rejection.class, rejection.reason),
        (ErrorClass::Waiting, Reason::InstanceUnavailable)
    );
}

#[test]
fn metrics_need_no_instance() {
    let mut world = World::default();
    world.instances.clear();
    world.context = None;
    let metrics = spec(&json!({"apiType": "prometheus", "specification": null}));
    let desired = build(&world.validate(&meta(&[]), &metrics).unwrap());
    assert_eq!((desired.instance, desired.api), (None, None));
    let asked = world.refusal(&meta(&[("instance", "eu")]), &metrics);
    assert_eq!(asked.len(), 1);
}

#[test]
fn metrics_with_a_mistake_elsewhere_ask_for_no_instance_either() {
    let mut world = World::default();
    world.instances.clear();
    let metrics = spec(&json!({"apiType": "Prometheus", "specification": null, "port": 0}));
    assert_eq!(
        world.refusal(&meta(&[]), &metrics),
        ["spec.port: expected a port from 1 to 65535, got `0`"]
    );
}

#[test]
fn plugins_asked_for_where_none_runs_are_a_warning() {
    let metrics = spec(&json!({"apiType": "prometheus", "specification": null}));
    let desired = build(
        &World::default()
            .validate(&meta(&[("plugins", "nobody")]), &metrics)
            .unwrap(),
    );
    assert_eq!(
        desired
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        [
            "metadata.annotations[apim.oda.tmforum.org/plugins]: has no effect: this API is reached in the cluster \
             only, by its type or its segment, and no plugin runs there"
        ]
    );
}

#[test]
fn a_segment_that_an_instance_keeps_in_the_cluster_is_not_published() {
    let world = World::with(instance(
        "eu",
        &json!({"exposure": {"segments": {"managementFunction": "InCluster", "securityFunction": "InCluster"}}}),
    ));
    let built = |segment: Value| {
        let validated = world
            .validate(&meta(&[]), &spec(&json!({"segment": segment})))
            .unwrap();
        (build(&validated), validated.url())
    };
    for (segment, published) in [
        (json!(null), true),
        (json!(""), true),
        (json!("coreFunction"), true),
        (json!("managementFunction"), false),
        (json!("SecurityFunction"), false),
    ] {
        let (desired, url) = built(segment.clone());
        assert_eq!(desired.api.is_some(), published, "{segment}");
        assert_eq!(
            matches!(desired.exposure, Exposure::Ingress(_)),
            published,
            "{segment}"
        );
        let expected = if published {
            "https://gateway.azure-api.net/shop/catalog/v4"
        } else {
            "http://catalog-svc.components.svc:8080/shop/catalog/v4"
        };
        assert_eq!(url.as_deref(), Some(expected), "{segment}");
    }
}

#[test]
fn an_api_that_was_published_is_taken_out_when_its_segment_stays_in() {
    let mut world = World::with(instance(
        "eu",
        &json!({"exposure": {"segments": {"managementFunction": "InCluster"}}}),
    ));
    world.applied = Some(applied("eu", "components.catalog"));
    let validated = world
        .validate(&meta(&[]), &spec(&json!({"segment": "managementFunction"})))
        .unwrap();
    let desired = build(&validated);
    assert_eq!(
        (desired.api, desired.instance.unwrap().as_str()),
        (None, "eu")
    );
}

#[test]
fn what_cannot_be_kept_in_the_cluster_is_an_error_where_that_matters() {
    let by_segment = World::with(instance(
        "eu",
        &json!({"exposure": {"segments": {"managementFunction": "InCluster"}}}),
    ));
    let odd = spec(&json!({"segment": "managmentFunction"}));
    assert_eq!(
        by_segment.refusal(&meta(&[]), &odd),
        [
            "spec.segment: `managmentFunction` is no segment, and instance `eu` publishes by segment; write one of \
             `coreFunction`, `managementFunction`, `securityFunction`"
        ]
    );
    assert!(World::default().validate(&meta(&[]), &odd).is_ok());
    let external = spec(&json!({"segment": "managementFunction", "implementation": "<external>"}));
    assert_eq!(
        by_segment.refusal(&meta(&[]), &external),
        [
            "spec.segment: instance `eu` keeps APIs of segment `managementFunction` in the cluster \
             (`exposure.segments`), and this one is implemented outside of it (`spec.implementation`)"
        ]
    );
}

#[test]
fn a_published_object_keeps_its_instance_and_id() {
    let mut world = World::with(instance(
        "eu",
        &json!({"ownerMay": ["*"], "allow": {"apiIds": ["*"]}}),
    ));
    world
        .instances
        .push(std::sync::Arc::new(instance("default", &json!({}))));
    world.applied = Some(applied("eu", "legacy"));
    let place = |world: &World, annotations: &[(&str, &str)]| {
        let desired = build(
            &world
                .validate(&meta(annotations), &spec(&json!({})))
                .unwrap(),
        );
        (
            desired.instance.unwrap().to_string(),
            desired.api.unwrap().id.to_string(),
        )
    };
    assert_eq!(place(&world, &[]), ("eu".into(), "legacy".into()));
    assert_eq!(
        place(&world, &[("api-id", "new")]),
        ("eu".into(), "new".into())
    );
    world.applied = None;
    assert_eq!(
        place(&world, &[]),
        ("default".into(), "components.catalog".into())
    );
    // Another instance, another id.
    world.applied = Some(applied("default", "legacy"));
    assert_eq!(
        place(&world, &[("instance", "eu")]),
        ("eu".into(), "components.catalog".into())
    );
}

#[test]
fn a_published_object_whose_instance_went_away_stays_and_is_stuck() {
    let mut world = World {
        applied: Some(applied("eu", "legacy")),
        ..World::default()
    };
    let rejection = world.validate(&meta(&[]), &spec(&json!({}))).unwrap_err();
    assert_eq!(
        (rejection.class, rejection.reason),
        (ErrorClass::Invalid, Reason::NotServed)
    );
    assert_eq!(
        rejection.to_string(),
        "metadata.annotations[apim.oda.tmforum.org/instance]: the API is published in instance `eu`, which does \
         not exist any more, or its settings are wrong; it stays published as it is. Restore the instance, or name \
         another one in this annotation (serving this namespace: `default`)"
    );
    world.instances = vec![std::sync::Arc::new(instance(
        "eu",
        &json!({"namespaceSelector": null}),
    ))];
    let rejection = world.validate(&meta(&[]), &spec(&json!({}))).unwrap_err();
    assert_eq!(rejection.reason, Reason::NotServed);
    assert!(
        rejection
            .to_string()
            .contains("which does not serve this namespace any more")
    );
}

#[test]
fn invalid_input_outweighs_what_is_waited_for() {
    let mut world = World::default();
    world.instances.clear();
    let rejection = world
        .validate(&meta(&[]), &spec(&json!({"port": 0})))
        .unwrap_err();
    assert_eq!(
        (rejection.class, rejection.reason),
        (ErrorClass::Invalid, Reason::InvalidSpec)
    );
    assert_eq!(rejection.problems.len(), 2);
}

#[test]
fn more_operations_than_the_tier_takes_are_refused_with_limit_value_tier_and_way_out() {
    let paths: serde_json::Map<String, Value> = (0..101)
        .map(|number| {
            let operation = json!({"responses": {"200": {"description": ""}}});
            (format!("/items/{number}"), json!({"get": operation}))
        })
        .collect();
    let document = json!({
        "openapi": "3.0.3",
        "info": {"title": "Items", "version": "1"},
        "paths": paths,
    });
    let spec = spec(&json!({"specification": document.to_string()}));
    let mut world = World::default();
    assert!(world.validate(&meta(&[]), &spec).is_ok());
    if let Some(context) = &mut world.context {
        context.sku = "BasicV2".into();
    }
    let rejection = world.validate(&meta(&[]), &spec).unwrap_err();
    assert_eq!(
        (rejection.class, rejection.reason),
        (ErrorClass::Invalid, Reason::TierLimit)
    );
    assert_eq!(
        rejection.to_string(),
        "spec.specification: its operations: 101 exceed the limit `operations per API` of the BasicV2 tier, which is \
         100; split the document into several ExposedAPIs, or use an instance of another tier"
    );
}

const OPERATIONS: &str = "[{id: listItems, method: GET, urlTemplate: /items}]";

/// An instance that lets owners declare operations.
fn lets_declare() -> World {
    World {
        instances: vec![Arc::new(instance(
            "default",
            &json!({"ownerMay": ["operations"]}),
        ))],
        ..World::default()
    }
}

#[test]
fn declared_operations_are_imported_as_a_document_that_is_made_of_them() {
    let without = spec(&json!({"specification": null}));
    let annotated = meta(&[("operations", OPERATIONS)]);
    let list: Value = json!([{"id": "listItems", "method": "GET", "urlTemplate": "/items"}]);
    let in_spec = spec(&json!({"specification": null, "operations": list}));
    let world = lets_declare();
    let one = build(&world.validate(&annotated, &without).unwrap());
    let other = build(&world.validate(&meta(&[]), &in_spec).unwrap());
    let (one, other) = (one.api.unwrap().document, other.api.unwrap().document);
    assert_eq!(one, other);
    assert_eq!(one.origin, DocumentOrigin::Declared);
    let operations = one.operations.unwrap();
    assert_eq!(operations.len(), 1);
    assert_eq!(operations[0].operation_id.as_deref(), Some("listItems"));
}

#[test]
fn operations_are_declared_once_and_instead_of_a_document() {
    let list = json!([{"id": "listItems", "method": "GET", "urlTemplate": "/items"}]);
    let annotated = meta(&[("operations", OPERATIONS)]);
    let twice = spec(&json!({"specification": null, "operations": list}));
    assert_eq!(
        lets_declare().refusal(&annotated, &twice),
        [
            "metadata.annotations[apim.oda.tmforum.org/operations]: is there too; write operations there or in \
             `spec.operations`, not in both"
        ]
    );
    assert_eq!(
        lets_declare().refusal(&annotated, &spec(&json!({}))),
        [
            "metadata.annotations[apim.oda.tmforum.org/operations]: stands beside `spec.specification`, which has \
             operations of its own; remove one of the two"
        ]
    );
}

#[test]
fn owners_declare_operations_only_where_the_instance_lets_them_in_the_spec_too() {
    let list = json!([{"id": "listItems", "method": "GET", "urlTemplate": "/items"}]);
    let in_spec = spec(&json!({"specification": null, "operations": list}));
    let annotated = meta(&[("operations", OPERATIONS)]);
    let world = World::default();
    for (object, spec, place) in [
        (meta(&[]), in_spec, "spec.operations: "),
        (
            annotated,
            spec(&json!({"specification": null})),
            "metadata.annotations[apim.oda.tmforum.org/operations]: ",
        ),
    ] {
        let refusal = world.refusal(&object, &spec);
        assert_eq!(refusal.len(), 1, "{refusal:?}");
        assert!(refusal[0].starts_with(place), "{refusal:?}");
        assert!(
            refusal[0].contains("does not let API owners set `operations`"),
            "{refusal:?}"
        );
    }
}

const IN_MAP: &str = "configMap: {name: spec, key: openapi.yaml}";
const IN_SECRET: &str = "secret: {name: spec, key: openapi.yaml}";

/// A world whose owners may say where a document lies, and what was found there.
fn with_place(facts: DocumentFacts) -> World {
    let more =
        json!({"ownerMay": ["plugins", "operation-plugins", "operations", "specification-from"]});
    World {
        document: facts,
        ..World::with(instance("default", &more))
    }
}

fn without_document() -> Value {
    let mut spec = spec(&json!({}));
    spec.as_object_mut().unwrap().remove("specification");
    spec
}

#[test]
fn a_document_that_lies_in_the_cluster_is_taken_and_imported() {
    let object = meta(&[("specification-from", IN_MAP), ("plugins", "")]);
    let world = with_place(DocumentFacts::Fetched(document().to_string()));
    let inquiry = world.inquire(&object, &without_document());
    let DocumentNeed::Take(from) = inquiry.document() else {
        panic!("{:?}", inquiry.document());
    };
    assert_eq!(from.to_string(), "key `openapi.yaml` of ConfigMap `spec`");
    let validated = world.validate(&object, &without_document()).unwrap();
    let imported = build(&validated).api.unwrap().document;
    assert_eq!(imported.origin, DocumentOrigin::From(from));
    assert_eq!(imported.operations.map(|made| made.len()), Some(2));
    assert_eq!(
        serde_json::to_value(&imported.origin).unwrap(),
        json!({"kind": "from", "configMap": {"name": "spec", "key": "openapi.yaml"}})
    );

    let waiting = with_place(DocumentFacts::Failed {
        class: ErrorClass::Waiting,
        message: "ConfigMap `components/spec` is not there".into(),
    });
    let rejection = waiting.validate(&object, &without_document()).unwrap_err();
    assert_eq!(
        (
            rejection.class,
            rejection.reason,
            rejection.to_string().as_str()
        ),
        (
            ErrorClass::Waiting,
            Reason::DocumentUnavailable,
            "metadata.annotations[apim.oda.tmforum.org/specification-from]: ConfigMap `components/spec` is not there"
        )
    );
    // Nobody looked: the place stands for the document.
    let offline = with_place(DocumentFacts::NotTried);
    let validated = offline.validate(&object, &without_document()).unwrap();
    assert_eq!(build(&validated).api.unwrap().document.operations, None);
}

#[test]
fn nothing_that_is_said_of_a_document_in_a_secret_quotes_it() {
    let place = "metadata.annotations[apim.oda.tmforum.org/specification-from]: key `openapi.yaml` of Secret `spec`: ";
    let object = meta(&[("specification-from", IN_SECRET), ("plugins", "")]);
    let refusal = |text: &str| {
        let world = with_place(DocumentFacts::Fetched(text.to_owned()));
        world.refusal(&object, &without_document()).remove(0)
    };
    for (text, said) in [
        (
            "openapi: 3.0.3\ninfo: {hunter2: ]",
            "the OpenAPI document is not valid YAML: line 2, column 7; what is wrong is not told here",
        ),
        (
            "openapi: 3.0.3\npaths: {'/{hunter2}': {get: {responses: {}}}}",
            "API Management would refuse the OpenAPI document for ",
        ),
    ] {
        let told = refusal(text);
        assert!(told.starts_with(&format!("{place}{said}")), "{told}");
        assert!(
            told.ends_with("`apim-operator lint` tells it where the document is kept"),
            "{told}"
        );
        assert!(!told.contains("hunter2"), "{told}");
    }
    assert_eq!(
        refusal("openapi: hunter2"),
        format!(
            "{place}the version in `openapi` is not supported; use Swagger 2.0, OpenAPI 3.0 or OpenAPI 3.1"
        )
    );
    let lacking = meta(&[
        ("specification-from", IN_SECRET),
        ("plugins", ""),
        ("operation-plugins", "{listItem: {plugins: share}}"),
    ]);
    let world = with_place(DocumentFacts::Fetched(document().to_string()));
    let said = world.refusal(&lacking, &without_document()).remove(0);
    assert!(
        said.contains(
            "the API has no operation `listItem`; which ones it has stands in the document"
        ) && !said.contains("listItems"),
        "{said}"
    );
}

#[test]
fn a_document_lies_in_one_place_which_owners_may_name() {
    let object = meta(&[("specification-from", IN_MAP), ("plugins", "")]);
    let world = with_place(DocumentFacts::NotTried);
    let at = "metadata.annotations[apim.oda.tmforum.org/specification-from]: ";
    assert_eq!(
        world.refusal(&object, &spec(&json!({}))),
        [format!(
            "{at}stands beside `spec.specification`, which is a document, too; remove one of the two"
        )]
    );
    let declared = meta(&[
        ("specification-from", IN_MAP),
        ("plugins", ""),
        ("operations", "[{id: a, method: GET, urlTemplate: /a}]"),
    ]);
    let said = world.refusal(&declared, &without_document()).remove(0);
    assert!(
        said.contains("operations]: stands beside `metadata.annotations[apim.oda.tmforum.org/specification-from]`"),
        "{said}"
    );
    let mut outside = without_document();
    outside["implementation"] = "<external>".into();
    for from in [IN_SECRET, "service: {}"] {
        let object = meta(&[("specification-from", from), ("plugins", "")]);
        let said = world.refusal(&object, &outside).remove(0);
        assert!(said.contains("put it into a ConfigMap"), "{said}");
    }
    let said = World::default()
        .refusal(&object, &without_document())
        .remove(0);
    assert!(
        said.contains("does not let API owners set `specification-from`"),
        "{said}"
    );
}
