use super::support::{ARM, Answer, Azure, OPERATOR, TENANT};
use reqwest::Method;
use serde_json::{Value, json};

async fn token(azure: &Azure, tenant: &str, form: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let url = format!("{}/{tenant}/oauth2/v2.0/token", azure.simulator.base_url);
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    azure.send(Method::POST, &url, &headers, Some(body)).await
}

const GRANT: (&str, &str) = ("grant_type", "client_credentials");
const SCOPE: (&str, &str) = ("scope", "https://management.azure.com/.default");
const CLIENT: (&str, &str) = ("client_id", OPERATOR);
const SECRET: (&str, &str) = ("client_secret", "operator-secret");

fn code(answer: &Answer) -> (u16, String, u64) {
    let body = answer.json();
    let error = body["error"].as_str().unwrap_or_default().to_owned();
    (
        answer.status,
        error,
        body["error_codes"][0].as_u64().unwrap_or_default(),
    )
}

#[tokio::test]
async fn a_client_secret_gets_a_token_that_the_published_keys_verify() {
    let azure = Azure::start().await;
    let answer = token(&azure, TENANT, &[GRANT, SCOPE, CLIENT, SECRET])
        .await
        .expect(200);
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3599);

    let base = &azure.simulator.base_url;
    let configuration = azure
        .follow(&format!(
            "{base}/{TENANT}/v2.0/.well-known/openid-configuration"
        ))
        .await
        .json();
    assert_eq!(configuration["issuer"], format!("{base}/{TENANT}/v2.0"));
    assert_eq!(
        configuration["token_endpoint"],
        format!("{base}/{TENANT}/oauth2/v2.0/token")
    );
    let keys = azure
        .follow(configuration["jwks_uri"].as_str().expect("keys"))
        .await
        .json();
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_value(keys).expect("a JWK set");

    let access_token = body["access_token"].as_str().expect("a token");
    let header = jsonwebtoken::decode_header(access_token).expect("a header");
    let key = keys.find(&header.kid.expect("a key id")).expect("the key");
    let key = jsonwebtoken::DecodingKey::from_jwk(key).expect("a key");
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.set_audience(&[ARM]);
    validation.set_issuer(&[format!("https://sts.windows.net/{TENANT}/")]);
    let claims = jsonwebtoken::decode::<Value>(access_token, &key, &validation)
        .expect("a valid token")
        .claims;
    assert_eq!(claims["appid"], OPERATOR);
    assert_eq!(claims["tid"], TENANT);
    assert_eq!(claims["oid"], "33333333-3333-4333-8333-000000000001");
}

#[tokio::test]
async fn version_1_configuration_has_the_issuer_of_version_1_tokens() {
    let azure = Azure::start().await;
    let base = &azure.simulator.base_url;
    let body = azure
        .follow(&format!("{base}/{TENANT}/.well-known/openid-configuration"))
        .await
        .json();
    assert_eq!(body["issuer"], format!("https://sts.windows.net/{TENANT}/"));
    assert_eq!(body["jwks_uri"], format!("{base}/{TENANT}/discovery/keys"));
    let discovery = azure
        .follow(&format!("{base}/common/discovery/instance?api-version=1.1"))
        .await
        .json();
    assert_eq!(
        discovery["tenant_discovery_endpoint"],
        format!("{base}/{TENANT}/v2.0/.well-known/openid-configuration")
    );
}

#[tokio::test]
async fn each_wrong_token_request_is_refused_with_its_own_code() {
    let azure = Azure::start().await;
    let cases = [
        (
            "22222222-aaaa-4222-8222-000000000001",
            vec![GRANT, SCOPE, CLIENT, SECRET],
            (400, "invalid_request", 90002),
        ),
        (
            TENANT,
            vec![GRANT, SCOPE, CLIENT, ("client_secret", "no")],
            (401, "invalid_client", 7_000_215),
        ),
        (
            TENANT,
            vec![GRANT, SCOPE, CLIENT],
            (401, "invalid_client", 7_000_218),
        ),
        (
            TENANT,
            vec![GRANT, SCOPE, SECRET, ("client_id", "nobody")],
            (400, "unauthorized_client", 700_016),
        ),
        (
            TENANT,
            vec![GRANT, CLIENT, SECRET],
            (400, "invalid_request", 900_144),
        ),
        (
            TENANT,
            vec![
                GRANT,
                CLIENT,
                SECRET,
                ("scope", "https://management.azure.com"),
            ],
            (400, "invalid_scope", 1_002_012),
        ),
        (
            TENANT,
            vec![
                GRANT,
                CLIENT,
                SECRET,
                ("scope", "https://elsewhere.example/.default"),
            ],
            (400, "invalid_resource", 500_011),
        ),
        (
            TENANT,
            vec![SCOPE, CLIENT, SECRET, ("grant_type", "password")],
            (400, "unsupported_grant_type", 70003),
        ),
    ];
    for (tenant, form, (status, error, number)) in cases {
        let answer = token(&azure, tenant, &form).await;
        assert_eq!(
            code(&answer),
            (status, error.to_owned(), number),
            "{form:?}"
        );
        let text = answer.json()["error_description"]
            .as_str()
            .expect("text")
            .to_owned();
        assert!(text.starts_with(&format!("AADSTS{number}: ")), "{text}");
    }
}

