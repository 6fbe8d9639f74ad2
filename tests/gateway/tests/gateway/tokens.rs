//! Tokens of callers, the keys behind them, and the gateway's own tokens.

use crate::stage::{Backend, LOOPBACK, START, Seen, Stage, inbound, reply, reply_json};
use apim_gateway::{ManagedIdentity, Options};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};

/// 32 bytes.
const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

pub(crate) fn hs256(claims: &Value) -> String {
    let key = EncodingKey::from_base64_secret(SECRET).expect("a key");
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).expect("a token")
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub(crate) fn with_secret(attributes: &str, rest: &str) -> String {
    inbound(&format!(
        "<validate-jwt {attributes}><issuer-signing-keys><key>{SECRET}</key></issuer-signing-keys>{rest}</validate-jwt>"
    ))
}

#[tokio::test]
async fn a_token_is_let_in_and_what_is_none_is_kept_out() {
    let sections = with_secret(
        "header-name=\"Authorization\" require-scheme=\"Bearer\"",
        "<audiences><audience>shop</audience></audiences><issuers><issuer>me</issuer></issuers>\
         <required-claims><claim name=\"scp\" match=\"any\" separator=\" \"><value>read</value></claim></required-claims>",
    );
    let stage = Stage::new(&sections).await;
    let claims = |change: Value| {
        let mut claims =
            json!({ "aud": "shop", "iss": "me", "exp": START + 60, "scp": "read write" });
        for (name, value) in change.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        claims
    };
    let call = async |sent: &str| stage.get_with(&[("authorization", sent)]).await;
    let good = hs256(&claims(json!({})));
    assert_eq!(call(&bearer(&good)).await.status, 200);
    // The token goes on to the backend.
    assert_eq!(
        stage.backend.last().header("authorization"),
        Some(bearer(&good).as_str())
    );
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let payload = good.split('.').nth(1).expect("a payload");
    let refused = [
        (good.clone(), "JWT not present."),
        (format!("Basic {good}"), "JWT not present."),
        (bearer(""), "JWT not present."),
        (bearer("a.b"), "JWT is malformed."),
        (bearer(&format!("{none}.{payload}.")), "JWT is not signed."),
        (
            bearer(&format!("{good}x")),
            "JWT signature validation failed.",
        ),
        (
            bearer(&hs256(&claims(json!({ "exp": START })))),
            "JWT is expired.",
        ),
        (
            bearer(&hs256(&claims(json!({ "nbf": START + 1 })))),
            "JWT is not valid yet.",
        ),
        (
            bearer(&hs256(&claims(json!({ "aud": ["a", "b"] })))),
            "JWT audience is not allowed.",
        ),
        (
            bearer(&hs256(&claims(json!({ "iss": "you" })))),
            "JWT issuer is not allowed.",
        ),
        (
            bearer(&hs256(&claims(json!({ "scp": "write" })))),
            "Claim scp value is not allowed.",
        ),
        (
            bearer(&hs256(&claims(json!({ "scp": null })))),
            "JWT token is missing the following claims: scp.",
        ),
    ];
    for (sent, message) in refused {
        assert_eq!(
            call(&sent).await.error(),
            (401, message.to_owned()),
            "{sent}"
        );
    }
    assert_eq!(
        stage.item().await.error(),
        (401, "JWT not present.".to_owned())
    );
    assert_eq!(stage.backend.calls(), 1);
    stage.advance(60);
    assert_eq!(
        call(&bearer(&good)).await.error(),
        (401, "JWT is expired.".to_owned())
    );
}

