//! What is understood of routes, where they lead, and what is said of those
//! that cannot be followed.

use serde_json::{Value, json};

use crate::build::build;
use crate::desired::{Desired, DesiredRoute, Exposure};
use crate::policy::SendTo;
use crate::status;
use crate::validate::test_support::{World, instance, meta, spec};
use crate::validate::{DocumentFacts, ValidatedApi};

fn world(exposure: &Value) -> World {
    let settings = json!({"exposure": exposure, "ownerMay": ["exposure", "routes", "operations"]});
    World::with(instance("eu", &settings))
}

fn operation(id: &str) -> Value {
    json!({"operationId": id, "responses": {"200": {"description": "ok"}}})
}

/// A shop with items, orders and a search below both.
fn shop() -> Value {
    let id = json!([{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}]);
    json!({"specification": {
        "openapi": "3.0.3",
        "info": {"title": "Shop", "version": "1"},
        "paths": {
            "/items": {"get": operation("listItems"), "post": operation("addItem")},
            "/items/{id}": {"parameters": id, "get": operation("getItem")},
            "/items/search": {"get": operation("search")},
            "/orders": {"get": operation("listOrders")},
            "/orders/{id}": {"parameters": id, "get": operation("getOrder")},
            "/{id}": {"parameters": id, "get": operation("getAnything")},
        },
    }})
}

fn validated(world: &World, routes: &str) -> Result<ValidatedApi, String> {
    let mut spec = spec(&json!({}));
    spec["specification"] = shop()["specification"].clone();
    let validated = world.validate(&meta(&[("routes", routes)]), &spec);
    validated.map_err(|rejection| {
        let told = rejection.problems.iter().map(ToString::to_string);
        told.collect::<Vec<_>>().join("\n")
    })
}

fn built(world: &World, routes: &str) -> Desired {
    build(&validated(world, routes).unwrap())
}

fn rules(desired: &Desired) -> Vec<String> {
    let routes: &[DesiredRoute] = match &desired.exposure {
        Exposure::Ingress(object) => &object.routes,
        Exposure::HttpRoute(object) => &object.routes,
        Exposure::VirtualService(object) => &object.routes,
        other => panic!("{other:?}"),
    };
    let told = routes.iter().map(|route| {
        let exact = if route.exact { " exactly" } else { "" };
        format!("{}{exact} {}:{}", route.path, route.service, route.port)
    });
    told.collect()
}

const ROUTES: &str = "
- {paths: [/orders/], implementation: orders, port: 80}
- {operations: [search, addItem, listItems], implementation: search, port: '9090'}
";

#[test]
fn an_ingress_has_a_rule_for_each_path_and_operation() {
    let desired = built(&world(&json!({})), ROUTES);
    assert_eq!(
        rules(&desired),
        [
            "/items exactly search:9090",
            "/items/search exactly search:9090",
            "/orders orders:80",
        ]
    );
    let object = desired.exposure.object().unwrap();
    let spec = object.spec(&["/old".to_owned()].into());
    insta::assert_json_snapshot!(spec);
    // The paths of whole APIs, of which earlier ones are kept.
    assert_eq!((object.kind().paths)(&spec), ["/shop/catalog/v4", "/old"]);
    // Another Service is another state.
    let other = built(
        &world(&json!({})),
        &ROUTES.replace("orders, port", "others, port"),
    );
    assert_ne!(desired.hash(), other.hash());
}

#[test]
fn an_http_route_and_a_virtual_service_have_the_same_rules_in_their_words() {
    for settings in [
        json!({"way": "http-route", "httpRoute": {"parents": [{"namespace": "edge", "name": "public"}]}}),
        json!({"way": "istio", "host": "shop.example", "istio": {"gateways": ["edge/public"]}}),
    ] {
        let desired = built(&world(&settings), ROUTES);
        let object = desired.exposure.object().unwrap();
        let spec = object.spec(&["/old".to_owned()].into());
        assert_eq!((object.kind().paths)(&spec).len(), 2, "{spec}");
        insta::assert_json_snapshot!(object.kind().kind, spec);
    }
}

