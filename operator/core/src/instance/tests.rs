use std::collections::BTreeMap;

use serde_json::json;

use super::pattern::Pattern;
use super::selector::LabelOperator::{DoesNotExist, Exists, In, NotIn};
use super::selector::LabelRequirement;
use super::spec::Cloud;
use super::*;
use crate::validate::test_support::{defaults, instance, try_instance};

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn name(text: &str) -> InstanceName {
    InstanceName::parse(text).unwrap()
}

#[test]
fn what_is_left_out_has_its_default() {
    let spec: ApimInstanceSpec = serde_json::from_value(json!({
        "subscriptionId": "s", "resourceGroup": "r", "serviceName": "n", "tenantId": "t", "clientId": "c",
    }))
    .unwrap();
    assert_eq!(spec.oidc_provider_id, "AzureAD");
    assert_eq!(spec.protocols, ["https"]);
    assert_eq!(spec.exposure.ingress_class, "istio");
    assert_eq!(spec.specification.fetch, Fetch::Operator);
    assert_eq!(spec.plugins, None);
    let instance = Instance::new(name("eu"), spec, &defaults()).unwrap();
    assert_eq!(instance.plugins, defaults().plugins);
    assert_eq!(
        instance
            .owner_may
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        DEFAULT_OWNER_MAY
    );
    assert_eq!(instance.allow, AllowLists::default());
    assert_eq!(instance.audiences(), ["c", "api://c"]);
    assert_eq!(
        instance.openid_configuration_url(),
        "https://login.microsoftonline.com/t/v2.0/.well-known/openid-configuration"
    );
    assert_eq!(instance.login_host(), "login.microsoftonline.com");
    assert!(
        !instance.serves(&labels(&[("a", "b")])),
        "an absent selector selects nothing"
    );
}

#[test]
fn other_clouds_have_other_hosts() {
    let instance = instance(
        "eu",
        &json!({"cloud": {"authorityHost": "https://localhost:8443/"}}),
    );
    assert_eq!(instance.login_host(), "localhost:8443");
    assert_eq!(
        instance.openid_configuration_url(),
        "https://localhost:8443/77aa/v2.0/.well-known/openid-configuration"
    );
}

#[test]
fn an_empty_list_of_plugins_is_not_an_absent_one() {
    assert_eq!(instance("eu", &json!({"plugins": []})).plugins, []);
}

#[test]
fn settings_that_make_no_sense_are_errors_with_their_field() {
    for (more, expected) in [
        (json!({"serviceName": ""}), "serviceName: is empty"),
        (
            json!({"resourceGroup": "a/b"}),
            "resourceGroup: `a/b` holds characters other than letters, digits, `-`, `_`, `.`, `(` and `)`",
        ),
        (
            json!({"apiIdPrefix": "a;b"}),
            "apiIdPrefix: `a;b` cannot begin an API id: write at most 80 letters, digits, `.`, `_` and `-`",
        ),
        (
            json!({"protocols": []}),
            "protocols: is empty; write `[https]`",
        ),
        (
            json!({"protocols": ["https", "ftp"]}),
            "protocols[1]: `ftp` is not one of `https`, `http`, `ws`, `wss`",
        ),
        (
            json!({"exposure": {"httpRoute": {"parents": [{"namespace": "a", "name": "B"}]}}}),
            "exposure.httpRoute.parents[0].name: `B` is not the name of an object",
        ),
        (
            json!({"exposure": {"istio": {"gateways": ["public"]}}}),
            "exposure.istio.gateways[0]: `public` is not a Gateway; write `<namespace>/<name>`",
        ),
        (
            json!({"exposure": {"nodePort": {"address": "http://nodes"}}}),
            "exposure.nodePort.address: `http://nodes` is not a host name or an address",
        ),
        (
            json!({"credentials": {}}),
            "credentials: write exactly one of `clientSecret`, `workloadIdentity`, `managedIdentity` and `cli`, or \
             leave `credentials` out",
        ),
        (
            json!({"credentials": {"cli": {}, "managedIdentity": {}}}),
            "credentials: write exactly one of `clientSecret`, `workloadIdentity`, `managedIdentity` and `cli`, or \
             leave `credentials` out",
        ),
        (
            json!({"cloud": {"authorityHost": "login"}}),
            "cloud.authorityHost: `login` is not a URL; write one such as `https://login.microsoftonline.com`",
        ),
        (
            json!({"plugins": [{"name": "a"}, {"name": "a"}]}),
            "plugins[1].name: `a` is listed twice; remove one of the entries",
        ),
        (
            json!({"plugins": [{"name": "A"}]}),
            "plugins[0].name: `A` is not a plugin name: lowercase letters, digits and `-`, at most 56, no `-` at \
             either end",
        ),
        (
            json!({"ownerMay": ["plug*ins"]}),
            "ownerMay[0]: `plug*ins` has a `*` that is not its last character",
        ),
        (
            json!({"allow": {"hosts": [""]}}),
            "allow.hosts[0]: `` is empty; leave it out, or write `*` for all",
        ),
        (
            json!({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
            "namespaceSelector.matchExpressions[0].values: needs at least one value",
        ),
        (
            json!({"grants": [{"kind": "backend", "names": ["*"], "namespaceSelector":
                {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}}]}),
            "grants[0].namespaceSelector.matchExpressions[0].values: takes no values with `Exists` and \
             `DoesNotExist`",
        ),
    ] {
        let problems = try_instance("eu", &more).unwrap_err();
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [format!("ApimInstance/eu spec.{expected}")],
            "{more}"
        );
    }
}

#[test]
fn an_unknown_field_of_an_instance_is_an_error() {
    let error =
        serde_json::from_value::<ApimInstanceSpec>(json!({"subscriptionid": "s"})).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("unknown field `subscriptionid`, expected one of"),
        "{error}"
    );
}