#[tokio::test]
async fn a_policy_says_what_is_answered_and_where_the_token_is() {
    let token = hs256(&json!({ "exp": START - 5 }));
    let said = with_secret(
        "query-parameter-name=\"t\" clock-skew=\"6\" failed-validation-httpcode=\"403\" failed-validation-error-message=\"No &quot;entry&quot;.\"",
        "",
    );
    let stage = Stage::new(&said).await;
    assert_eq!(
        stage.get(&format!("/shop/items/7?t={token}")).await.status,
        200
    );
    let refused = stage.item().await;
    assert_eq!(
        refused.whole(),
        (
            403,
            "{ \"statusCode\": 403, \"message\": \"No \\\"entry\\\".\" }"
        )
    );
    let other = Stage::new(&with_secret(
        "header-name=\"X-Token\" require-expiration-time=\"false\" require-scheme=\"Bearer\"",
        "",
    ))
    .await;
    let forever = hs256(&json!({}));
    // A scheme is asked for in Authorization only.
    assert_eq!(other.get_with(&[("x-token", &forever)]).await.status, 200);
}

pub(crate) struct RsaKey {
    pub(crate) id: &'static str,
    pub(crate) encoding: EncodingKey,
    pub(crate) jwk: Value,
}

pub(crate) fn rsa_keys() -> &'static [RsaKey; 2] {
    static KEYS: OnceLock<[RsaKey; 2]> = OnceLock::new();
    KEYS.get_or_init(|| {
        ["k1", "k2"].map(|id| {
            let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key");
            let encode = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
            let jwk = json!({ "kty": "RSA", "kid": id, "n": encode(key.n().to_bytes_be()), "e": encode(key.e().to_bytes_be()) });
            let der = key.to_pkcs1_der().expect("DER");
            RsaKey { id, encoding: EncodingKey::from_rsa_der(der.as_bytes()), jwk }
        })
    })
}

pub(crate) fn rs256(key: &RsaKey, algorithm: Algorithm, claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = Some(key.id.to_owned());
    jsonwebtoken::encode(&header, claims, &key.encoding).expect("a token")
}

/// An OpenID provider whose keys can be changed.
pub(crate) async fn provider(keys: Arc<Mutex<Vec<Value>>>) -> Backend {
    let url: Arc<OnceLock<String>> = Arc::default();
    let base = Arc::clone(&url);
    let provider = Backend::start(move |seen: &Seen| {
        let base = base.get().cloned().unwrap_or_default();
        if seen.target.ends_with("/keys") {
            reply_json(&json!({ "keys": *keys.lock() }))
        } else if seen.target.contains("/.well-known/openid-configuration") {
            let issuer = seen.target.split("/.well-known").next().unwrap_or_default();
            reply_json(
                &json!({ "issuer": format!("{base}{issuer}"), "jwks_uri": format!("{base}/keys") }),
            )
        } else {
            reply(404, "")
        }
    })
    .await;
    url.set(provider.url.clone()).expect("once");
    provider
}

fn fetched(provider: &Backend) -> usize {
    let all = provider.seen();
    all.iter().filter(|seen| seen.target == "/keys").count()
}

#[tokio::test]
async fn keys_are_discovered_kept_for_an_hour_and_looked_for_again_when_one_is_missing() {
    let [first, second] = rsa_keys();
    let keys = Arc::new(Mutex::new(vec![first.jwk.clone()]));
    let provider = provider(Arc::clone(&keys)).await;
    let sections = inbound(&format!(
        "<validate-jwt header-name=\"Authorization\"><openid-config url=\"{}/me/.well-known/openid-configuration\" /></validate-jwt>",
        provider.url
    ));
    let stage = Stage::new(&sections).await;
    let claims = json!({ "iss": format!("{}/me", provider.url), "exp": START + 100_000 });
    let call = async |token: &str| {
        stage
            .get_with(&[("authorization", &bearer(token))])
            .await
            .status
    };
    let old = rs256(first, Algorithm::RS256, &claims);
    let new = rs256(second, Algorithm::PS256, &claims);
    assert_eq!(call(&old).await, 200);
    assert_eq!(call(&rs256(first, Algorithm::RS384, &claims)).await, 401);
    assert_eq!(
        call(&rs256(
            first,
            Algorithm::RS256,
            &json!({ "iss": "x", "exp": START + 9 })
        ))
        .await,
        401
    );
    // A public key is no shared secret.
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("k1".to_owned());
    let n = first.jwk["n"].as_str().expect("n");
    let forged = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(n.as_bytes()));
    assert_eq!(call(&forged.expect("a token")).await, 401);
    assert_eq!(fetched(&provider), 1);

    *keys.lock() = vec![second.jwk.clone()];
    assert_eq!((call(&new).await, fetched(&provider)), (401, 1));
    stage.advance(300);
    assert_eq!((call(&new).await, fetched(&provider)), (200, 2));
    assert_eq!((call(&old).await, fetched(&provider)), (401, 2));
    stage.advance(3599);
    assert_eq!((call(&new).await, fetched(&provider)), (200, 2));
    stage.advance(1);
    assert_eq!((call(&new).await, fetched(&provider)), (200, 3));
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_lets_nobody_in() {
    let sections = inbound(
        "<validate-jwt header-name=\"Authorization\"><openid-config url=\"http://127.0.0.1:9/x\" /></validate-jwt>",
    );
    let stage = Stage::new(&sections).await;
    let token = rs256(
        &rsa_keys()[0],
        Algorithm::RS256,
        &json!({ "exp": START + 60 }),
    );
    assert_eq!(
        stage
            .get_with(&[("authorization", &bearer(&token))])
            .await
            .status,
        401
    );
    assert_eq!(stage.backend.calls(), 0);
}

