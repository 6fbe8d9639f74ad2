//! `jwt-entra`.

use plugin_behaviour::{Api, CLIENT, ISSUER, START, Signer, Stage, TENANT, template, token};
use serde_json::{Value, json};

async fn stage(config: &Value) -> Stage {
    Stage::of(Api::of("jwt-entra", config)).await
}

fn refused() -> (u16, String) {
    (
        401,
        "Unauthorized. Access token is missing or invalid.".to_owned(),
    )
}

/// The status that a token with these claims over the usual ones gets.
async fn status(stage: &Stage, claims: Value) -> u16 {
    stage.item().token(&token(&claims)).status().await
}

#[tokio::test]
async fn only_tokens_of_the_tenant_for_the_instances_application_get_in() {
    let stage = stage(&json!({})).await;
    let v1 = format!("https://sts.windows.net/{TENANT}/");
    for good in [
        json!({}),
        json!({"aud": format!("api://{CLIENT}")}),
        json!({"aud": ["x", CLIENT]}),
        json!({"iss": v1, "ver": "1.0"}),
        json!({"exp": START + 1}),
        json!({"nbf": null}),
    ] {
        assert_eq!(status(&stage, good.clone()).await, 200, "{good}");
    }
    // The backend may look at the token too.
    let sent = stage.world.last().header("authorization");
    assert!(sent.is_some_and(|sent| sent.starts_with("Bearer ey")));
    let calls = stage.world.calls();
    for bad in [
        json!({"aud": "api://other"}),
        json!({"aud": CLIENT.to_uppercase().replace('2', "3")}),
        json!({"aud": null}),
        json!({"iss": ISSUER.replace("1111", "9999")}),
        json!({"iss": format!("{ISSUER}/")}),
        json!({"iss": null}),
        json!({"exp": START}),
        json!({"exp": START - 1}),
        json!({"exp": null}),
        json!({"nbf": START + 1}),
    ] {
        let call = stage.item().token(&token(&bad));
        assert_eq!(call.error().await, refused(), "{bad}");
    }
    let claims = json!({"aud": CLIENT, "iss": ISSUER, "exp": START + 60});
    let forged = Signer::forger().sign(&claims);
    let good = token(&json!({}));
    let unsigned = format!(
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.",
        good.split('.').nth(1).unwrap_or_default()
    );
    for sent in [
        format!("Bearer {forged}"),
        format!("Bearer {unsigned}"),
        format!("Bearer {good}x"),
        format!("Basic {good}"),
        format!("bearer{good}"),
        good.clone(),
        "Bearer".to_owned(),
        String::new(),
    ] {
        let call = stage.item().header("authorization", &sent);
        assert_eq!(call.error().await, refused(), "{sent}");
    }
    assert_eq!(stage.item().error().await, refused());
    // Elsewhere it is none.
    let query = format!("/items/7?access_token={good}");
    assert_eq!(stage.call("GET", &query).error().await, refused());
    assert_eq!(stage.world.calls(), calls);
    stage.advance(3600);
    assert_eq!(stage.item().token(&good).error().await, refused());
}

#[tokio::test]
async fn roles_scopes_and_claims_are_asked_for_as_the_config_says() {
    let config = json!({
        "requiredRoles": ["Read", "Write"], "requiredScopes": ["a.read", "a.write"],
        "requiredClaims": {
            "azp": "app-1", "groups": ["x", "y"], "oid": {},
            "amr": {"values": ["mfa", "fido"], "match": "any"},
            "list": {"values": ["1"], "separator": ","},
        },
    });
    let stage = stage(&config).await;
    let good = json!({
        "roles": ["Write", "Read", "Other"], "scp": "a.write x a.read", "azp": "app-1",
        "groups": ["y", "z", "x"], "amr": ["pwd", "fido"], "list": "3,1",
    });
    assert_eq!(status(&stage, good.clone()).await, 200);
    for (claim, value) in [
        ("roles", json!(["Read"])),
        ("roles", json!("Read Write")),
        ("roles", Value::Null),
        ("scp", json!("a.read")),
        ("scp", json!("a.read,a.write")),
        ("scp", json!("a.readX a.write")),
        ("scp", Value::Null),
        ("azp", json!("app-2")),
        ("azp", json!("APP-1")),
        ("azp", Value::Null),
        ("groups", json!(["x"])),
        ("oid", Value::Null),
        ("amr", json!(["pwd"])),
        ("amr", json!([])),
        ("list", json!("3 1")),
    ] {
        let mut claims = good.clone();
        claims[claim] = value.clone();
        let call = stage.item().token(&token(&claims));
        assert_eq!(call.error().await, refused(), "{claim}: {value}");
    }
    assert_eq!(stage.world.calls(), 1);
}

