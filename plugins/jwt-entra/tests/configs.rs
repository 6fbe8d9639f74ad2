//! What the plugin makes of configs.

use plugin_jwt_entra::JwtEntraPlugin;
use policy_sdk::testing::{Call, table};
use serde_json::{Value, json};

fn call(config: Value) -> Call {
    Call::of::<JwtEntraPlugin>().config(config)
}

#[test]
fn configs_become_policies() {
    insta::assert_snapshot!(table::<JwtEntraPlugin>(include_str!("good.json")));
}

#[test]
fn wrong_configs_are_refused_with_their_pointer() {
    let table = [
        json!({"element": "validate-azure-ad-token", "issuers": ["https://a/"], "clockSkew": 5}),
        json!({"element": "validate-token"}),
        json!({"requiredRoles": ["a"], "requiredClaims": {"roles": "b"}}),
        json!({"requiredClaims": {"a": 1}}),
        json!({"requiredClaims": {"a": {"values": ["x"], "match": "none"}}}),
        json!({"audience": "x"}),
        json!({"clockSkew": -1}),
    ];
    let text: Vec<_> = table
        .into_iter()
        .map(|config| format!("== {config}\n{}", call(config.clone()).generate_text()))
        .collect();
    insta::assert_snapshot!(text.concat());
}

#[test]
fn instances_of_other_clouds_have_their_own_issuers() {
    let cloud = |login: &str, element: &str| {
        call(json!({ "element": element }))
            .with(|context| {
                context.instance.login_host = Some(login.to_owned());
                context.instance.openid_configuration_url = None;
            })
            .generate_text()
    };
    let own_hosts = call(json!({})).with(|context| {
        context.instance.issuer_hosts = vec!["login.localhost:8443".to_owned()];
        context.instance.audiences = vec!["api://platform".to_owned()];
    });
    insta::assert_snapshot!(
        [
            cloud("login.microsoftonline.us", "validate-jwt"),
            cloud("login.partner.microsoftonline.cn", "validate-jwt"),
            cloud("login.microsoftonline.us", "validate-azure-ad-token"),
            own_hosts.generate_text(),
        ]
        .join("==\n")
    );
}

#[test]
fn an_instance_that_knows_too_little_is_named() {
    let without = |config: Value| {
        call(config)
            .with(|context| {
                context.instance.client_id = None;
                context.instance.tenant_id = None;
                context.instance.openid_configuration_url = None;
            })
            .generate_text()
    };
    insta::assert_snapshot!(
        [
            without(json!({})),
            without(json!({"audiences": ["a"]})),
            without(json!({"audiences": ["a"], "element": "validate-azure-ad-token"})),
        ]
        .join("==\n"),
        @r"
    error at `/audiences`: no audience is known: set audiences, or clientId on the ApimInstance `default`
    ==
    error at ``: no OpenID configuration is known: set tenantId on the ApimInstance `default`
    ==
    error at `/element`: validate-azure-ad-token needs the tenant: set tenantId on the ApimInstance `default`
    "
    );
}
