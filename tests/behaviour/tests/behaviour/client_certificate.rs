//! `client-certificate`.

use apim_gateway::configuration::Certificate;
use plugin_behaviour::{Api, Authority, Identity, Stage};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

const YEARS: (i32, i32) = (2020, 2040);

fn thumbprint(der: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in Sha1::digest(der) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The instance knows the authority `ours`, by that id.
async fn stage(config: &Value, ours: &Authority) -> Stage {
    Stage::over_tls(Api::of("client-certificate", config), |service| {
        let certificate = Certificate::from(ours);
        service.certificates.insert("ours".to_owned(), certificate);
    })
    .await
}

fn refused() -> (u16, String) {
    (403, "Invalid client certificate".to_owned())
}

#[tokio::test]
async fn only_a_named_certificate_of_a_known_authority_gets_in() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let config =
        json!({"identities": [{"dnsName": "partner.example", "issuerSubject": "CN=ours"}]});
    let stage = stage(&config, &ours).await;
    let partner = ours.issue("partner.example", YEARS);
    let answer = stage.item().as_client(&partner).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(stage.item().error().await, refused());
    for (who, identity) in [
        ("another name", ours.issue("stranger.example", YEARS)),
        ("a name below", ours.issue("a.partner.example", YEARS)),
        ("another authority", theirs.issue("partner.example", YEARS)),
        (
            "a false authority of the same name",
            Authority::new("ours").issue("partner.example", YEARS),
        ),
        (
            "one that has ended",
            ours.issue("partner.example", (2020, 2023)),
        ),
        (
            "one that is not yet good",
            ours.issue("partner.example", (2024, 2040)),
        ),
    ] {
        let answer = stage.item().as_client(&identity).error().await;
        assert_eq!(answer, refused(), "{who}");
    }
    assert_eq!(stage.world.calls(), 1);
}

#[tokio::test]
async fn one_of_several_identities_is_enough_and_all_that_it_says_must_hold() {
    let ours = Authority::new("ours");
    let (known, other) = (ours.issue("known", YEARS), ours.issue("other", YEARS));
    let config = json!({"identities": [
        {"thumbprint": thumbprint(&known.der)},
        {"commonName": "partner", "issuerCertificateId": "ours"},
        {"commonName": "other", "thumbprint": thumbprint(&known.der)},
    ]});
    let stage = stage(&config, &ours).await;
    for (identity, expected) in [
        (&known, 200),
        (&ours.issue("partner", YEARS), 200),
        (&other, 403),
        (&ours.issue("known", YEARS), 403),
    ] {
        assert_eq!(stage.item().as_client(identity).status().await, expected);
    }
}

#[tokio::test]
async fn an_issuer_that_is_only_sent_along_is_nobodys_issuer() {
    let (ours, partners) = (Authority::new("ours"), Authority::new("partners"));
    let config = json!({"identities": [
        {"dnsName": "partner.example", "issuerThumbprint": thumbprint(&partners.der)},
    ]});
    let stage = Stage::over_tls(Api::of("client-certificate", &config), |service| {
        for (id, authority) in [("ours", &ours), ("partners", &partners)] {
            let certificate = Certificate::from(authority);
            service.certificates.insert(id.to_owned(), certificate);
        }
    })
    .await;
    let partner = partners.issue("partner.example", YEARS);
    assert_eq!(stage.item().as_client(&partner).status().await, 200);
    // A certificate of that name by another trusted authority, with the wanted
    // issuer's beside it.
    let mut decoy = ours.issue("partner.example", YEARS);
    decoy.chain.push_str(&partners.pem);
    assert_eq!(stage.item().as_client(&decoy).error().await, refused());
    assert_eq!(stage.world.calls(), 1);
}

#[tokio::test]
async fn without_trust_the_thumbprint_alone_decides() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let pinned = theirs.issue("partner.example", (2020, 2021));
    let config = json!({
        "identities": [{"thumbprint": thumbprint(&pinned.der)}], "validateTrust": false,
        "validateRevocation": false, "validateNotAfter": false,
    });
    let stage = stage(&config, &ours).await;
    assert_eq!(stage.item().as_client(&pinned).status().await, 200);
    let same_name = theirs.issue("partner.example", YEARS);
    assert_eq!(stage.item().as_client(&same_name).error().await, refused());
    assert_eq!(stage.item().error().await, refused());
}

#[tokio::test]
async fn a_certificate_that_its_authority_has_revoked_stays_outside_unless_the_config_says_so() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (good, revoked) = (ours.issue("partner", YEARS), ours.issue("partner", YEARS));
    // Of an authority that has no list.
    let other = theirs.issue("partner", YEARS);
    let print = |identity: &Identity| json!({"thumbprint": thumbprint(&identity.der)});
    let identities = json!([print(&good), print(&revoked), print(&other)]);
    for (config, expected) in [
        (json!({"identities": identities}), [200, 403, 200]),
        // Trust is another question.
        (
            json!({"identities": identities, "validateTrust": false}),
            [200, 403, 200],
        ),
        (
            json!({"identities": identities, "validateRevocation": false}),
            [200, 200, 200],
        ),
    ] {
        let stage = Stage::over_tls(Api::of("client-certificate", &config), |service| {
            let with_list = Certificate {
                revocations: Some(ours.revocations(&[&revoked])),
                ..Certificate::from(&ours)
            };
            let certificates = &mut service.certificates;
            certificates.insert("ours".to_owned(), with_list);
            certificates.insert("theirs".to_owned(), Certificate::from(&theirs));
        })
        .await;
        for (identity, expected) in [&good, &revoked, &other].into_iter().zip(expected) {
            let status = stage.item().as_client(identity).status().await;
            assert_eq!(status, expected, "{config}");
        }
    }
}
