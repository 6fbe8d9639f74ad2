//! `backend-auth`.

use apim_gateway::configuration::{Certificate, Service};
use apim_gateway::{Checked, Scope, check_policy};
use plugin_behaviour::{Api, Authority, Identity, Stage};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

async fn stage(config: Value) -> Stage {
    Stage::of(Api::of("backend-auth", &config)).await
}

#[tokio::test]
async fn the_backend_gets_a_token_of_the_instance_in_place_of_the_callers() {
    let stage = stage(json!({"managedIdentity": {"resource": "api://orders"}})).await;
    let answer = stage.item().token("the-callers").send().await;
    assert_eq!(answer.status, 200);
    let token = "Bearer token-for-api%3A%2F%2Forders";
    assert_eq!(
        stage.world.last().header("authorization").as_deref(),
        Some(token)
    );
    // The caller does not see it.
    assert!(!format!("{:?}", answer.headers).contains("token-for"));
    // It is asked for once, not for each call.
    assert_eq!(stage.item().status().await, 200);
    assert_eq!(stage.world.asked().len(), 1);
    assert!(!stage.world.asked()[0].contains("client_id"));
}

#[tokio::test]
async fn in_a_header_of_its_own_the_token_stands_beside_the_callers() {
    let identity = "33333333-3333-3333-3333-333333333333";
    let stage = stage(json!({"managedIdentity": {
        "resource": "api://orders", "clientId": identity, "header": "X-Gateway-Token",
    }}))
    .await;
    let call = stage.item().token("the-callers");
    let call = call.header("X-Gateway-Token", "forged");
    assert_eq!(call.status().await, 200);
    let seen = stage.world.last();
    assert_eq!(
        seen.header("authorization").as_deref(),
        Some("Bearer the-callers")
    );
    assert_eq!(
        seen.header("x-gateway-token").as_deref(),
        Some("Bearer token-for-api%3A%2F%2Forders")
    );
    let asked = stage.world.asked();
    assert!(
        asked[0].contains(&format!("client_id={identity}")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn the_backend_is_shown_the_certificate_that_the_config_names() {
    let authority = Authority::new("ours");
    let (orders, bills) = (
        authority.issue("orders", (2020, 2040)),
        authority.issue("bills", (2020, 2040)),
    );
    for (config, shown) in [
        (json!({"id": "orders-client"}), &orders),
        (json!({"id": "bills-client"}), &bills),
        (json!({"thumbprint": print(&bills)}), &bills),
    ] {
        let api = Api::of("backend-auth", &json!({"certificate": config}));
        let stage = Stage::with(api, |service| {
            for (id, identity) in [("orders-client", &orders), ("bills-client", &bills)] {
                service.certificates.insert(id.to_owned(), identity.into());
            }
        })
        .await;
        let answer = stage.item().token("the-callers").send().await;
        assert_eq!(answer.status, 200);
        let seen = stage.world.last();
        assert_eq!(seen.certificate, Some(print(shown)), "{config}");
        // It takes no token's place.
        assert_eq!(
            seen.header("authorization").as_deref(),
            Some("Bearer the-callers")
        );
    }
}

#[tokio::test]
async fn a_client_certificate_is_never_left_out_in_silence() {
    let api = Api::of(
        "backend-auth",
        &json!({"certificate": {"id": "orders-client"}}),
    );
    let policy = api.desired().expect("good").policy.expect("a policy");
    let authority = Authority::new("ours");
    let mut service = Service::default();
    let check = |service: &Service| {
        let checked = check_policy(&policy.api.text, Scope::Api, service);
        checked.map_err(|error| error.message)
    };
    assert_eq!(
        check(&service),
        Err("Certificate with id 'orders-client' could not be found.".to_owned())
    );
    // One of which the service has no key.
    let public = Certificate::from(&authority);
    service
        .certificates
        .insert("orders-client".to_owned(), public);
    assert_eq!(
        check(&service),
        Err(
            "Certificate with id 'orders-client' cannot be shown to a backend: it has no private key."
                .to_owned()
        )
    );
    let identity = authority.issue("orders", (2020, 2040));
    service
        .certificates
        .insert("orders-client".to_owned(), Certificate::from(&identity));
    assert_eq!(check(&service), Ok(Checked::default()));
}

/// SHA-1 of the certificate, as Azure names it.
fn print(identity: &Identity) -> String {
    let digest = Sha1::digest(&identity.der);
    let hex = |text: String, byte: &u8| text + &format!("{byte:02X}");
    digest.iter().fold(String::new(), hex)
}
