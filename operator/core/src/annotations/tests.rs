use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::names::ObjectKey;
use crate::validate::test_support::{instance, meta};

fn of(annotations: &[(&str, &str)]) -> (Annotations, Vec<String>) {
    let (read, problems) = read(&meta(annotations).annotations);
    (read, problems.iter().map(ToString::to_string).collect())
}

fn problem(key: &str, value: &str) -> String {
    let (_, problems) = of(&[(key, value)]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0]
        .strip_prefix("metadata.annotations[apim.oda.tmforum.org/")
        .unwrap()
        .to_owned()
}

fn good(key: &str, value: &str) -> Annotations {
    let (read, problems) = of(&[(key, value)]);
    assert_eq!(problems, [""; 0]);
    read
}

fn names(plugins: &[PluginName]) -> Vec<&str> {
    plugins.iter().map(PluginName::as_str).collect()
}

#[test]
fn plugins_is_a_list_with_commas() {
    let read = good("plugins", " guard, share ,headers");
    assert_eq!(names(&read.plugins.unwrap()), ["guard", "share", "headers"]);
    assert_eq!(good("plugins", "").plugins, Some(vec![]));
    assert_eq!(of(&[]).0.plugins, None);
}

#[test]
fn a_plugin_that_is_listed_twice_is_an_error() {
    assert_eq!(
        problem("plugins", "guard, share, guard"),
        "plugins]: lists `guard` twice; remove one of the two"
    );
    assert_eq!(
        problem("plugins", "guard,,share"),
        "plugins]: holds an empty name; remove the comma that is too many"
    );
    assert_eq!(
        problem("plugins", "Guard"),
        "plugins]: `Guard` is not a plugin name: lowercase letters, digits and `-`, at most 56, no `-` at \
         either end"
    );
}

#[test]
fn config_is_yaml_or_json() {
    let name = PluginName::parse("guard").unwrap();
    let expected = json!({"calls": 5, "tags": ["a", "b"]});
    for text in [
        "calls: 5\ntags: [a, b]",
        r#"{"calls": 5, "tags": ["a", "b"]}"#,
    ] {
        assert_eq!(good("plugin.guard", text).configs[&name], expected);
    }
    assert_eq!(good("plugin.guard", "").configs[&name], json!({}));
}

#[test]
fn config_that_is_no_object_is_an_error() {
    assert_eq!(
        problem("plugin.guard", "- a"),
        "plugin.guard]: expected an object such as `{key: value}`, got a list"
    );
    assert_eq!(
        problem("plugin.guard", "5"),
        "plugin.guard]: expected an object such as `{key: value}`, got a single value"
    );
    insta::assert_snapshot!(problem("plugin.guard", "a: [1, 2"));
    insta::assert_snapshot!(problem("plugin.guard", "a: 1\nb: 2\na: 3"));
}

#[test]
fn hostile_yaml_is_a_clear_error() {
    insta::assert_snapshot!(problem("plugin.guard", "a: &a\n  b: *a\n"));
    let laughs = (0..12).fold("a0: &a0 [x]\n".to_owned(), |text, i| {
        let refs = vec![format!("*a{i}"); 10].join(", ");
        format!("{text}a{}: &a{} [{refs}]\n", i + 1, i + 1)
    });
    insta::assert_snapshot!(problem("plugin.guard", &laughs));
    insta::assert_snapshot!(problem("plugin.guard", &"[".repeat(5000)));
    let many = format!("a: [{}]", "1,".repeat(120_000));
    assert_eq!(many.len(), 240_004 + 1);
    insta::assert_snapshot!(problem("plugin.guard", &many));
    assert_eq!(
        problem("plugin.guard", &"x".repeat(300_000)),
        "plugin.guard]: the text has 300000 bytes; at most 262144 are read"
    );
}

#[test]
fn an_unknown_key_offers_the_nearest() {
    for (key, expected) in [
        (
            "plugin",
            "plugin]: `plugin` is not a key of apim-operator; did you mean `plugin.<name>`?",
        ),
        (
            "plugns",
            "plugns]: `plugns` is not a key of apim-operator; did you mean `plugins`?",
        ),
        (
            "ingres-host",
            "ingres-host]: `ingres-host` is not a key of apim-operator; did you mean `ingress-host`?",
        ),
        ("zzz", "zzz]: `zzz` is not a key of apim-operator"),
    ] {
        assert_eq!(problem(key, "x"), expected);
    }
}

