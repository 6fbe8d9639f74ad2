//! What the plugin makes of configs.

use plugin_jwt_entra::JwtEntraPlugin;
use policy_sdk::testing::Call;
use serde_json::{Value, json};

fn call(config: Value) -> Call {
    Call::of::<JwtEntraPlugin>().config(config)
}

#[test]
fn configs_become_policies() {
    let table = [
        ("nothing", json!({})),
        (
            "everything",
            json!({
                "audiences": ["api://catalog"],
                "issuers": ["https://issuer.example.com/"],
                "requiredClaims": {
                    "azp": "33333333-3333-3333-3333-333333333333",
                    "groups": ["a", "b"],
                    "amr": {"values": ["mfa", "fido"], "match": "any"},
                    "scopes": {"values": ["x"], "separator": ","},
                    "oid": {}
                },
                "requiredRoles": ["Catalog.Read"],
                "requiredScopes": ["catalog.read", "catalog.write"],
                "header": "Authorization",
                "scheme": "DPoP",
                "clockSkew": 30,
                "failureCode": 403,
                "failureMessage": "No.",
                "outputVariable": "jwt"
            }),
        ),
        ("another header", json!({"header": "x-token"})),
        (
            "validate-azure-ad-token",
            json!({"element": "validate-azure-ad-token", "requiredRoles": ["a"]}),
        ),
    ];
    let text: Vec<_> = table
        .into_iter()
        .map(|(name, config)| format!("== {name}\n{}", call(config).generate_text()))
        .collect();
    insta::assert_snapshot!(text.concat());
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