#[tokio::test]
async fn audience_issuer_skew_scheme_and_answer_are_as_the_config_says() {
    let config = json!({
        "audiences": ["api://catalog"], "issuers": ["https://issuer.example.com/"],
        "scheme": "DPoP", "clockSkew": 30, "failureCode": 403, "failureMessage": "No.",
    });
    let stage = stage(&config).await;
    let good =
        json!({"aud": "api://catalog", "iss": "https://issuer.example.com/", "exp": START - 29});
    let call = |claims: &Value, scheme: &str| {
        let sent = format!("{scheme} {}", token(claims));
        stage.item().header("authorization", &sent)
    };
    assert_eq!(call(&good, "DPoP").status().await, 200);
    let refused = (403, "No.".to_owned());
    assert_eq!(call(&good, "Bearer").error().await, refused);
    for (claim, value) in [
        ("aud", json!(CLIENT)),
        ("iss", json!(ISSUER)),
        ("exp", json!(START - 30)),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        assert_eq!(call(&claims, "DPoP").error().await, refused, "{claim}");
    }
}

#[tokio::test]
async fn a_token_may_be_in_another_header_without_a_scheme() {
    let stage = stage(&json!({"header": "x-token"})).await;
    let good = token(&json!({}));
    assert_eq!(stage.item().header("x-token", &good).status().await, 200);
    assert_eq!(stage.item().token(&good).error().await, refused());
    let other = token(&json!({"aud": "x"}));
    assert_eq!(
        stage.item().header("x-token", &other).error().await,
        refused()
    );
}

#[tokio::test]
async fn the_policy_for_entra_alone_keeps_out_the_same() {
    let config = json!({"element": "validate-azure-ad-token", "requiredRoles": ["Read"]});
    let stage = stage(&config).await;
    let role = |mut claims: Value| {
        if claims["roles"].is_null() {
            claims["roles"] = json!(["Read"]);
        }
        claims
    };
    assert_eq!(status(&stage, role(json!({}))).await, 200);
    for bad in [
        json!({"roles": ["Write"]}),
        json!({"aud": "api://other"}),
        json!({"iss": "https://id.example.com/"}),
        json!({"exp": START}),
    ] {
        let call = stage.item().token(&token(&role(bad.clone())));
        assert_eq!(call.error().await, refused(), "{bad}");
    }
    assert_eq!(stage.item().error().await, refused());
    assert_eq!(stage.world.calls(), 1);
}

/// Tells the backend what is in the variable `caller`.
const TELL: &str = r#"<inbound>
  <set-header name="x-subject" exists-action="override">
    <value>{{ expression(code='((Jwt)context.Variables["caller"]).Subject') }}</value>
  </set-header>
</inbound>"#;

#[tokio::test]
async fn later_policies_find_the_token_in_the_variable_that_the_config_names() {
    let config = json!({"outputVariable": "caller"});
    let tell = json!({"template": template("tell-jwt-entra", TELL), "values": {}});
    let stage = Stage::of(Api::chain(&[("jwt-entra", config), ("template", tell)])).await;
    let call = stage.item().token(&token(&json!({"sub": "ada"})));
    assert_eq!(call.header("x-subject", "forged").status().await, 200);
    let subject = stage.world.last().header("x-subject");
    assert_eq!(subject.as_deref(), Some("ada"));
    assert_eq!(stage.item().error().await, refused());
    assert_eq!(stage.world.calls(), 1);
}
