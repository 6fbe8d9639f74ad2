//! What is served: an API with the default chain as the operator composes it,
//! the keys behind it and a token that it lets in.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use apim_gateway::configuration::{Api, Operation, Service};
use apim_gateway::{Configuration, Options, ServerCertificate, Trust};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{HeaderName, HeaderValue};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};

use super::load::Client;
use super::proxy::Provider;

const KEY_ID: &str = "bench";
const ISSUER: &str = "https://issuer.example.com/";
const AUDIENCE: &str = "api://orders";

pub(crate) struct Subject {
    document: String,
    certificate: ServerCertificate,
    token: String,
    keys: Value,
}

/// What stands between two marks, replaced.
fn replaced(text: &str, start: &str, end: &str, new: &str) -> Result<String> {
    let missing = || format!("the default chain has no `{start}`");
    let from = text.find(start).with_context(missing)? + start.len();
    let to = from + text[from..].find(end).with_context(missing)?;
    Ok(format!("{}{new}{}", &text[..from], &text[to..]))
}

impl Subject {
    pub(crate) fn new() -> Result<Self> {
        let document = crate::plugins::default_chain()?;
        for policy in ["<cors", "<validate-jwt", "<rate-limit-by-key"] {
            ensure!(
                document.contains(policy),
                "the default chain has no {policy}: {document}"
            );
        }
        let document = replaced(&document, "<audience>", "</audience>", AUDIENCE)?;
        let document = replaced(&document, "<issuer>", "</issuer>", ISSUER)?;
        let document = replaced(&document, " calls=\"", "\"", "1000000000")?;

        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048)?;
        let encode = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        let keys = json!({ "keys": [{
            "kty": "RSA", "kid": KEY_ID, "use": "sig", "alg": "RS256",
            "n": encode(key.n().to_bytes_be()), "e": encode(key.e().to_bytes_be()),
        }] });
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(KEY_ID.to_owned());
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
        // As long as one of Entra.
        let claims = json!({
            "aud": AUDIENCE, "iss": ISSUER, "iat": now, "nbf": now - 60, "exp": now + 86_400,
            "aio": "x".repeat(120), "azp": "22222222-2222-2222-2222-222222222222", "azpacr": "1",
            "oid": "33333333-3333-3333-3333-333333333333", "rh": "y".repeat(80), "roles": ["Orders.Read"],
            "sub": "33333333-3333-3333-3333-333333333333", "tid": "11111111-1111-1111-1111-111111111111",
            "uti": "abcdefghijklmnopqrstuv", "ver": "2.0",
        });
        let der = key.to_pkcs1_der()?;
        let encoding = EncodingKey::from_rsa_der(der.as_bytes());
        let token = jsonwebtoken::encode(&header, &claims, &encoding)?;
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        Ok(Self {
            document,
            certificate: ServerCertificate {
                chain: made.cert.pem(),
                key: made.signing_key.serialize_pem(),
            },
            token,
            keys,
        })
    }

    pub(crate) fn certificate(&self) -> &ServerCertificate {
        &self.certificate
    }

    /// The OpenID configuration and the keys.
    pub(crate) fn provider(&self) -> Provider {
        let keys = self.keys.to_string();
        Arc::new(move |path, address: SocketAddr| match path {
            "/keys" => Some(keys.clone()),
            "/.well-known/openid-configuration" => Some(
                json!({ "issuer": ISSUER, "jwks_uri": format!("http://{address}/keys") })
                    .to_string(),
            ),
            _ => None,
        })
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            tls: Some(self.certificate.clone()),
            trust: Trust::default(),
            ..Options::default()
        }
    }

    /// One API among others, as a gateway has.
    pub(crate) fn configuration(&self, backend: SocketAddr) -> Result<Configuration> {
        let url = format!("http://{backend}/.well-known/openid-configuration");
        let document = replaced(&self.document, "<openid-config url=\"", "\"", &url)?;
        let others = (0..100).map(|number| api(&format!("other-{number}"), backend, None));
        let apis = others
            .chain([api("orders", backend, Some(document))])
            .collect();
        Ok(Configuration {
            services: vec![Service {
                name: "bench".to_owned(),
                apis,
                ..Service::default()
            }],
        })
    }

    /// A client that trusts the certificate and sends the token.
    pub(crate) fn client(&self) -> Result<Client> {
        use rustls::pki_types::pem::PemObject as _;
        let mut roots = rustls::RootCertStore::empty();
        let chain = self.certificate.chain.as_bytes();
        roots.add(rustls::pki_types::CertificateDer::from_pem_slice(chain)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let header = |name: &'static str, value: &str| -> Result<_> {
            Ok((HeaderName::from_static(name), HeaderValue::from_str(value)?))
        };
        Ok(Client {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: Arc::new(tls),
            // What a browser's script sends, about.
            headers: vec![
                header("authorization", &format!("Bearer {}", self.token))?,
                header("accept", "application/json")?,
                header("accept-language", "en-GB,en;q=0.9")?,
                header("origin", "https://shop.example.com")?,
                header("user-agent", "bench/1.0")?,
            ],
        })
    }
}

/// A service with an API that counts the calls of every caller.
pub(crate) fn limited() -> Service {
    let document = "<policies><inbound><base /><rate-limit-by-key calls=\"100000\" renewal-period=\"300\" \
                    counter-key='@(context.Request.Headers.GetValueOrDefault(\"X-Key\", \"\"))' />\
                    <return-response><set-status code=\"200\" /></return-response></inbound></policies>";
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    Service {
        name: "bench".to_owned(),
        apis: vec![api("orders", nowhere, Some(document.to_owned()))],
        ..Service::default()
    }
}

fn api(id: &str, backend: SocketAddr, policy: Option<String>) -> Api {
    let operation = |id: &str, method: &str, template: &str| Operation {
        id: id.to_owned(),
        name: id.to_owned(),
        method: method.to_owned(),
        url_template: template.to_owned(),
        ..Operation::default()
    };
    Api {
        id: id.to_owned(),
        name: id.to_owned(),
        path: id.to_owned(),
        service_url: Some(format!("http://{backend}")),
        policy,
        operations: vec![
            operation("list", "GET", "/items"),
            operation("create", "POST", "/items"),
            operation("get", "GET", "/items/{id}"),
        ],
        ..Api::default()
    }
}
