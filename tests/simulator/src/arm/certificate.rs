//! The certificates of a service: what `PUT certificates/{id}` is told, and what
//! is kept of it. The key is kept for the gateway alone; nothing answers it.

use super::error::{ArmError, Detail};
use super::request::Request;
use super::vault;
use crate::clock::iso;
use apim_gateway::configuration::Certificate;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Takes a PKCS #12 file and its password out of the fields, or of a Key Vault,
/// and puts in what is public of the certificate.
pub(super) fn take(
    fields: &mut Map<String, Value>,
    request: &Request,
) -> Result<Certificate, ArmError> {
    let mut text = |name: &str| match fields.shift_remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (data, password) = (text("data"), text("password"));
    let (field, data, password) = if vault::refers(fields) {
        // A vault keeps a certificate as a secret: PKCS #12 without a password.
        let data = of_vault(fields, data.is_some(), request).map_err(ArmError::validation)?;
        vault::note_success(fields, request);
        ("keyVault.secretIdentifier", data, String::new())
    } else {
        fields.shift_remove("keyVault");
        let password = password.unwrap_or_default();
        ("data", data.unwrap_or_default(), password)
    };
    let refused = |why: &str| ArmError::validation(vec![Detail::new(field, why)]);
    let file = STANDARD.decode(data.trim());
    let file = file.map_err(|_| refused("The certificate's data is not Base64."))?;
    let held = Certificate::from_pfx(&file, &password)
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

/// What the vault has that the fields name.
fn of_vault(
    fields: &Map<String, Value>,
    has_data: bool,
    request: &Request,
) -> Result<String, Vec<Detail>> {
    let mut problems = Vec::new();
    if has_data {
        // As for named values; inferred.
        problems.push(Detail::new(
            "data",
            "A certificate cannot be specified together with a Key Vault reference.",
        ));
    }
    vault::check_identifier(fields, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    match &request.vault {
        Some(Ok(data)) => Ok(data.clone()),
        Some(Err(why)) => Err(vec![why.clone()]),
        None => Ok(String::new()),
    }
}