#[test]
fn adoption_and_drift_are_one_of_three_words() {
    assert_eq!(good("adoption", "Match").adoption, Adoption::Match);
    assert_eq!(good("adoption", "").adoption, Adoption::Refuse);
    assert_eq!(good("drift", "Report").drift, Drift::Report);
    assert_eq!(good("drift", "Off").drift, Drift::Off);
    assert_eq!(
        problem("adoption", "override"),
        "adoption]: expected `Refuse`, `Match` or `Override`, got `override`; did you mean `Override`?"
    );
    assert_eq!(
        problem("drift", "never"),
        "drift]: expected `Correct`, `Report` or `Off`, got `never`"
    );
}

#[test]
fn products_are_ids_of_which_each_stands_once() {
    let names = |text: &str| {
        let read = good("products", text).products;
        let all: Vec<String> = read.iter().map(ToString::to_string).collect();
        all.join(" ")
    };
    assert_eq!(names("gold, shop.Silver"), "gold shop.Silver");
    assert_eq!(names(""), "");
    assert_eq!(
        problem("products", "gold, Gold"),
        "products]: lists product `Gold` twice; remove one of the two"
    );
    assert_eq!(
        problem("products", "gold,"),
        "products]: holds an empty name; remove the comma that is too many"
    );
    assert_eq!(
        problem("products", "go/ld"),
        "products]: `go/ld` is not the id of a product: 1 to 256 letters, digits, `.`, `_` and `-`"
    );
}

#[test]
fn profiles_are_a_list_of_names_each_at_most_once() {
    let names = good("profiles", "gold, partner-jwt").profiles;
    let names: Vec<&str> = names.iter().map(ProfileName::as_str).collect();
    assert_eq!(names, ["gold", "partner-jwt"]);
    assert!(good("profiles", " ").profiles.is_empty());
    assert_eq!(
        problem("profiles", "gold, gold"),
        "profiles]: lists `gold` twice; remove one of the two"
    );
    assert!(problem("profiles", "Gold").contains("is not a profile name"));
}

#[test]
fn rollout_and_rollback_are_read() {
    let rollout = good("rollout", "{strategy: Revision, keep: 5}")
        .rollout
        .unwrap();
    assert_eq!(rollout.keep, Some(5));
    assert_eq!(good("rollout", "").rollout, None);
    assert_eq!(good("rollback", "2").rollback.unwrap().revision, 2);
    assert_eq!(good("rollback", " ").rollback, None);
    assert_eq!(
        problem("rollback", "x"),
        "rollback]: `x` is not the number of a revision; write that of the revision that callers are to reach, such \
         as `3`"
    );
    assert_eq!(
        problem("rollout", "blue-green"),
        "rollout]: `blue-green` is not a strategy; there are `InPlace` and `Revision`"
    );
}

#[test]
fn foreign_annotations_are_not_looked_at() {
    let annotations = BTreeMap::from([("example.com/plugins".to_owned(), "???".to_owned())]);
    assert_eq!(read(&annotations), (Annotations::default(), vec![]));
}

#[test]
fn flags_and_choices_are_exact() {
    assert!(good("paused", "true").paused);
    assert!(!good("paused", "false").paused);
    assert_eq!(
        problem("paused", "yes"),
        "paused]: expected `\"true\"` or `\"false\"`, got `yes`"
    );
    assert_eq!(
        good("deletion-policy", "Retain").deletion_policy,
        DeletionPolicy::Retain
    );
    assert_eq!(
        problem("deletion-policy", "retain"),
        "deletion-policy]: expected `Delete` or `Retain`, got `retain`; did you mean `Retain`?"
    );
}

#[test]
fn the_deletion_policy_is_read_whatever_else_is_wrong() {
    let (read, problems) = of(&[
        ("deletion-policy", "Retain"),
        ("plugins", "a,a"),
        ("nonsense", ""),
    ]);
    assert_eq!(read.deletion_policy, DeletionPolicy::Retain);
    assert_eq!(problems.len(), 2);
}

#[test]
fn ids_hosts_and_names_are_checked() {
    assert_eq!(
        problem("api-id", "a;rev=2"),
        "api-id]: `a;rev=2` is not an API id: 1 to 256 letters, digits, `.`, `_` and `-`"
    );
    assert_eq!(
        problem("ingress-host", "https://a.example"),
        "ingress-host]: `https://a.example` is not a host: write a DNS name in lowercase, without scheme and \
         port"
    );
    assert_eq!(
        good("ingress-host", "*.a.example").ingress_host.as_deref(),
        Some("*.a.example")
    );
    assert_eq!(
        problem("ingress-tls-secret", "My Secret"),
        "ingress-tls-secret]: `My Secret` is not the name of an object: write lowercase letters, digits, `-` \
         and `.`"
    );
    assert_eq!(
        problem("instance", "EU west"),
        "instance]: `EU west` is not the name of an APIM instance: lowercase letters, digits, `-` and `.`"
    );
}

