//! Tokens of callers.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};

use crate::api::{CLIENT, TENANT};
use crate::stage::START;

/// Who signs the tokens of the instance's tenant.
pub const ISSUER: &str =
    "https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111/v2.0";

/// A key of an OpenID provider.
pub struct Signer {
    id: &'static str,
    encoding: EncodingKey,
    /// Both halves in PKCS #8.
    pub(crate) private: Vec<u8>,
    /// The public half.
    pub jwk: Value,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key");
        let encode = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({
            "kty": "RSA", "kid": id, "use": "sig",
            "n": encode(key.n().to_bytes_be()), "e": encode(key.e().to_bytes_be()),
        });
        let der = key.to_pkcs1_der().expect("DER");
        Self {
            id,
            encoding: EncodingKey::from_rsa_der(der.as_bytes()),
            private: key.to_pkcs8_der().expect("DER").as_bytes().to_vec(),
            jwk,
        }
    }

    /// The key that every provider of a stage publishes.
    #[must_use]
    pub fn known() -> &'static Self {
        static KEY: OnceLock<Signer> = OnceLock::new();
        KEY.get_or_init(|| Self::new("known"))
    }

    /// A key that no provider publishes, under the id of the one that they do.
    #[must_use]
    pub fn forger() -> &'static Self {
        static KEY: OnceLock<Signer> = OnceLock::new();
        KEY.get_or_init(|| Self::new("known"))
    }

    /// Signs claims with RS256.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.id.to_owned());
        jsonwebtoken::encode(&header, claims, &self.encoding).expect("a token")
    }
}

/// A token of the instance's tenant for the instance's application, with these
/// claims over the usual ones; null leaves one out.
#[must_use]
pub fn token(change: &Value) -> String {
    Signer::known().sign(&claims(change))
}

/// A token signed with a shared secret in Base64.
#[must_use]
pub fn hs256(secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_base64_secret(secret).expect("a secret");
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).expect("a token")
}

fn claims(change: &Value) -> Value {
    let mut claims = json!({
        "aud": CLIENT, "iss": ISSUER, "tid": TENANT, "ver": "2.0",
        "iat": START, "nbf": START, "exp": START + 3600,
        "azp": "app-1", "oid": "user-1", "sub": "subject-1",
    });
    for (name, value) in change.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    if let Some(all) = claims.as_object_mut() {
        all.retain(|_, value| !value.is_null());
    }
    claims
}