#[tokio::test]
async fn tokens_of_a_tenant_are_asked_for_client_and_audience() {
    let key = &rsa_keys()[0];
    let provider = provider(Arc::new(Mutex::new(vec![key.jwk.clone()]))).await;
    let options = Options {
        listen: LOOPBACK,
        authority: provider.url.clone(),
        ..Options::default()
    };
    let sections = inbound(
        "<validate-azure-ad-token tenant-id=\"t1\" output-token-variable-name=\"jwt\">\
         <client-application-ids><application-id>app-1</application-id></client-application-ids>\
         <audiences><audience>api://shop</audience></audiences></validate-azure-ad-token>",
    );
    let stage = Stage::as_said(Backend::ok().await, &sections, options, |_| {}).await;
    let call = async |version: &str, client: &str, audience: &str| {
        let claims = json!({
            "iss": format!("{}/t1{version}", provider.url), "aud": audience, "exp": START + 60, "azp": client,
        });
        let token = rs256(key, Algorithm::RS256, &claims);
        stage
            .get_with(&[("authorization", &bearer(&token))])
            .await
            .status
    };
    assert_eq!(call("/v2.0", "app-1", "api://shop").await, 200);
    assert_eq!(call("", "APP-1", "api://shop").await, 200);
    assert_eq!(call("/v2.0", "app-2", "api://shop").await, 401);
    assert_eq!(call("/v2.0", "app-1", "api://other").await, 401);
    assert_eq!(call("/v3.0", "app-1", "api://shop").await, 401);
}

#[tokio::test]
async fn the_gateway_gets_tokens_of_its_own_and_keeps_them() {
    let identity = Backend::start(|seen: &Seen| {
        if seen.header("x-identity-header") != Some("h")
            || !seen.target.contains("resource=api%3A%2F%2Forders")
        {
            return reply(400, "");
        }
        reply_json(&json!({ "access_token": "tok", "expires_on": (START + 3600).to_string() }))
    })
    .await;
    let options = Options {
        listen: LOOPBACK,
        identity: Some(ManagedIdentity {
            endpoint: format!("{}/msi/token", identity.url),
            header: "h".to_owned(),
        }),
        ..Options::default()
    };
    let sections = inbound("<authentication-managed-identity resource=\"api://orders\" />");
    let stage = Stage::as_said(Backend::ok().await, &sections, options, |_| {}).await;
    for _ in 0..3 {
        assert_eq!(stage.item().await.status, 200);
    }
    assert_eq!(
        stage.backend.last().header("authorization"),
        Some("Bearer tok")
    );
    assert_eq!(identity.calls(), 1);
    stage.advance(3300);
    stage.item().await;
    assert_eq!(identity.calls(), 2);

    let without = Stage::new(&sections).await;
    assert_eq!(
        without.item().await.error(),
        (500, "Internal server error".to_owned())
    );
    assert_eq!(without.backend.calls(), 0);
}
