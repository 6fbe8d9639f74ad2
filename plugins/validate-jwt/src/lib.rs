//! Lets in callers with a JSON web token of any OpenID Connect provider.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `openidConfigurations` | URLs of the providers' configurations: where issuers and keys are looked up | none |
//! | `signingKeys` | keys beside those: `{namedValue}` (symmetric, Base64), `{certificate}` (its public key), `{n, e}` (RSA), each with an optional `id` (`kid`) | none |
//! | `audiences` | a token must have one of them | none |
//! | `issuers` | a token must have one of them | those of the configurations |
//! | `requiredClaims` | claims a token must have: `{name: value}`, `{name: [values]}` (all of them) or `{name: {values, match: all or any, separator}}` | none |
//! | `token` | where it is: one of `{header}`, `{query}`, `{cookie}`, `{variable}` | `{header: Authorization}` |
//! | `scheme` | what stands before it in the header | `Bearer` in `Authorization` |
//! | `clockSkew` | seconds by which clocks may differ | 0 |
//! | `requireExpiration` | whether a token must say when it expires | `true` |
//! | `failureCode`, `failureMessage` | the answer to a request without a valid token | 401 |
//! | `outputVariable` | the context variable that holds the token afterwards | none |
//!
//! It reads no spec block. For tokens of Microsoft Entra there is `jwt-entra`.
//!
//! ```
//! # use plugin_validate_jwt::ValidateJwtPlugin;
//! let policy = policy_sdk::testing::Call::of::<ValidateJwtPlugin>()
//!     .config(serde_json::json!({
//!         "openidConfigurations": ["https://id.example.com/.well-known/openid-configuration"],
//!         "audiences": ["catalog"]
//!     }))
//!     .generate_text();
//! assert!(policy.contains("<audience>catalog</audience>"));
//! ```
//!
//! It must never generate a check that a token for somebody else passes: an
//! audience or a claim says whom it is for. And never one without a key.

#![forbid(unsafe_code)]

mod key;
mod source;

use policy_sdk::RequiredClaims;
use policy_sdk::prelude::*;
use serde::Deserialize;

use key::Key;
use source::Source;

const FAILURE_MESSAGE: &str = "Unauthorized. Access token is missing or invalid.";

/// The plugin.
#[derive(Debug)]
pub struct ValidateJwtPlugin;

/// What can be set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    openid_configurations: Vec<String>,
    signing_keys: Vec<Key>,
    audiences: Vec<String>,
    issuers: Vec<String>,
    required_claims: RequiredClaims,
    token: Option<Source>,
    scheme: Option<String>,
    clock_skew: Option<u32>,
    require_expiration: Option<bool>,
    failure_code: Option<u32>,
    failure_message: Option<String>,
    output_variable: Option<String>,
}

impl Plugin for ValidateJwtPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "validate-jwt",
            env!("CARGO_PKG_VERSION"),
            "Lets in callers with a JSON web token of any OpenID Connect provider.",
            Phase::Authentication,
        )
        .writes([Section::Inbound])
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let mut problems = incomplete(&config);
        let keys: Vec<SigningKey> = config
            .signing_keys
            .iter()
            .enumerate()
            .filter_map(|(index, key)| {
                key.statement(&format!("/signingKeys/{index}"))
                    .map_err(|problem| problems.push(problem))
                    .ok()
            })
            .collect();
        let source = config.token.clone().unwrap_or_default();
        let start = source
            .start(config.scheme.as_deref())
            .map_err(|problem| problems.push(problem))
            .ok();
        let (Some(jwt), true) = (start, problems.is_empty()) else {
            return Err(problems);
        };

        let mut jwt = jwt
            .failed_code(config.failure_code.unwrap_or(401).at("/failureCode"))
            .failed_message(
                config
                    .failure_message
                    .as_deref()
                    .unwrap_or(FAILURE_MESSAGE)
                    .at("/failureMessage"),
            )
            .require_expiration_time(
                config
                    .require_expiration
                    .unwrap_or(true)
                    .at("/requireExpiration"),
            )
            .require_signed_tokens(true);
        if let Some(skew) = config.clock_skew {
            jwt = jwt.clock_skew(skew.at("/clockSkew"));
        }
        if let Some(variable) = &config.output_variable {
            jwt = jwt.output_variable(variable.at("/outputVariable"));
        }
        for (index, url) in config.openid_configurations.iter().enumerate() {
            jwt = jwt.openid_config(url.at(format!("/openidConfigurations/{index}")));
        }
        if !keys.is_empty() {
            jwt = jwt.issuer_signing_keys(keys);
        }
        if !config.audiences.is_empty() {
            jwt = jwt.audiences(each_at("/audiences", config.audiences));
        }
        if !config.issuers.is_empty() {
            jwt = jwt.issuers(each_at("/issuers", config.issuers));
        }
        if !config.required_claims.is_empty() {
            jwt = jwt.required_claims(config.required_claims.statements("/requiredClaims"));
        }
        let mut policy = Policy::of(context);
        policy.inbound(jwt);
        Ok(policy)
    }
}

/// What a check must not be without.
fn incomplete(config: &Config) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    if config.openid_configurations.is_empty() && config.signing_keys.is_empty() {
        problems.push(Diagnostic::error(
            "",
            "no key is known to check signatures with: set openidConfigurations or signingKeys",
        ));
    }
    if config.audiences.is_empty() && config.required_claims.is_empty() {
        problems.push(Diagnostic::error(
            "",
            "a token that the provider issued for any other application would pass: set audiences, or \
             requiredClaims where the provider's tokens have no audience",
        ));
    }
    for (index, url) in config.openid_configurations.iter().enumerate() {
        let host = url.strip_prefix("https://").unwrap_or_default();
        let plain = url.bytes().all(|b| b.is_ascii_graphic()) && !host.contains('@');
        if !plain || host.is_empty() || host.starts_with('/') {
            problems.push(Diagnostic::error(
                format!("/openidConfigurations/{index}"),
                format!(
                    "`{url}` is not the URL of an OpenID configuration: it begins with https:// and a \
                     host, and usually ends with /.well-known/openid-configuration"
                ),
            ));
        }
    }
    problems
}

policy_sdk::export_plugin!(ValidateJwtPlugin);