#[test]
fn a_parameter_ends_what_tells_operations_apart() {
    let world = world(&json!({}));
    let both = "[{operations: [getOrder, listOrders], implementation: orders, port: 80}]";
    assert_eq!(
        rules(&built(&world, both)),
        ["/orders orders:80", "/orders exactly orders:80"]
    );
    insta::assert_snapshot!(
        validated(
            &world,
            "[{operations: [getOrder, getAnything], implementation: orders, port: 80}]"
        )
        .unwrap_err()
    );
    // What has one path goes to one Service.
    insta::assert_snapshot!(
        validated(
            &world,
            "[{operations: [addItem], implementation: writer, port: 80}]"
        )
        .unwrap_err()
    );
    insta::assert_snapshot!(
        validated(
            &world,
            "[{operations: [addItem], implementation: writer, port: 80}, {operations: [listItems], implementation: reader, port: 80}]"
        )
        .unwrap_err()
    );
}

#[test]
fn in_the_cluster_api_management_sends_operations_to_their_services() {
    let world = world(&json!({"way": "in-cluster"}));
    let urls = |routes: &str| {
        let validated = validated(&world, routes).unwrap();
        let sends = validated.sends().operations.iter();
        let told = sends.map(|(id, to)| match to {
            SendTo::Url(url) => format!("{id} {url}"),
            SendTo::Backend(_) => panic!("{to:?}"),
        });
        told.collect::<Vec<_>>()
    };
    // Methods are told apart here.
    assert_eq!(
        urls(
            "[{paths: [/orders], implementation: orders, port: 80}, {operations: [addItem, getOrder], implementation: writer, port: 81}]"
        ),
        [
            "additem http://writer.components.svc:81/shop/catalog/v4",
            "getorder http://writer.components.svc:81/shop/catalog/v4",
            "listorders http://orders.components.svc:80/shop/catalog/v4",
        ]
    );
    insta::assert_snapshot!(
        validated(
            &world,
            "[{paths: [/orders/new], implementation: orders, port: 80}]"
        )
        .unwrap_err()
    );
}