#[test]
fn a_spec_reads_as_it_is_written() {
    let spec = json!({
        "subscriptionId": "s", "resourceGroup": "r", "serviceName": "n", "tenantId": "t", "clientId": "c",
        "credentials": {"clientSecret": {"tenantId": "t", "clientId": "c", "secretRef": {"name": "x", "key": "k"}}},
        "cloud": {"caFile": "/ca.pem"},
        "apiIdPrefix": "p-",
        "oidcProviderId": "AzureAD",
        "protocols": ["https"],
        "plugins": [{"name": "guard", "when": "UnlessDisabled", "config": {"a": [1]}}],
        "exposure": {"ingressClass": "nginx", "host": "a.b", "tlsSecret": "tls", "annotations": {"x": "y"}},
        "specification": {"fetch": "Link", "allowPrivate": ["10.0.0.0/8"]},
        "namespaceSelector": {"matchLabels": {"a": "b"}},
        "ownerMay": ["plugins"],
        "allow": {"backendHosts": ["*"]},
        "grants": [{"namespaceSelector": {}, "kind": "namedValue", "names": ["a*"]}],
    });
    let read: ApimInstanceSpec = serde_json::from_value(spec.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), spec);
}

#[test]
fn the_schema_keeps_config_as_it_is() {
    let schema = serde_json::to_value(schemars::schema_for!(spec::DefaultPluginSpec)).unwrap();
    assert_eq!(
        schema["properties"]["config"],
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true,
               "description": "Its config; what an API says is merged over it."})
    );
}

#[test]
fn selectors_select_as_kubernetes_does() {
    let team = labels(&[("team", "shop"), ("stage", "prod")]);
    let requirement = |key: &str, operator, values: &[&str]| LabelSelector {
        match_expressions: vec![LabelRequirement {
            key: key.into(),
            operator,
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        }],
        ..LabelSelector::default()
    };
    for (selector, expected) in [
        (LabelSelector::everything(), true),
        (requirement("team", In, &["shop", "pay"]), true),
        (requirement("team", In, &["pay"]), false),
        (requirement("gone", In, &["pay"]), false),
        (requirement("team", NotIn, &["pay"]), true),
        (requirement("gone", NotIn, &["pay"]), true),
        (requirement("team", NotIn, &["shop"]), false),
        (requirement("team", Exists, &[]), true),
        (requirement("gone", Exists, &[]), false),
        (requirement("team", DoesNotExist, &[]), false),
        (requirement("gone", DoesNotExist, &[]), true),
    ] {
        assert_eq!(selector.matches(&team), expected, "{selector:?}");
    }
    let both = LabelSelector {
        match_labels: labels(&[("team", "shop"), ("stage", "dev")]),
        ..LabelSelector::default()
    };
    assert!(!both.matches(&team));
}

#[test]
fn patterns_are_exact_or_end_in_a_star() {
    let pattern = |text| Pattern::parse(text).unwrap();
    assert!(pattern("plugin.*").matches("plugin.guard"));
    assert!(!pattern("plugin.*").matches("plugins"));
    assert!(pattern("*").matches(""));
    assert!(pattern("a").matches("a"));
    assert!(!pattern("a").matches("ab"));
    assert!(Pattern::parse("**").is_err());
}

fn select(
    instances: &[Instance],
    namespace_labels: &BTreeMap<String, String>,
    asked: Option<&str>,
) -> Result<String, String> {
    let asked = asked.map(name);
    select_instance(instances, "components", namespace_labels, asked.as_ref())
        .map(|i| i.name.to_string())
        .map_err(|p| p.to_string())
}

#[test]
fn the_one_named_default_wins_else_the_only_one() {
    let all = labels(&[]);
    let [default, eu] = ["default", "eu"].map(|n| instance(n, &json!({})));
    assert_eq!(
        select(&[eu.clone(), default.clone()], &all, None),
        Ok("default".into())
    );
    assert_eq!(
        select(std::slice::from_ref(&eu), &all, None),
        Ok("eu".into())
    );
    assert_eq!(select(&[eu, default], &all, Some("eu")), Ok("eu".into()));
}

