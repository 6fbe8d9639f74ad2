//! `validate-jwt`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use plugin_behaviour::{Api, Authority, START, Signer, Stage, hs256, template};
use serde_json::{Value, json};

const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const PROVIDER: &str = "https://id.example.com/realms/partners";

async fn stage(config: &Value) -> Stage {
    Stage::with(Api::of("validate-jwt", config), |service| {
        let key = ("hmac".to_owned(), SECRET.to_owned());
        service.named_values.extend([key]);
    })
    .await
}

fn refused() -> (u16, String) {
    (
        401,
        "Unauthorized. Access token is missing or invalid.".to_owned(),
    )
}

fn claims(change: &Value) -> Value {
    let mut claims = json!({"aud": "catalog", "iss": PROVIDER, "exp": START + 60});
    for (name, value) in change.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    claims
}

fn of_provider(change: &Value) -> String {
    Signer::known().sign(&claims(change))
}

#[tokio::test]
async fn only_tokens_of_the_provider_for_the_audience_get_in() {
    let config = json!({
        "openidConfigurations": [format!("{PROVIDER}/.well-known/openid-configuration")],
        "audiences": ["catalog"],
        "requiredClaims": {"scope": {"values": ["read"], "separator": " "}},
    });
    let stage = stage(&config).await;
    let good = json!({"scope": "write read"});
    let call = |token: &str| stage.item().token(token);
    assert_eq!(call(&of_provider(&good)).status().await, 200);
    for (claim, value) in [
        ("aud", json!("other")),
        ("iss", json!("https://id.example.com/realms/other")),
        ("exp", json!(START)),
        ("exp", Value::Null),
        ("scope", json!("write")),
        ("scope", json!("reader")),
        ("scope", Value::Null),
    ] {
        let mut bad = good.clone();
        bad[claim] = value.clone();
        assert_eq!(
            call(&of_provider(&bad)).error().await,
            refused(),
            "{claim}: {value}"
        );
    }
    let forged = Signer::forger().sign(&claims(&good));
    // The provider's public key is no shared secret.
    let n = Signer::known().jwk["n"].as_str().expect("n");
    let n = URL_SAFE_NO_PAD.decode(n).expect("Base64");
    let confused = hs256(&STANDARD.encode(n), &claims(&good));
    for token in [&forged, &confused, &hs256(SECRET, &claims(&good))] {
        assert_eq!(call(token).error().await, refused());
    }
    assert_eq!(stage.item().error().await, refused());
    assert_eq!(stage.world.calls(), 1);
}

#[tokio::test]
async fn tokens_of_given_keys_get_in_with_skew_and_without_end_where_the_config_says_so() {
    let jwk = &Signer::known().jwk;
    let config = json!({
        "signingKeys": [
            {"namedValue": "hmac"},
            {"n": jwk["n"], "e": jwk["e"], "id": "known"},
        ],
        "audiences": ["catalog"], "issuers": [PROVIDER], "clockSkew": 30,
        "requireExpiration": false, "failureCode": 403, "failureMessage": "No.",
    });
    let stage = stage(&config).await;
    for good in [
        json!({}),
        json!({"exp": START - 29}),
        json!({"exp": null}),
        json!({"nbf": START + 30}),
    ] {
        let mut claims = claims(&good);
        claims
            .as_object_mut()
            .expect("claims")
            .retain(|_, v| !v.is_null());
        for token in [hs256(SECRET, &claims), Signer::known().sign(&claims)] {
            assert_eq!(stage.item().token(&token).status().await, 200, "{good}");
        }
    }
    let calls = stage.world.calls();
    let other = "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q=";
    for token in [
        hs256(SECRET, &claims(&json!({"exp": START - 30}))),
        hs256(SECRET, &claims(&json!({"nbf": START + 31}))),
        hs256(SECRET, &claims(&json!({"iss": "https://other.example"}))),
        hs256(SECRET, &claims(&json!({"aud": "other"}))),
        hs256(other, &claims(&json!({}))),
        Signer::forger().sign(&claims(&json!({}))),
    ] {
        let answer = stage.item().token(&token).error().await;
        assert_eq!(answer, (403, "No.".to_owned()));
    }
    assert_eq!(stage.world.calls(), calls);
}