const ASSERTION_TYPE: (&str, &str) = (
    "client_assertion_type",
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
);

async fn federated(azure: &Azure, subject: &str) -> String {
    let body = json!({
        "issuer": "https://kubernetes.default.svc.cluster.local", "subject": subject,
    });
    let answer = azure
        .control(Method::POST, "federated-token", Some(body))
        .await
        .expect(200);
    answer.json()["token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn a_federated_token_is_accepted_until_it_expires() {
    let azure = Azure::start().await;
    let assertion = federated(&azure, "system:serviceaccount:operators:apim-operator").await;
    let form = [
        GRANT,
        SCOPE,
        CLIENT,
        ASSERTION_TYPE,
        ("client_assertion", &assertion),
    ];
    token(&azure, TENANT, &form).await.expect(200);
    azure.simulator.advance_clock(3_600_000);
    let late = token(&azure, TENANT, &form).await;
    assert_eq!(code(&late), (401, "invalid_client".to_owned(), 700_024));
}

#[tokio::test]
async fn a_federated_token_of_another_subject_or_another_key_is_refused() {
    let azure = Azure::start().await;
    let other = federated(&azure, "system:serviceaccount:default:thief").await;
    let form = [
        GRANT,
        SCOPE,
        CLIENT,
        ASSERTION_TYPE,
        ("client_assertion", &other),
    ];
    assert_eq!(code(&token(&azure, TENANT, &form).await).2, 700_211);

    let right = federated(&azure, "system:serviceaccount:operators:apim-operator").await;
    let (signed, signature) = right.rsplit_once('.').expect("three parts");
    let turned: String = signature.chars().rev().collect();
    let forged = format!("{signed}.{turned}");
    let form = [
        GRANT,
        SCOPE,
        CLIENT,
        ASSERTION_TYPE,
        ("client_assertion", &forged),
    ];
    assert_eq!(code(&token(&azure, TENANT, &form).await).2, 7_000_272);
}

#[tokio::test]
async fn the_managed_identity_endpoint_wants_its_header_version_and_a_known_resource() {
    let azure = Azure::start().await;
    let endpoint = azure.simulator.endpoints.identity_endpoint.clone();
    let ask = async |query: &str, header: &str| {
        let url = format!("{endpoint}?{query}");
        azure
            .send(Method::GET, &url, &[("x-identity-header", header)], None)
            .await
    };
    let right = "api-version=2019-08-01&resource=https://management.azure.com";
    let answer = ask(right, "local-identity-header").await.expect(200);
    let body = answer.json();
    assert_eq!(body["client_id"], OPERATOR);
    assert_eq!(body["token_type"], "Bearer");
    let expires: i64 = body["expires_on"]
        .as_str()
        .expect("text")
        .parse()
        .expect("a number");
    assert!(expires > 0);
    let bearer = format!("Bearer {}", body["access_token"].as_str().expect("a token"));
    let url = azure.url("");
    azure
        .send(Method::GET, &url, &[("authorization", &bearer)], None)
        .await
        .expect(200);

    assert_eq!(ask(right, "wrong").await.status, 401);
    assert_eq!(
        ask(
            "resource=https://management.azure.com",
            "local-identity-header"
        )
        .await
        .status,
        400
    );
    assert_eq!(
        ask("api-version=2019-08-01", "local-identity-header")
            .await
            .status,
        400
    );
    let unknown = format!("{right}&client_id=22222222-2222-4222-8222-000000000009");
    assert_eq!(ask(&unknown, "local-identity-header").await.status, 400);
}