#[test]
fn ingress_annotations_are_a_map_of_texts() {
    let read = good("ingress-annotations", "example.com/size: 8m\nb: 5\nc: true");
    assert_eq!(
        read.ingress_annotations,
        BTreeMap::from([
            ("example.com/size".into(), "8m".into()),
            ("b".into(), "5".into()),
            ("c".into(), "true".into()),
        ])
    );
    assert_eq!(
        problem("ingress-annotations", "a: [1]"),
        "ingress-annotations]: the value of `a` is not a text"
    );
    assert_eq!(
        problem("ingress-annotations", "a b: x"),
        "ingress-annotations]: `a b` cannot be the key of an annotation"
    );
}

#[test]
fn operation_plugins_name_plugins_and_config() {
    let read = good(
        "operation-plugins",
        "listItems: {plugins: 'throttle, headers', config: {throttle: {calls: 5}}}\n\
         deleteItem: {plugins: guard, profiles: 'gold, partner'}",
    );
    let [list, delete] = &read.operation_plugins[..] else {
        panic!("{read:?}")
    };
    assert_eq!(list.operation, "listItems");
    assert_eq!(names(&list.plugins), ["throttle", "headers"]);
    assert_eq!(
        list.configs,
        BTreeMap::from([(PluginName::parse("throttle").unwrap(), json!({"calls": 5}))])
    );
    assert_eq!(names(&delete.plugins), ["guard"]);
    let profiles: Vec<_> = delete.profiles.iter().map(ProfileName::as_str).collect();
    assert_eq!(profiles, ["gold", "partner"]);
    assert_eq!(read.profile_names().len(), 2);
}

#[test]
fn operation_plugins_are_as_strict_as_the_others() {
    for (text, expected) in [
        (
            "a: {plugins: 'x, x'}",
            "operation-plugins] /a/plugins: lists `x` twice; remove one of the two",
        ),
        (
            "a: {plugins: throttle, config: {throtle: {}}}",
            "operation-plugins] /a/config/throtle: `throtle` is not among the `plugins` of this operation; did \
             you mean `throttle`?",
        ),
        (
            "a/b: {plugin: throttle}",
            "operation-plugins] /a~1b: holds `plugin`; the fields are `plugins`, `profiles` and `config`; did \
             you mean `plugins`?",
        ),
        (
            "a: [x]",
            "operation-plugins] /a: expected `{plugins: \"a, b\", config: {…}}`",
        ),
        (
            "a: {plugins: [x]}",
            "operation-plugins] /a/plugins: expected a text with names separated by commas",
        ),
        (
            "a: {profiles: [x]}",
            "operation-plugins] /a/profiles: expected a text with names separated by commas",
        ),
        (
            "a: {profiles: 'x, x'}",
            "operation-plugins] /a/profiles: lists `x` twice; remove one of the two",
        ),
        (
            "a: {plugins: x, config: {x: 5}}",
            "operation-plugins] /a/config/x: expected an object",
        ),
    ] {
        assert_eq!(problem("operation-plugins", text), expected);
    }
}

fn forbidden(annotations: &[(&str, &str)], more: &Value) -> Vec<String> {
    let (read, problems) = of(annotations);
    assert_eq!(problems, [""; 0]);
    read.forbidden(
        &ObjectKey::new("components", "catalog"),
        &instance("eu", more),
    )
    .iter()
    .map(ToString::to_string)
    .collect()
}

#[test]
fn owners_may_set_what_the_instance_lists() {
    let own = [
        ("plugins", "guard"),
        ("plugin.guard", ""),
        (
            "operation-plugins",
            "a: {plugins: guard, config: {guard: {}}}",
        ),
        ("deletion-policy", "Retain"),
        ("paused", "true"),
        ("retry", "1"),
        ("ingress-tls-secret", "cert"),
        ("applied", "{}"),
    ];
    assert_eq!(forbidden(&own, &json!({})), [""; 0]);
}

#[test]
fn each_forbidden_annotation_is_an_error_that_names_the_instance() {
    for (key, value) in [
        ("instance", "eu"),
        ("api-id", "components.x"),
        ("ingress-class", "nginx"),
    ] {
        assert_eq!(
            forbidden(&[(key, value)], &json!({})),
            [format!(
                "metadata.annotations[apim.oda.tmforum.org/{key}]: instance `eu` does not let API owners set \
                 `{key}`; it lets them set `plugins`, `plugin.*`, `operation-plugins`, `deletion-policy`, \
                 `paused`, `retry`, `ingress-tls-secret`. Remove it, or ask the platform team to add \
                 it to `ownerMay`"
            )]
        );
    }
}