#[tokio::test]
async fn a_certificate_of_the_instance_verifies_what_its_key_signed() {
    let config = json!({"signingKeys": [{"certificate": "partner"}], "audiences": ["catalog"]});
    let stage = Stage::with(Api::of("validate-jwt", &config), |service| {
        let authority = Authority::of(Signer::known());
        let certificate = (&authority).into();
        service
            .certificates
            .insert("partner".to_owned(), certificate);
    })
    .await;
    let good = of_provider(&json!({}));
    assert_eq!(stage.item().token(&good).status().await, 200);
    for bad in [
        Signer::forger().sign(&claims(&json!({}))),
        of_provider(&json!({"aud": "other"})),
        hs256(SECRET, &claims(&json!({}))),
    ] {
        assert_eq!(stage.item().token(&bad).error().await, refused());
    }
    assert_eq!(stage.world.calls(), 1);
}

#[tokio::test]
async fn a_token_is_looked_for_where_the_config_says_and_nowhere_else() {
    let token = hs256(SECRET, &claims(&json!({})));
    let wrong = hs256(SECRET, &claims(&json!({"aud": "other"})));
    let at = |place: Value| json!({"signingKeys": [{"namedValue": "hmac"}], "audiences": ["catalog"], "token": place});
    let in_header = stage(&at(json!({"header": "X-Token"}))).await;
    assert_eq!(
        in_header.item().header("x-token", &token).status().await,
        200
    );
    assert_eq!(
        in_header.item().header("x-token", &wrong).error().await,
        refused()
    );
    assert_eq!(in_header.item().token(&token).error().await, refused());

    let in_query = stage(&at(json!({"query": "access_token"}))).await;
    let query = |token: &str| in_query.call("GET", &format!("/items/7?access_token={token}"));
    assert_eq!(query(&token).status().await, 200);
    assert_eq!(query(&wrong).error().await, refused());
    assert_eq!(in_query.item().token(&token).error().await, refused());

    let in_cookie = stage(&at(json!({"cookie": "session"}))).await;
    let cookie = |text: String| in_cookie.item().header("cookie", &text);
    for good in [
        format!("session={token}"),
        format!("a=b; session={token}; c=d"),
        format!("a=b;session={token}"),
    ] {
        assert_eq!(cookie(good.clone()).status().await, 200, "{good}");
    }
    for bad in [
        format!("session={wrong}"),
        format!("xsession={token}"),
        format!("Session={token}"),
        "session=".to_owned(),
        "session".to_owned(),
        String::new(),
        // The first counts, whatever follows.
        format!("session=x; session={token}"),
    ] {
        assert_eq!(cookie(bad.clone()).error().await, refused(), "{bad}");
    }
    assert_eq!(in_cookie.item().token(&token).error().await, refused());
}

#[tokio::test]
async fn a_scheme_is_asked_for_as_the_config_says() {
    let config = json!({
        "signingKeys": [{"namedValue": "hmac"}], "audiences": ["catalog"], "scheme": "DPoP",
    });
    let stage = stage(&config).await;
    let token = hs256(SECRET, &claims(&json!({})));
    let call = |scheme: &str| {
        let sent = format!("{scheme} {token}");
        stage.item().header("authorization", &sent)
    };
    assert_eq!(call("DPoP").status().await, 200);
    assert_eq!(call("Bearer").error().await, refused());
}

/// Tells the backend what is in the variable `caller`.
const TELL: &str = r#"<inbound>
  <set-header name="x-subject" exists-action="override">
    <value>{{ expression(code='((Jwt)context.Variables["caller"]).Subject') }}</value>
  </set-header>
</inbound>"#;

#[tokio::test]
async fn later_policies_find_the_token_in_the_variable_that_the_config_names() {
    let config = json!({
        "openidConfigurations": [format!("{PROVIDER}/.well-known/openid-configuration")],
        "audiences": ["catalog"], "outputVariable": "caller",
    });
    let tell = json!({"template": template("tell-validate-jwt", TELL), "values": {}});
    let stage = Stage::of(Api::chain(&[("validate-jwt", config), ("template", tell)])).await;
    let call = stage.item().token(&of_provider(&json!({"sub": "ada"})));
    assert_eq!(call.header("x-subject", "forged").status().await, 200);
    let subject = stage.world.last().header("x-subject");
    assert_eq!(subject.as_deref(), Some("ada"));
    assert_eq!(stage.item().error().await, refused());
    assert_eq!(stage.world.calls(), 1);
}