#[test]
fn several_without_a_default_are_an_error_that_lists_them() {
    let instances = ["eu", "us"].map(|n| instance(n, &json!({})));
    assert_eq!(
        select(&instances, &labels(&[]), None).unwrap_err(),
        "metadata.annotations[apim.oda.tmforum.org/instance]: several instances serve namespace `components` and \
         none is named `default`: name one of `eu`, `us`"
    );
}

#[test]
fn an_instance_serves_only_what_its_selector_matches() {
    let shop = instance(
        "shop",
        &json!({"namespaceSelector": {"matchLabels": {"team": "shop"}}}),
    );
    let nobody = instance("default", &json!({"namespaceSelector": null}));
    let instances = [shop, nobody];
    assert_eq!(
        select(&instances, &labels(&[("team", "shop")]), None),
        Ok("shop".into())
    );
    assert_eq!(
        select(&instances, &labels(&[("team", "pay")]), None).unwrap_err(),
        "metadata.namespace: no API Management instance serves namespace `components`: ask the platform team to \
         extend the `namespaceSelector` of one of `shop`, `default`"
    );
    assert_eq!(
        select(&instances, &labels(&[("team", "shop")]), Some("default")).unwrap_err(),
        "metadata.annotations[apim.oda.tmforum.org/instance]: instance `default` does not serve namespace \
         `components`; those that do: `shop`. Name one of them, or ask the platform team to extend its \
         `namespaceSelector`"
    );
    assert_eq!(
        select(&instances, &labels(&[("team", "shop")]), Some("shopp")).unwrap_err(),
        "metadata.annotations[apim.oda.tmforum.org/instance]: there is no instance `shopp`; did you mean `shop`; \
         those that serve namespace `components`: `shop`"
    );
}

#[test]
fn without_any_instance_both_ways_to_one_are_named() {
    assert_eq!(
        select(&[], &labels(&[]), None).unwrap_err(),
        "metadata.namespace: there is no API Management instance: create an ApimInstance, or set \
         `KEY_VAULT_NAME` for the operator"
    );
}

#[test]
fn the_implicit_instance_comes_from_the_vault() {
    let settings = ImplicitSettings {
        service_name: "gw".into(),
        resource_group: "rg".into(),
        subscription_id: "sub".into(),
        tenant_id: "ten".into(),
        client_id: "cli".into(),
    };
    let cloud = Cloud {
        ca_file: Some("/ca.pem".into()),
        ..Cloud::default()
    };
    let implicit = implicit(settings, cloud, &defaults()).unwrap();
    assert_eq!(implicit.name.as_str(), "default");
    assert!(implicit.serves(&labels(&[])));
    assert_eq!(implicit.plugins, defaults().plugins);
    assert_eq!(implicit.allow, AllowLists::default());
    insta::assert_json_snapshot!(implicit.spec);
}

#[test]
fn the_example_instance_lets_owners_use_everything() {
    let (example, context) = example(&defaults()).unwrap();
    assert_eq!(context.sku, "Developer");
    assert!(example.serves(&labels(&[])));
    assert!(pattern::any_matches(&example.owner_may, "api-id"));
}

#[test]
fn the_shipped_example_instances_make_sense() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let object =
            crate::annotations::yaml::read(&std::fs::read_to_string(&path).unwrap()).unwrap();
        if object["kind"] != "ApimInstance" {
            continue;
        }
        let spec: ApimInstanceSpec = serde_json::from_value(object["spec"].clone())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let instance = name(object["metadata"]["name"].as_str().unwrap());
        let instance = Instance::new(instance, spec, &defaults())
            .unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()));
        assert!(
            instance.spec.namespace_selector.is_some(),
            "{}: serves nothing",
            path.display()
        );
        names.push(instance.name.to_string());
    }
    assert!(names.len() >= 3, "{names:?}");
}

#[test]
fn a_grant_counts_in_the_namespaces_that_it_selects() {
    use crate::policy::ReferenceKind;
    let spec = json!({
        "subscriptionId": "s", "resourceGroup": "r", "serviceName": "a", "tenantId": "t", "clientId": "c",
        "grants": [
            {"namespaceSelector": {"matchLabels": {"team": "shop"}}, "kind": "namedValue", "names": ["shop-*"]},
            {"kind": "backend", "names": ["*"]},
        ],
    });
    let spec = serde_json::from_value(spec).unwrap();
    let instance = Instance::new(name("default"), spec, &InstanceDefaults::default()).unwrap();
    let shop = instance.grants(&labels(&[("team", "shop")]));
    assert!(shop.allow(ReferenceKind::NamedValue, Some("shop-key")));
    assert!(!shop.allow(ReferenceKind::NamedValue, Some("office-key")));
    // Absent selects nothing.
    assert!(!shop.allow(ReferenceKind::Backend, Some("any")));
    let office = instance.grants(&labels(&[("team", "office")]));
    assert!(!office.allow(ReferenceKind::NamedValue, Some("shop-key")));
}
