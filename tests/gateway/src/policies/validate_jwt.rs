//! `validate-jwt`: <https://learn.microsoft.com/azure/api-management/validate-jwt-policy>.

use super::not_executed::stand_in;
use super::token_rules::{TokenRules, missing, trimmed};
use super::{Flow, Policy};
use crate::compile::{CompileError, Compiler, Reader, Value};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use crate::tokens::{KeyKind, Refusal, Rules, Serial, VerificationKey, verify};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use policy_document::Element;
use std::sync::Arc;
use x509_parser::prelude::{FromDer as _, X509Certificate};

struct ValidateJwt {
    rules: TokenRules,
    providers: Vec<Value<String>>,
    keys: Vec<Key>,
    issuers: Vec<Value<String>>,
    clock_skew: Value<i64>,
    require_expiration: Value<bool>,
    require_signature: Value<bool>,
}

/// A key that stands in the document.
enum Key {
    /// One that is known when the document is written.
    Known(VerificationKey),
    /// A shared secret that an expression gives, in Base64.
    Secret(Option<String>, Value<String>),
}

pub(super) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    if element
        .elements()
        .any(|child| child.name == "decryption-keys")
    {
        return Ok(stand_in("validate-jwt with decryption-keys", compiler));
    }
    let mut reader = Reader::new(element, compiler);
    let rules = TokenRules::read(&mut reader, None)?;
    let mut providers = Vec::new();
    let mut keys = Vec::new();
    for child in element.elements() {
        let mut part = reader.part(child);
        match child.name.as_str() {
            "openid-config" => providers.push(part.required("url")?),
            "issuer-signing-keys" => {
                for key in child.elements() {
                    keys.push(read_key(&part.part(key))?);
                }
            }
            "issuer-signing-tokens" => {
                return part.fail("The element 'issuer-signing-tokens' is not executed.");
            }
            _ => {}
        }
    }
    if providers.is_empty() && keys.is_empty() {
        return reader.fail("Either 'openid-config' or 'issuer-signing-keys' must be specified to validate the token signature.");
    }
    let issuers = match reader.child("issuers") {
        Some(list) => reader.part(list).texts("issuer")?,
        None => Vec::new(),
    };
    Ok(Box::new(ValidateJwt {
        rules,
        providers,
        keys,
        issuers,
        clock_skew: reader.value("clock-skew")?.unwrap_or(Value::Literal(0)),
        require_expiration: reader
            .value("require-expiration-time")?
            .unwrap_or(Value::Literal(true)),
        require_signature: reader
            .value("require-signed-tokens")?
            .unwrap_or(Value::Literal(true)),
    }))
}

/// A `key`: a certificate of the service, an RSA key by its parts, or a shared
/// secret in Base64.
fn read_key(reader: &Reader<'_, '_, '_>) -> Result<Key, CompileError> {
    let id = reader.text_of("id")?;
    if reader.element.name != "key" {
        return reader.fail(format!(
            "The element '{}' is not executed.",
            reader.element.name
        ));
    }
    if let Some(certificate) = reader.text_of("certificate-id")? {
        let key = certificate_key(reader, &certificate)?;
        return Ok(Key::Known(VerificationKey {
            serial: Serial::next(),
            id,
            kind: KeyKind::Rsa,
            key: Arc::new(key),
            only: None,
        }));
    }
    if let (Some(n), Some(e)) = (reader.text_of("n")?, reader.text_of("e")?) {
        // Written in Base64url as in a JWK set; Base64 is taken as well.
        let url_safe = |text: &str| {
            text.trim()
                .trim_end_matches('=')
                .replace('+', "-")
                .replace('/', "_")
        };
        return match DecodingKey::from_rsa_components(&url_safe(&n), &url_safe(&e)) {
            Ok(key) => Ok(Key::Known(VerificationKey {
                serial: Serial::next(),
                id,
                kind: KeyKind::Rsa,
                key: Arc::new(key),
                only: None,
            })),
            Err(_) => reader.fail("The attributes 'n' and 'e' are no RSA key in Base64url."),
        };
    }
    match reader.text::<String>()? {
        Value::Literal(text) => match secret(&text) {
            Some(key) => Ok(Key::Known(VerificationKey { id, ..key })),
            None => reader.fail("The key is not Base64."),
        },
        expression @ Value::Expression(_) => Ok(Key::Secret(id, expression)),
    }
}

