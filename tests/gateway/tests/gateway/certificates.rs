//! TLS, HTTP/2, and the certificates of callers.

use crate::stage::{Answer, Backend, LOOPBACK, Stage, inbound, read};
use apim_gateway::configuration::Certificate;
use apim_gateway::{Options, ServerCertificate};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

pub(crate) fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("a certificate").pem();
    Authority {
        pem,
        issuer: Issuer::new(params, key),
    }
}

/// A certificate and its key in PEM.
pub(crate) fn issued(by: &Authority, name: &str) -> (String, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &by.issuer).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn callers_with_a_certificate_are_known_by_it() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let (chain, key) = issued(&ours, "localhost");
    let options = Options {
        listen: LOOPBACK,
        tls: Some(ServerCertificate { chain, key }),
        ..Options::default()
    };
    let sections = inbound(
        "<validate-client-certificate validate-revocation=\"false\" validate-trust=\"true\" validate-not-before=\"true\" validate-not-after=\"true\">\
         <identities><identity dns-name=\"partner.example\" issuer-subject=\"CN=ours\" /></identities></validate-client-certificate>",
    );
    let root = ours.pem.clone();
    let stage = Stage::as_said(Backend::ok().await, &sections, options, |service| {
        let certificate = Certificate {
            pem: root,
            trusted_root: true,
            ..Certificate::default()
        };
        service.certificates.insert("ours".to_owned(), certificate);
    })
    .await;
    let url = format!("{}/shop/items/7", stage.gateway.url());
    let call = async |identity: Option<(String, String)>| -> Answer {
        let root = reqwest::Certificate::from_pem(ours.pem.as_bytes()).expect("a root");
        let mut client = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
        if let Some((chain, key)) = identity {
            let pem = format!("{chain}{key}");
            client =
                client.identity(reqwest::Identity::from_pem(pem.as_bytes()).expect("an identity"));
        }
        let client = client.build().expect("a client");
        let response = client.get(&url).send().await.expect("an answer");
        assert_eq!(response.version(), http::Version::HTTP_2);
        read(response).await
    };
    assert_eq!(
        call(Some(issued(&ours, "partner.example"))).await.status,
        200
    );
    for identity in [
        None,
        Some(issued(&ours, "stranger.example")),
        Some(issued(&theirs, "partner.example")),
    ] {
        let refused = call(identity).await;
        assert_eq!(
            refused.error(),
            (403, "Invalid client certificate".to_owned())
        );
    }
    assert_eq!(stage.backend.calls(), 1);
}
