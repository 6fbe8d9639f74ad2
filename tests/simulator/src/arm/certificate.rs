//! The certificates of a service: what `PUT certificates/{id}` is told, and what
//! is kept of it. The key is kept for the gateway alone; nothing answers it.

use super::error::{ArmError, Detail};
use crate::clock::iso;
use apim_gateway::configuration::Certificate;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Takes a PKCS #12 file and its password out of the fields, and puts in what is
/// public of the certificate.
pub(super) fn take(fields: &mut Map<String, Value>) -> Result<Certificate, ArmError> {
    let mut text = |name: &str| match fields.shift_remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (data, password) = (text("data"), text("password"));
    if fields.get("keyVault").is_some_and(|vault| !vault.is_null()) {
        return Err(ArmError::not_simulated("certificates of a Key Vault"));
    }
    fields.shift_remove("keyVault");
    let refused = |why: &str| ArmError::validation(vec![Detail::new("data", why)]);
    let data = data.unwrap_or_default();
    let file = STANDARD.decode(data.trim());
    let file = file.map_err(|_| refused("The certificate's data is not Base64."))?;
    let held = Certificate::from_pfx(&file, &password.unwrap_or_default())
        .map_err(|why| refused(&format!("The certificate cannot be used: {why}.")))?;
    let facts = held.facts();
    let facts = facts.ok_or_else(|| refused("It is no certificate."))?;
    for (name, value) in [
        ("subject", facts.subject),
        ("thumbprint", facts.thumbprint),
        ("expirationDate", iso(facts.not_after)),
    ] {
        fields.insert(name.to_owned(), value.into());
    }
    Ok(held)
}
