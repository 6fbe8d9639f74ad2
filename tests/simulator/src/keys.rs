//! The RSA keys that sign tokens, and their public half as a JWK set.

use crate::tls::{self, TlsError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use parking_lot::Mutex;
use rsa::RsaPrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey as _, EncodeRsaPrivateKey as _, LineEnding};
use rsa::traits::PublicKeyParts as _;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::Path;

const KEY_BITS: usize = 2048;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A key cannot be made or encoded.
    #[error("the token signing key cannot be made: {0}")]
    Generate(#[from] rsa::Error),
    /// A key cannot be written as PKCS #1.
    #[error("the token signing key cannot be encoded: {0}")]
    Encode(#[from] rsa::pkcs1::Error),
    /// A token cannot be signed.
    #[error("a token cannot be signed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
    /// The key's file cannot be written.
    #[error(transparent)]
    File(#[from] TlsError),
}

/// One signing key.
#[derive(Clone)]
pub(crate) struct SigningKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
    jwk: Value,
    kid: String,
}

impl SigningKey {
    /// The key of this process or, with a folder, the one that was kept there
    /// by an earlier start. Generating 2,048 bits takes about a second without
    /// optimisation, so a process does it once.
    pub(crate) fn load(data_dir: Option<&Path>, file: &str) -> Result<Self, KeyError> {
        static PROCESS_KEY: Mutex<Option<RsaPrivateKey>> = Mutex::new(None);
        let kept = data_dir.map(|dir| dir.join(file));
        if let Some(path) = &kept
            && let Ok(pem) = std::fs::read_to_string(path)
        {
            return Self::from_private_key(&RsaPrivateKey::from_pkcs1_pem(&pem)?);
        }
        let key = {
            let mut known = PROCESS_KEY.lock();
            if let Some(key) = &*known {
                key.clone()
            } else {
                let fresh = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, KEY_BITS)?;
                known.insert(fresh).clone()
            }
        };
        if let Some(path) = &kept {
            tls::write(path, &key.to_pkcs1_pem(LineEnding::LF)?, true)?;
        }
        Self::from_private_key(&key)
    }

    fn from_private_key(key: &RsaPrivateKey) -> Result<Self, KeyError> {
        let encode = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        let modulus = encode(key.n().to_bytes_be());
        let exponent = encode(key.e().to_bytes_be());
        let kid = URL_SAFE_NO_PAD.encode(&Sha256::digest(modulus.as_bytes())[..20]);
        let jwk = json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "x5t": kid,
            "n": modulus, "e": exponent,
        });
        Ok(Self {
            encoding: EncodingKey::from_rsa_der(key.to_pkcs1_der()?.as_bytes()),
            decoding: DecodingKey::from_rsa_components(&modulus, &exponent)?,
            jwk,
            kid,
        })
    }

    /// Signs claims with RS256.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String, KeyError> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.kid.clone());
        Ok(jsonwebtoken::encode(&header, claims, &self.encoding)?)
    }

    /// The key that verifies what this one signed.
    pub(crate) fn verifier(&self) -> &DecodingKey {
        &self.decoding
    }

    /// The published half, as a JWK set.
    pub(crate) fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk] })
    }
}
