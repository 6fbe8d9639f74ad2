//! No secret is told.

use super::*;
use crate::drift::*;

const KEY: &str = "q7Jx2mVt9Lk4Rw8Zb1Nc6Hd3";

fn report(inbound: &str) -> String {
    let desired = desired();
    let mut observed = all(&desired);
    observed.policy = policy(&format!(
        "<policies><inbound><base />{inbound}</inbound></policies>"
    ));
    compare(
        Published::of(&desired).unwrap(),
        &record(&desired),
        &observed,
    )
    .to_string()
}

#[test]
fn what_a_place_or_a_look_says_is_secret_is_not_told() {
    for inbound in [
        format!(
            r#"<rate-limit calls="100" renewal-period="60" /><set-header name="X-Team"><value>{KEY}</value></set-header>"#
        ),
        r#"<set-header name="X-Api-Key"><value>hunter2</value></set-header>"#
            .replace("hunter2", KEY),
        format!(r#"<authentication-basic username="u" password="{KEY}" />"#),
        format!(r#"<set-variable name="token" value="{KEY}" />"#),
        format!(r#"<set-variable name="x" value="@(&quot;{KEY}&quot;)" />"#),
        format!(r#"<set-variable name="x" value="@(context.Headers[&quot;{KEY}&quot;])" />"#),
        format!(
            "<send-request><set-url>https://u:{KEY}@example.com/?code={KEY}</set-url></send-request>"
        ),
        format!(
            r#"<validate-jwt header-name="A"><issuer-signing-keys><key>{KEY}</key></issuer-signing-keys></validate-jwt>"#
        ),
    ] {
        let text = report(&inbound);
        assert!(!text.is_empty(), "{inbound}");
        assert!(!text.contains(KEY), "{text}");
        assert!(!text.contains("(redacted:"), "{text}");
    }
}

#[test]
fn short_secrets_are_known_by_their_place() {
    let text = report(
        r#"<rate-limit calls="100" renewal-period="60" /><set-header name="X-Team"><value>orders</value></set-header><set-header name="Authorization"><value>hunter2</value></set-header><authentication-basic username="u" password="swordfish" />"#,
    );
    assert!(
        !text.contains("hunter2") && !text.contains("swordfish"),
        "{text}"
    );
    assert!(text.contains("(redacted)"), "{text}");
}

#[test]
fn two_secrets_that_differ_are_a_difference_although_both_are_shown_alike() {
    let mut desired = desired();
    let own = |key: &str| {
        format!(
            "<policies><inbound><base /><set-header name=\"X-Key\"><value>{key}</value></set-header></inbound></policies>"
        )
    };
    desired.policy.as_mut().unwrap().api = PolicyText::new(own("one"));
    let mut observed = all(&desired);
    observed.policy = policy(&own("two"));
    let report = compare(
        Published::of(&desired).unwrap(),
        &record(&desired),
        &observed,
    );
    assert_eq!(
        report.to_string(),
        "policy/inbound/set-header/value/text(): expected `(redacted)`, found `(redacted)`"
    );
}

#[test]
fn what_names_no_secret_is_told() {
    for text in [
        "orders",
        "11111111-2222-4333-8444-555555555555",
        "https://login.microsoftonline.com/11111111-2222-4333-8444-555555555555/v2.0/.well-known/openid-configuration",
        "https://backend.example.com/productCatalogManagement/v4?depth=2",
        "remaining-calls-header-name",
        "apim-operator/1 01234567 team/product-catalog-management-v4",
    ] {
        assert_eq!(redacted(text), text);
    }
    assert_eq!(
        redacted("https://user:pw@example.com/a?sig=abc&x=1"),
        "https://(redacted)@example.com/a?sig=(redacted)&x=1"
    );
    assert_eq!(redacted(&format!("Bearer {KEY}")), "Bearer (redacted)");
}
