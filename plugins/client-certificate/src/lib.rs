//! Lets in callers with a client certificate.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `identities` | the certificates of which a caller's must be one (see below) | required |
//! | `validateRevocation` | whether the issuer's revocation list is asked | `true` |
//! | `validateTrust` | whether the chain must end at an authority that the instance trusts | `true` |
//! | `validateNotBefore`, `validateNotAfter` | whether the period of validity counts | `true` |
//!
//! An identity has at least one of `thumbprint`, `serialNumber`,
//! `commonName`, `subject`, `dnsName`, `issuerSubject`, `issuerThumbprint`,
//! `issuerCertificateId`; all that it has must hold. It reads no spec block.
//!
//! ```
//! # use plugin_client_certificate::ClientCertificatePlugin;
//! let policy = policy_sdk::testing::Call::of::<ClientCertificatePlugin>()
//!     .config(serde_json::json!({"identities": [{"dnsName": "partner.example.com"}]}))
//!     .generate_text();
//! assert!(policy.contains(r#"<identity dns-name="partner.example.com" />"#));
//! ```
//!
//! It must never let in every certificate that anybody issued: without an
//! identity, or without trust and without a thumbprint, a caller may make one.

#![forbid(unsafe_code)]

mod identity;

use policy_sdk::prelude::*;
use serde::Deserialize;

use identity::Identity;

/// The plugin.
#[derive(Debug)]
pub struct ClientCertificatePlugin;

/// What can be set.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    identities: Vec<Identity>,
    validate_revocation: Option<bool>,
    validate_trust: Option<bool>,
    validate_not_before: Option<bool>,
    validate_not_after: Option<bool>,
}

impl Plugin for ClientCertificatePlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "client-certificate",
            env!("CARGO_PKG_VERSION"),
            "Lets in callers with a client certificate.",
            Phase::Authentication,
        )
        .writes([Section::Inbound])
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        // The schema of the policy: at most ten.
        if config.identities.is_empty() || config.identities.len() > 10 {
            problems.push(Diagnostic::error(
                "/identities",
                format!(
                    "1 to 10 identities say which certificates are let in, and there are {}",
                    config.identities.len()
                ),
            ));
        }
        let trust = config.validate_trust.unwrap_or(true);
        let mut identities = Vec::new();
        for (index, identity) in config.identities.iter().enumerate() {
            match identity.statement(&format!("/identities/{index}"), trust) {
                Ok(statement) => identities.push(statement),
                Err(mut found) => problems.append(&mut found),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut policy = Policy::of(context);
        policy.inbound(
            ValidateClientCertificate::new()
                .validate_revocation(
                    config
                        .validate_revocation
                        .unwrap_or(true)
                        .at("/validateRevocation"),
                )
                .validate_trust(trust.at("/validateTrust"))
                .validate_not_before(
                    config
                        .validate_not_before
                        .unwrap_or(true)
                        .at("/validateNotBefore"),
                )
                .validate_not_after(
                    config
                        .validate_not_after
                        .unwrap_or(true)
                        .at("/validateNotAfter"),
                )
                .identities(identities),
        );
        Ok(policy)
    }
}

policy_sdk::export_plugin!(ClientCertificatePlugin);