#[test]
fn an_empty_list_forbids_everything_but_the_operators_own_note() {
    let none = json!({"ownerMay": []});
    assert_eq!(
        forbidden(&[("paused", "true"), ("applied", "x")], &none),
        [
            "metadata.annotations[apim.oda.tmforum.org/paused]: instance `eu` does not let API owners set \
             `paused`; it lets them set none. Remove it, or ask the platform team to add it to \
             `ownerMay`"
        ]
    );
}

#[test]
fn config_for_an_operation_needs_the_right_to_config_for_the_api() {
    let text = "a: {plugins: 'guard, headers', config: {guard: {}, headers: {}}}";
    assert_eq!(
        forbidden(
            &[("operation-plugins", text)],
            &json!({"ownerMay": ["operation-plugins", "plugin.headers"]})
        ),
        [
            "metadata.annotations[apim.oda.tmforum.org/operation-plugins] /a/config/guard: instance `eu` does not \
             let API owners set `plugin.guard`; it lets them set `operation-plugins`, `plugin.headers`. Remove \
             it, or ask the platform team to add it to `ownerMay`"
        ]
    );
}

#[test]
fn profiles_for_an_operation_need_the_right_to_profiles_for_the_api() {
    let text = "a: {profiles: gold}";
    assert_eq!(
        forbidden(
            &[("operation-plugins", text)],
            &json!({"ownerMay": ["operation-plugins"]})
        ),
        [
            "metadata.annotations[apim.oda.tmforum.org/operation-plugins] /a/profiles: instance `eu` does not let \
             API owners set `profiles`; it lets them set `operation-plugins`. Remove it, or ask the \
             platform team to add it to `ownerMay`"
        ]
    );
}

#[test]
fn an_api_id_begins_with_prefix_and_namespace_or_is_allowed() {
    let may = |allow: &Value| json!({"ownerMay": ["*"], "apiIdPrefix": "t1-", "allow": {"apiIds": allow}});
    let id = |id| [("api-id", id)];
    assert_eq!(
        forbidden(&id("t1-components.any"), &may(&json!([]))),
        [""; 0]
    );
    assert_eq!(
        forbidden(&id("legacy-7"), &may(&json!(["legacy-*"]))),
        [""; 0]
    );
    assert_eq!(
        forbidden(&id("t1-componentsX"), &may(&json!(["legacy-*"]))),
        [
            "metadata.annotations[apim.oda.tmforum.org/api-id]: `t1-componentsX` does not begin with \
             `t1-components.`, and instance `eu` allows no other id like it; allowed: `legacy-*` (`allow.apiIds`)"
        ]
    );
}

#[test]
fn hosts_and_ingress_annotations_must_be_allowed() {
    let annotations = [
        ("ingress-host", "a.shop.example"),
        ("ingress-annotations", "x/a: '1'\nx/b: '2'"),
    ];
    assert_eq!(
        forbidden(&annotations, &json!({"ownerMay": ["ingress-*"]})),
        [
            "metadata.annotations[apim.oda.tmforum.org/ingress-host]: instance `eu` does not let API owners use \
             host `a.shop.example`; allowed: none (`allow.hosts`)",
            "metadata.annotations[apim.oda.tmforum.org/ingress-annotations]: instance `eu` does not let API \
             owners set the Ingress annotation `x/a`; allowed: none (`allow.ingressAnnotations`)",
            "metadata.annotations[apim.oda.tmforum.org/ingress-annotations]: instance `eu` does not let API \
             owners set the Ingress annotation `x/b`; allowed: none (`allow.ingressAnnotations`)",
        ]
    );
    let allow = json!({
        "ownerMay": ["ingress-*"],
        "allow": {"hosts": ["a.shop.example"], "ingressAnnotations": ["x/*"]},
    });
    assert_eq!(forbidden(&annotations, &allow), [""; 0]);
}

proptest! {
    #[test]
    fn no_annotation_makes_the_reader_panic(
        key in "(plugin\\.)?[a-z.-]{0,12}|plugins|operation-plugins|ingress-annotations",
        value in ".{0,60}|[\\[\\]{}&*:a -]{0,40}",
    ) {
        let map = BTreeMap::from([(format!("{PREFIX}{key}"), value)]);
        let (_, problems) = read(&map);
        prop_assert!(problems.iter().all(|p| p.message.len() < 1500), "{problems:?}");
    }
}
