use serde_json::json;

use super::*;
use crate::validate::test_support::instance;

fn set(text: &str) -> Result<Option<VersionSetting>, String> {
    read(&yaml::read(text).unwrap())
}

fn member(set: &str, version: &str) -> Member {
    let annotations = [("version-set", set), ("version", version)];
    let annotations = annotations.map(|(key, value)| (format!("{PREFIX}{key}"), value.to_owned()));
    Member::in_object(&annotations.into()).unwrap()
}

fn sibling(name: &str, created: u8, path: &str, set: &str, version: &str) -> Sibling {
    Sibling {
        key: ObjectKey::new("shop", name),
        created: format!("2026-01-0{created}T00:00:00Z"),
        holds: true,
        path: path.to_owned(),
        member: member(set, version),
    }
}

fn told(name: &str, siblings: &[Sibling]) -> Vec<String> {
    let problems = disagreements(&ObjectKey::new("shop", name), siblings);
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_set_is_named_with_what_tells_its_versions_apart() {
    let named = |scheme| {
        Ok(Some(VersionSetting {
            name: "orders".into(),
            scheme,
        }))
    };
    assert_eq!(set("orders"), named(Scheme::Segment));
    assert_eq!(set("{name: orders}"), named(Scheme::Segment));
    assert_eq!(
        set("{name: orders, header: X-Version}"),
        named(Scheme::Header("X-Version".into()))
    );
    assert_eq!(
        set("{name: orders, query: api-version}"),
        named(Scheme::Query("api-version".into()))
    );
    assert_eq!(set(""), Ok(None));
    for (text, expected) in [
        (
            "Orders",
            "`Orders` is not the name of a version set: at most 63 lowercase letters, digits and `-`",
        ),
        (
            "{name: orders, headers: x}",
            "holds `headers`; its fields are `name`, `header`, `query`; did you mean `header`?",
        ),
        (
            "{name: orders, header: a b}",
            "`header` is \"a b\", which names no header: write 1 to 100 letters, digits, `_` and `-`",
        ),
        (
            "{name: orders, header: a, query: b}",
            "has both `header` and `query`; a version is told apart by one of them",
        ),
        (
            "[orders]",
            "expected the name of a version set, `{name, header}` or `{name, query}`",
        ),
    ] {
        assert_eq!(set(text), Err(expected.to_owned()));
    }
}

#[test]
fn a_version_can_be_a_segment_of_a_path() {
    for good in ["v1", "2", "2026-01-01", "1.0_beta"] {
        assert_eq!(ApiVersion::parse(good).unwrap().as_str(), good);
    }
    for wrong in ["", "v1/2", "1..2", ".v1", "v1-", &"v".repeat(101)] {
        let message = ApiVersion::parse(wrong).unwrap_err();
        assert!(message.contains("is not a version: 1 to 100"), "{message}");
    }
}

#[test]
fn one_annotation_needs_the_other() {
    let read = |all: &[(&str, &str)]| {
        let all = all
            .iter()
            .map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned()));
        let (_, problems) = crate::annotations::read(&all.collect());
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        read(&[("version", "v1"), ("version-set", "orders")]),
        [""; 0]
    );
    assert_eq!(
        read(&[("version", "v1")]),
        [
            "metadata.annotations[apim.oda.tmforum.org/version]: needs the annotation \
             `apim.oda.tmforum.org/version-set` beside it; write both, or neither"
        ]
    );
    assert_eq!(
        read(&[("version", ""), ("version-set", "orders")]),
        [
            "metadata.annotations[apim.oda.tmforum.org/version-set]: needs the annotation \
             `apim.oda.tmforum.org/version` beside it; write both, or neither"
        ]
    );
    assert_eq!(
        read(&[("version", "v/1"), ("version-set", "orders")]).len(),
        1
    );
}

#[test]
fn a_set_has_the_namespaces_id_and_says_how_versions_are_told_apart() {
    let instance = instance("default", &json!({"apiIdPrefix": "dev-"}));
    let by_header = member("{name: orders, header: X-Version}", "v2");
    assert_eq!(
        by_header.set_id(&instance, "shop").unwrap().as_str(),
        "dev-shop.orders"
    );
    assert_eq!(
        by_header.desired_set("0123456789", "shop").content,
        json!({
            "displayName": "orders", "description": "apim-operator/1 01234567 shop/orders",
            "versioningScheme": "Header", "versionHeaderName": "X-Version",
        })
    );
    assert_eq!(by_header.asks().unwrap(), "header `X-Version: v2`");
    assert_eq!(member("orders", "v2").asks(), None);
    let long = member(&"o".repeat(63), "v1");
    let refused = long.set_id(&instance, &"n".repeat(20)).unwrap_err();
    assert!(
        refused.to_string().contains("write a shorter name"),
        "{refused}"
    );
}

#[test]
fn each_version_has_a_path_of_its_own_in_the_cluster() {
    let below = |path: &str| {
        let path = ApiPath::parse(path).unwrap();
        member("orders", "v2")
            .below(&path)
            .map(|path| path.to_string())
    };
    assert_eq!(below("/shop/orders").unwrap(), "/shop/orders/v2");
    assert_eq!(below("/").unwrap(), "/v2");
    assert!(
        below(&"p".repeat(399))
            .unwrap_err()
            .to_string()
            .contains("at most 400")
    );
}

#[test]
fn siblings_that_agree_are_left_in_peace() {
    let all = [
        sibling("one", 1, "orders", "orders", "v1"),
        sibling("two", 2, "Orders", "orders", "v2"),
    ];
    assert_eq!(told("one", &all), [""; 0]);
    assert_eq!(told("two", &all), [""; 0]);
}

#[test]
fn who_disagrees_with_the_first_is_told_with_whom() {
    let all = [
        sibling("young", 2, "other", "{name: orders, query: v}", "v1"),
        sibling(
            "old",
            1,
            "orders",
            "{name: orders, header: X-Version}",
            "v1",
        ),
    ];
    assert_eq!(told("old", &all), [""; 0]);
    assert_eq!(
        told("young", &all),
        [
            "metadata.annotations[apim.oda.tmforum.org/version-set]: tells the versions of set `orders` apart by \
             query parameter `v`, and ExposedAPI `shop/old`, which came first, by header `X-Version`; write the same \
             in both, or name another set",
            "spec.path: is `/other`, and ExposedAPI `shop/old`, which came first in version set `orders`, has \
             `/orders`: versions of one set share a path; write the same in both, or name another set",
            "metadata.annotations[apim.oda.tmforum.org/version]: `v1` of set `orders` is ExposedAPI `shop/old`, \
             which came first; write another version",
        ]
    );
}

#[test]
fn who_is_published_comes_before_who_is_older_and_joins() {
    let mut old = sibling("old", 1, "orders", "orders", "v1");
    old.holds = false;
    let all = [
        old,
        sibling("young", 2, "orders", "{name: orders, query: v}", "v2"),
    ];
    assert_eq!(told("young", &all), [""; 0]);
    assert_eq!(told("old", &all).len(), 1);
}
