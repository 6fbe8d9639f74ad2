//! Tokens that somebody made up: every kind that is known from attacks.

use crate::stage::{START, Stage, inbound};
use crate::tokens::{bearer, hs256, provider, rs256, rsa_keys, with_secret};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::Algorithm;
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha256;
use std::sync::Arc;

fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token whose header says what it likes, signed with any bytes.
fn signed(header: &str, payload: &str, secret: &[u8]) -> String {
    let start = format!("{}.{}", encode(header), encode(payload));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key");
    mac.update(start.as_bytes());
    format!("{start}.{}", encode(mac.finalize().into_bytes()))
}

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one entry for each attack")]
async fn no_header_of_a_token_chooses_how_it_is_verified() {
    let stage = Stage::new(&with_secret("header-name=\"Authorization\"", "")).await;
    let claims = json!({ "exp": START + 60 }).to_string();
    let good = signed(r#"{"alg":"HS256"}"#, &claims, SECRET);
    let call = async |token: &str| stage.get_with(&[("authorization", &bearer(token))]).await;
    assert_eq!(call(&good).await.status, 200);
    let (start, signature) = good.rsplit_once('.').expect("a signature");
    let malformed = "JWT is malformed.";
    let wrong = "JWT signature validation failed.";
    let unsigned = "JWT is not signed.";
    let unknown = "JWT is signed with an algorithm that is not supported.";
    let own_key = json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": encode("mine") } });
    let elsewhere =
        json!({ "alg": "HS256", "jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/x" });
    let cases = [
        // No signature, in every spelling.
        (
            format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(&claims)),
            unsigned,
        ),
        (
            format!("{}.{}.", encode(r#"{"alg":"NoNe"}"#), encode(&claims)),
            unsigned,
        ),
        (
            format!(
                "{}.{}.{signature}",
                encode(r#"{"alg":"none"}"#),
                encode(&claims)
            ),
            unsigned,
        ),
        (format!("{start}."), unsigned),
        (format!("{start}.{}", encode("")), unsigned),
        (
            format!(
                "{}.{}.{signature}",
                encode(r#"{"alg":""}"#),
                encode(&claims)
            ),
            unknown,
        ),
        (
            format!(
                "{}.{}.{signature}",
                encode(r#"{"alg":"HS1"}"#),
                encode(&claims)
            ),
            unknown,
        ),
        (
            format!(
                "{}.{}.{signature}",
                encode(r#"{"alg":" HS256"}"#),
                encode(&claims)
            ),
            unknown,
        ),
        (
            format!(
                "{}.{}.{signature}",
                encode(r#"{"alg":["HS256"]}"#),
                encode(&claims)
            ),
            malformed,
        ),
        (
            format!("{}.{}.{signature}", encode("{}"), encode(&claims)),
            malformed,
        ),
        // A key that the token brings itself, or says where to find.
        (signed(&own_key.to_string(), &claims, b"mine"), wrong),
        (signed(&elsewhere.to_string(), &claims, b"mine"), wrong),
        (
            signed(r#"{"alg":"HS256","kid":"../../dev/null"}"#, &claims, b""),
            wrong,
        ),
        (signed(r#"{"alg":"HS256"}"#, &claims, b""), wrong),
        // What has to be understood and is not.
        (
            signed(r#"{"alg":"HS256","crit":["exp"]}"#, &claims, SECRET),
            "JWT has critical extensions that are not known.",
        ),
        // Encrypted tokens have five parts; one in another is no claims.
        (
            format!("{}.a.b.c.d", encode(r#"{"alg":"dir","enc":"A128GCM"}"#)),
            malformed,
        ),
        (
            signed(r#"{"alg":"HS256","cty":"JWT"}"#, &good, SECRET),
            malformed,
        ),
        // JSON that is none, too deep, or no object.
        (
            signed(r#"{"alg":"HS256"}"#, &"[".repeat(5000), SECRET),
            malformed,
        ),
        (
            signed(
                r#"{"alg":"HS256"}"#,
                &format!("{{\"a\":{}1{}}}", "[".repeat(500), "]".repeat(500)),
                SECRET,
            ),
            malformed,
        ),
        (signed(r#"{"alg":"HS256"}"#, "[]", SECRET), malformed),
        (
            signed(r#"{"alg":"HS256"}"#, "{\"exp\":1,}", SECRET),
            malformed,
        ),
        (
            signed(r#"{"alg":"HS256"}"#, "\u{feff}{}", SECRET),
            malformed,
        ),
        // Base64 of another kind, with padding, with blanks.
        (format!("{start}.{signature}="), wrong),
        (format!("{start}.{} ", &signature[1..]), wrong),
        (format!("{start} .{signature}"), malformed),
        (
            format!(
                "{}.{}.{signature}",
                STANDARD.encode(r#"{"alg":"HS256","a":"??"}"#),
                encode(&claims)
            ),
            malformed,
        ),
        (format!(".{}.{signature}", encode(&claims)), malformed),
        ("..".to_owned(), malformed),
        ("a".repeat(40_000), malformed),
    ];
    for (token, message) in cases {
        let answer = call(&token).await;
        assert_eq!(answer.error(), (401, message.to_owned()), "{token:.80}");
    }
    // Larger than any head may be.
    assert_eq!(call(&"a".repeat(80_000)).await.status, 431);
    assert_eq!(stage.backend.calls(), 1);
}

#[tokio::test]
async fn times_are_numbers_and_a_second_counts() {
    let stage = Stage::new(&with_secret("header-name=\"Authorization\"", "")).await;
    let call = async |claims: Value| {
        let token = bearer(&hs256(&claims));
        let answer = stage.get_with(&[("authorization", &token)]).await;
        if answer.status == 200 {
            "let in".to_owned()
        } else {
            answer.error().1
        }
    };
    let no_time = |name: &str| format!("JWT claim '{name}' is no time.");
    let cases = [
        (json!({ "exp": START + 1 }), "let in".to_owned()),
        (json!({ "exp": START }), "JWT is expired.".to_owned()),
        (json!({ "exp": START - 1 }), "JWT is expired.".to_owned()),
        (json!({ "exp": -1 }), "JWT is expired.".to_owned()),
        (json!({ "exp": 0 }), "JWT is expired.".to_owned()),
        (json!({ "exp": i64::MIN }), "JWT is expired.".to_owned()),
        (
            json!({ "exp": START + 60, "nbf": START }),
            "let in".to_owned(),
        ),
        (
            json!({ "exp": START + 60, "nbf": START + 1 }),
            "JWT is not valid yet.".to_owned(),
        ),
        (json!({ "exp": (START + 60).to_string() }), no_time("exp")),
        (json!({ "exp": [START + 60] }), no_time("exp")),
        (json!({ "exp": true }), no_time("exp")),
        (json!({ "exp": 1e300 }), no_time("exp")),
        (json!({ "exp": START + 60, "nbf": "now" }), no_time("nbf")),
        (
            json!({ "exp": null }),
            "JWT has no expiration time.".to_owned(),
        ),
        (json!({}), "JWT has no expiration time.".to_owned()),
    ];
    for (claims, expected) in cases {
        assert_eq!(call(claims.clone()).await, expected, "{claims}");
    }
}

#[tokio::test]
async fn a_public_key_is_no_shared_secret_and_an_unknown_key_id_is_no_key() {
    let key = &rsa_keys()[0];
    let provider = provider(Arc::new(Mutex::new(vec![key.jwk.clone()]))).await;
    let sections = inbound(&format!(
        "<validate-jwt header-name=\"Authorization\"><openid-config url=\"{0}/me/.well-known/openid-configuration\" />\
         </validate-jwt>",
        provider.url
    ));
    let stage = Stage::new(&sections).await;
    let claims = json!({ "exp": START + 60, "iss": format!("{}/me", provider.url) });
    let call = async |token: &str| {
        let answer = stage.get_with(&[("authorization", &bearer(token))]).await;
        if answer.status == 200 {
            "let in".to_owned()
        } else {
            answer.error().1
        }
    };
    assert_eq!(call(&rs256(key, Algorithm::RS256, &claims)).await, "let in");
    // What everybody can read of the key, as the secret of an HMAC.
    let modulus = key.jwk["n"].as_str().expect("a modulus").as_bytes();
    for secret in [
        modulus,
        &URL_SAFE_NO_PAD.decode(modulus).expect("Base64"),
        key.jwk.to_string().as_bytes(),
    ] {
        let header = r#"{"alg":"HS256","kid":"k1"}"#;
        let forged = signed(header, &claims.to_string(), secret);
        assert_eq!(call(&forged).await, "JWT signature validation failed.");
    }
    // Of another key, under the name of the known one, and under its own.
    let stranger = crate::tokens::RsaKey {
        id: "k1",
        encoding: rsa_keys()[1].encoding.clone(),
        jwk: Value::Null,
    };
    let forged = rs256(&stranger, Algorithm::RS256, &claims);
    assert_eq!(call(&forged).await, "JWT signature validation failed.");
    let other = rs256(&rsa_keys()[1], Algorithm::RS256, &claims);
    assert_eq!(
        call(&other).await,
        "JWT signature verification key not found."
    );
    assert_eq!(stage.backend.calls(), 1);
    // What was once good is asked for its rules again.
    let good = rs256(key, Algorithm::RS256, &claims);
    stage.advance(59);
    assert_eq!(call(&good).await, "let in");
    stage.advance(1);
    assert_eq!(call(&good).await, "JWT is expired.");
}

#[test]
fn no_token_that_was_damaged_is_let_in() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let stage = runtime.block_on(Stage::new(&with_secret(
        "header-name=\"Authorization\"",
        "",
    )));
    let good = hs256(&json!({ "exp": START + 60, "sub": "somebody" }));
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(120)
    };
    let printable = "[!-~]";
    proptest!(config, |(at in 0..good.len(), cut in 0..3_usize, new in printable)| {
        let end = (at + cut).min(good.len());
        let damaged = format!("{}{new}{}", &good[..at], &good[end..]);
        prop_assume!(damaged != good);
        let sent = bearer(&damaged);
        let answer = runtime.block_on(stage.get_with(&[("authorization", &sent)]));
        prop_assert_eq!(answer.status, 401, "{}", damaged);
    });
    assert_eq!(stage.backend.calls(), 0);
}
