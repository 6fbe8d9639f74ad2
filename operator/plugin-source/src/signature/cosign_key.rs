//! Private keys as `cosign generate-key-pair` writes them: a JSON document in
//! PEM, with the PKCS#8 key in a secretbox (`XSalsa20` and Poly1305) whose key scrypt
//! makes of a password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit as _;
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit as _, StreamCipher as _};
use serde::Deserialize;

use super::sign::KeyError;

/// What may be asked of this machine by a key file: cosign asks for 64 MiB.
const MAX_LOG_N: u8 = 20;
const MAX_R: u32 = 16;
const MAX_P: u32 = 4;

#[derive(Deserialize)]
struct Document {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// The PKCS#8 key in such a PEM text.
pub(super) fn decrypt(pem: &str, password: &str) -> Result<Vec<u8>, KeyError> {
    let base64: String = pem
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| KeyError::NotAKey);
    // serde_json's messages could quote the key.
    let document: Document =
        serde_json::from_slice(&decode(&base64)?).map_err(|_| KeyError::NotAKey)?;
    if document.kdf.name != "scrypt" || document.cipher.name != "nacl/secretbox" {
        return Err(KeyError::Encryption);
    }
    let Params { n, r, p } = document.kdf.params;
    let log_n = n.checked_ilog2().and_then(|log_n| u8::try_from(log_n).ok());
    let params = log_n
        .filter(|log_n| n.is_power_of_two() && *log_n <= MAX_LOG_N && r <= MAX_R && p <= MAX_P)
        .and_then(|log_n| scrypt::Params::new(log_n, r, p).ok())
        .ok_or(KeyError::Encryption)?;
    let salt = decode(&document.kdf.salt)?;
    let mut key = [0; 32];
    scrypt::scrypt(password.as_bytes(), &salt, &params, &mut key)
        .map_err(|_| KeyError::Encryption)?;
    let nonce: [u8; 24] = decode(&document.cipher.nonce)?
        .try_into()
        .map_err(|_| KeyError::NotAKey)?;
    open(&key, &nonce, &decode(&document.ciphertext)?)
}

/// The `crypto_secretbox_open` of libsodium: the first 32 bytes of the key stream are the
/// authenticator's key, and its tag stands before the text.
fn open(key: &[u8; 32], nonce: &[u8; 24], sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut stream = XSalsa20::new(key.into(), nonce.into());
    let mut authenticator = [0; 32];
    stream.apply_keystream(&mut authenticator);
    let (tag, text) = sealed.split_at_checked(16).ok_or(KeyError::NotAKey)?;
    let computed = Poly1305::new(&authenticator.into()).compute_unpadded(text);
    if computed.as_slice() != tag {
        return Err(KeyError::Password);
    }
    let mut text = text.to_vec();
    stream.apply_keystream(&mut text);
    Ok(text)
}