fn certificate_key(reader: &Reader<'_, '_, '_>, id: &str) -> Result<DecodingKey, CompileError> {
    let certificates = &reader.compiler.service.certificates;
    let found = certificates
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(id));
    let Some((_, certificate)) = found else {
        return reader.fail(format!("Certificate with id '{id}' could not be found."));
    };
    let key = crate::client::certificates(&certificate.pem)
        .ok()
        .and_then(|chain| {
            let leaf = chain.first()?;
            let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
            match parsed.public_key().parsed().ok()? {
                x509_parser::public_key::PublicKey::RSA(key) => {
                    let part = |bytes: &[u8]| {
                        let start = bytes.iter().take_while(|byte| **byte == 0).count();
                        URL_SAFE_NO_PAD.encode(&bytes[start..])
                    };
                    let (n, e) = (part(key.modulus), part(key.exponent));
                    DecodingKey::from_rsa_components(&n, &e).ok()
                }
                _ => None,
            }
        });
    match key {
        Some(key) => Ok(key),
        None => reader.fail(format!("Certificate with id '{id}' has no RSA key.")),
    }
}

fn secret(text: &str) -> Option<VerificationKey> {
    let bytes = STANDARD.decode(text.trim()).ok()?;
    Some(VerificationKey {
        serial: Serial::next(),
        id: None,
        kind: KeyKind::Symmetric,
        key: Arc::new(DecodingKey::from_secret(&bytes)),
        only: None,
    })
}

impl ValidateJwt {
    /// The keys that a token may be signed with, and the issuers that their
    /// owners say they are.
    async fn keys(
        &self,
        exchange: &mut Exchange,
        key_id: Option<&str>,
    ) -> Result<(Vec<VerificationKey>, Vec<String>), PolicyError> {
        let mut keys = Vec::new();
        let mut issuers = Vec::new();
        for key in &self.keys {
            match key {
                Key::Known(key) => keys.push(key.clone()),
                Key::Secret(id, value) => {
                    let text = exchange.get(value).await?;
                    if let Some(key) = secret(&text) {
                        keys.push(VerificationKey {
                            id: id.clone(),
                            ..key
                        });
                    }
                }
            }
        }
        for url in &self.providers {
            let url = exchange.get(url).await?;
            let shared = Arc::clone(&exchange.shared);
            match shared.keys.get(&shared, url.trim(), key_id).await {
                Ok(provider) => {
                    keys.extend(provider.keys.iter().cloned());
                    issuers.push(provider.issuer);
                }
                // Others may have the key. That a token is refused, and not
                // the request failed, is inferred.
                Err(reason) => {
                    if let Some(trace) = &mut exchange.trace {
                        trace.message(reason);
                    }
                }
            }
        }
        Ok((keys, issuers))
    }

    async fn check(&self, exchange: &mut Exchange) -> Result<(), Failure> {
        let Some(token) = self.rules.token(exchange).await? else {
            return Err(Failure::Refused(missing()));
        };
        let shared = Arc::clone(&exchange.shared);
        let token = shared.tokens.read(&token);
        let key_id = token.as_ref().ok().and_then(|token| token.key_id());
        let (keys, owners) = self.keys(exchange, key_id).await?;
        let mut issuers = trimmed(exchange, &self.issuers).await?;
        // Documented: without issuers, those of the OpenID configurations.
        if issuers.is_empty() {
            issuers = owners;
        }
        if issuers.is_empty() && !self.providers.is_empty() {
            return Err(Failure::Refused(Refusal {
                reason: "TokenSignatureKeyNotFound",
                message: "The OpenID configuration cannot be had.".to_owned(),
            }));
        }
        let rules = Rules {
            audiences: self.rules.audiences(exchange).await?,
            issuers,
            clock_skew: exchange.get(&self.clock_skew).await?,
            require_expiration: exchange.get(&self.require_expiration).await?,
            require_signature: exchange.get(&self.require_signature).await?,
            claims: self.rules.claims(exchange).await?,
        };
        let now = exchange.now().as_second();
        let token = token.and_then(|token| verify(token, &keys, &rules, now));
        let token = token.map_err(Failure::Refused)?;
        if let Some(variable) = &self.rules.output {
            let variables = &mut exchange.context.variables;
            variables.insert(variable.clone(), token.seen().into());
        }
        Ok(())
    }
}

/// Why there is no accepted token.
pub(super) enum Failure {
    Refused(Refusal),
    Failed(Box<PolicyError>),
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        Self::Failed(Box::new(error))
    }
}

#[async_trait]
impl Policy for ValidateJwt {
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError> {
        match self.check(exchange).await {
            Ok(()) => Ok(Flow::Continue),
            Err(Failure::Refused(refusal)) => Err(self.rules.refused(exchange, refusal).await),
            Err(Failure::Failed(error)) => Err(*error),
        }
    }
}