#[test]
fn each_mistake_is_named_with_its_place() {
    let world = world(&json!({}));
    insta::assert_snapshot!(validated(&world, "
- {paths: [orders, '/orders/{id}', /, /a/../b, https://shop.example/orders], implementation: Orders, port: 0}
- {paths: [/orders], operations: [search], implementation: orders, port: 80, service: x}
- {paths: [/orders], operations: [search], implementation: others, port: 80000}
- {paths: [/items], implementation: same, port: 80}
- {operations: [addItem], implementation: same, port: '80'}
- {operations: addItem, implementation: x, port: 80}
- {implementation: y, port: 80}
- {paths: [/z]}
- 7
").unwrap_err());
    insta::assert_snapshot!(
        validated(
            &world,
            "
- {operations: [listItem, search], implementation: orders, port: 80}
- {operations: [Search, getitem], implementation: others, port: 81}
- {operations: [getItem], implementation: more, port: 81}
"
        )
        .unwrap_err()
    );
    assert_eq!(
        validated(&world, "{}").unwrap_err(),
        "metadata.annotations[apim.oda.tmforum.org/routes]: expected a list of routes, as `[{paths: [/orders], implementation: orders, port: 8080}]`"
    );
    assert_eq!(
        validated(&world, "[]").unwrap_err(),
        "metadata.annotations[apim.oda.tmforum.org/routes]: holds 0 routes; write 1 to 15, or remove it to have `spec.implementation` answer everything"
    );
}

#[test]
fn a_path_without_operations_is_a_warning() {
    let desired = built(
        &world(&json!({})),
        "[{paths: [/order], implementation: orders, port: 80}]",
    );
    let told = status::summary(&desired.warnings);
    // `GET /{id}` takes it.
    assert!(!told.contains("routes"), "{told}");
    let desired = built(
        &world(&json!({})),
        "[{paths: [/items/search/more], implementation: orders, port: 80}]",
    );
    assert_eq!(
        desired.warnings.first().map(ToString::to_string).unwrap(),
        "metadata.annotations[apim.oda.tmforum.org/routes] /0/paths/0: `/items/search/more` takes no request: the document has no operation there, and a route's path is below the API's own (`spec.path`)"
    );
}

#[test]
fn what_leads_to_one_service_refuses_routes() {
    let route = "[{paths: [/orders], implementation: orders, port: 80}]";
    let mut nodes = world(&json!({"way": "node-port", "nodePort": {"address": "nodes.example"}}));
    nodes.exposure.assumed_origin = Some("http://nodes".into());
    insta::assert_snapshot!(validated(&nodes, route).unwrap_err());
    let outside = spec(&json!({"implementation": "<external>"}));
    insta::assert_snapshot!(
        world(&json!({}))
            .refusal(&meta(&[("routes", route)]), &outside)
            .join("\n")
    );
}

#[test]
fn the_field_of_the_spec_means_the_same_and_both_are_too_many() {
    let route = json!([{"paths": ["/item"], "implementation": "items", "port": 80}]);
    let in_spec = spec(&json!({"routes": route}));
    let open = world(&json!({}));
    let validated = open.validate(&meta(&[]), &in_spec).unwrap();
    assert_eq!(rules(&build(&validated)), ["/item items:80"]);
    let both = meta(&[(
        "routes",
        "[{paths: [/item], implementation: items, port: 80}]",
    )]);
    assert_eq!(
        open.refusal(&both, &in_spec),
        [
            "metadata.annotations[apim.oda.tmforum.org/routes]: is there too; write routes there or in `spec.routes`, not in both"
        ]
    );
    // The platform decides for both.
    let closed = World::default();
    for (meta, spec) in [(meta(&[]), in_spec), (both, spec(&json!({})))] {
        let told = closed.refusal(&meta, &spec).join("\n");
        assert!(
            told.contains("does not let API owners set `routes`"),
            "{told}"
        );
    }
}

#[test]
fn without_the_document_only_paths_can_be_followed() {
    let mut world = World::with(instance(
        "eu",
        &json!({"specification": {"fetch": "Link"}, "ownerMay": ["routes"]}),
    ));
    let mut spec = spec(&json!({}));
    spec["specification"] = json!({"url": "https://docs.example/shop.json"});
    let attempt = |world: &World, routes: &str| {
        let validated = world.validate(&meta(&[("routes", routes)]), &spec);
        validated.map(|validated| rules(&build(&validated)))
    };
    let by_path = "[{paths: [/orders], implementation: orders, port: 80}]";
    assert_eq!(attempt(&world, by_path).unwrap(), ["/orders orders:80"]);
    let by_operation = "[{operations: [search], implementation: orders, port: 80}]";
    let refused = attempt(&world, by_operation).unwrap_err();
    assert_eq!(
        status::summary(&refused.problems),
        "metadata.annotations[apim.oda.tmforum.org/routes]: depends on the operations of the document, which instance `eu` leaves to API Management (`specification.fetch: Link`); write `paths` instead of `operations`"
    );
    // Nobody looked.
    world.document = DocumentFacts::NotTried;
    assert_eq!(attempt(&world, by_operation).unwrap(), [""; 0]);
}

#[test]
fn what_a_secret_holds_is_not_told() {
    let mut world = World::with(instance(
        "eu",
        &json!({"ownerMay": ["routes", "specification-from"]}),
    ));
    world.document = DocumentFacts::Fetched(shop()["specification"].to_string());
    let mut spec = spec(&json!({}));
    spec["specification"] = Value::Null;
    let annotations = [
        ("specification-from", "secret: {name: docs, key: shop.json}"),
        (
            "routes",
            "[{operations: [addItem], implementation: writer, port: 80}]",
        ),
    ];
    let told = world.refusal(&meta(&annotations), &spec).join("\n");
    assert!(
        told.contains("by its path, another operation would go to `writer:80`, too"),
        "{told}"
    );
    assert!(!told.contains("listItems"), "{told}");
}
