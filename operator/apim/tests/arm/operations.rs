//! The service and its OpenID provider.

use operator_apim::{OidcOutcome, OidcProvider};

use crate::stage::Stage;

fn provider() -> OidcProvider {
    OidcProvider {
        id: "AzureAD".into(),
        display_name: "Azure AD".into(),
        mark: "apim-operator/1 01234567 -".into(),
        metadata_endpoint: "https://login.example/tenant/v2.0/.well-known/openid-configuration"
            .into(),
        client_id: "22222222-2222-4222-8222-000000000004".into(),
    }
}

#[tokio::test]
async fn the_openid_provider_is_written_when_it_is_absent_or_ours_and_different_only() {
    let stage = Stage::new().await;
    let ensure = async |wanted: &OidcProvider| {
        stage.simulator.clear_journal();
        let outcome = stage.client().ensure_oidc_provider(wanted).await.unwrap();
        (outcome, stage.writes())
    };
    let put = |status| vec![format!("PUT openidConnectProviders/AzureAD {status}")];
    let wanted = provider();
    assert_eq!(ensure(&wanted).await, (OidcOutcome::Created, put(201)));
    assert_eq!(ensure(&wanted).await, (OidcOutcome::InPlace, vec![]));

    let changed = OidcProvider {
        client_id: "another".into(),
        ..provider()
    };
    assert_eq!(ensure(&changed).await, (OidcOutcome::Updated, put(200)));

    // The same provider, as another operator sees it.
    let theirs = OidcProvider {
        mark: "apim-operator/1 76543210 -".into(),
        ..provider()
    };
    let foreign = OidcOutcome::Foreign {
        differences: vec![("clientId", "another".into(), theirs.client_id.clone())],
    };
    assert_eq!(ensure(&theirs).await, (foreign, vec![]));
}
