//! Lets in who has a token of Microsoft Entra.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `audiences` | a token must have one of them | those of the instance, else its client id, alone and with `api://` before it |
//! | `issuers` | a token must have one of them | those of the instance's tenant, for tokens of version 1 and 2 |
//! | `requiredClaims` | claims a token must have: `{name: value}`, `{name: [values]}` (all of them) or `{name: {values, match: all or any, separator}}` | none |
//! | `requiredRoles`, `requiredScopes` | application roles (`roles`), delegated permissions (`scp`), every one | none |
//! | `header`, `scheme` | where the token is | `Authorization`, `Bearer` |
//! | `clockSkew` | seconds by which clocks may differ | 0 |
//! | `failureCode`, `failureMessage` | the answer to a request without a valid token | 401 |
//! | `outputVariable` | the context variable that holds the token afterwards | none |
//! | `element` | `validate-jwt` or `validate-azure-ad-token` (which takes no `issuers` and no `clockSkew`) | `validate-jwt` |
//!
//! It reads no spec block. Tenant, client id and OpenID configuration are the
//! instance's.
//!
//! It must never generate a check without an audience: a token that anybody's
//! application got from the same tenant would pass.

#![forbid(unsafe_code)]

mod tenant;

use policy_sdk::RequiredClaims;
use policy_sdk::prelude::*;
use serde::Deserialize;

const FAILURE_MESSAGE: &str = "Unauthorized. Access token is missing or invalid.";

/// The plugin.
#[derive(Debug)]
pub struct JwtEntraPlugin;

/// What can be set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    audiences: Option<Vec<String>>,
    issuers: Option<Vec<String>>,
    required_claims: RequiredClaims,
    required_roles: Vec<String>,
    required_scopes: Vec<String>,
    header: Option<String>,
    scheme: Option<String>,
    clock_skew: Option<u32>,
    failure_code: Option<u32>,
    failure_message: Option<String>,
    output_variable: Option<String>,
    element: Statement,
}

/// Which policy statement is generated.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statement {
    /// For any issuer of tokens.
    #[default]
    ValidateJwt,
    /// For Entra alone, and shorter.
    ValidateAzureAdToken,
}

impl Plugin for JwtEntraPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "jwt-entra",
            env!("CARGO_PKG_VERSION"),
            "Lets in callers with a token of Microsoft Entra.",
            Phase::Authentication,
        )
        .writes([Section::Inbound])
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let audiences = audiences(context, &config)?;
        let claims = required_claims(&config)?;
        let mut policy = Policy::of(context);
        match config.element {
            Statement::ValidateJwt => {
                policy.inbound(validate_jwt(context, &config, audiences, claims)?)
            }
            Statement::ValidateAzureAdToken => {
                policy.inbound(validate_entra(context, &config, audiences, claims)?)
            }
        };
        Ok(policy)
    }
}

/// A text with the pointer of its config value, or without one.
fn text(pointer: Option<String>, text: String) -> Value {
    let value = Value::literal(text);
    match pointer {
        Some(pointer) => value.at(pointer),
        None => value,
    }
}

fn listed(pointer: &str, list: &[String]) -> Vec<Value> {
    list.iter()
        .enumerate()
        .map(|(index, entry)| text(Some(format!("{pointer}/{index}")), entry.clone()))
        .collect()
}

fn audiences(context: &Context, config: &Config) -> Result<Vec<Value>, Diagnostic> {
    if let Some(audiences) = &config.audiences
        && !audiences.is_empty()
    {
        return Ok(listed("/audiences", audiences));
    }
    let instance = &context.instance;
    if !instance.audiences.is_empty() {
        return Ok(instance
            .audiences
            .iter()
            .map(|audience| text(None, audience.clone()))
            .collect());
    }
    match &instance.client_id {
        Some(id) => Ok(vec![
            text(None, id.clone()),
            text(None, format!("api://{id}")),
        ]),
        None => Err(Diagnostic::error(
            "/audiences",
            format!(
                "no audience is known: set audiences, or clientId on the ApimInstance `{}`",
                instance.name
            ),
        )),
    }
}

fn required_claims(config: &Config) -> Result<Vec<Claim>, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    for (field, name, taken) in [
        ("requiredRoles", "roles", !config.required_roles.is_empty()),
        ("requiredScopes", "scp", !config.required_scopes.is_empty()),
    ] {
        if taken && config.required_claims.contains(name) {
            problems.push(Diagnostic::error(
                format!("/requiredClaims/{name}"),
                format!("the claim `{name}` is required by {field} as well: leave one of them out"),
            ));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut claims = config.required_claims.statements("/requiredClaims");
    if !config.required_roles.is_empty() {
        let roles = listed("/requiredRoles", &config.required_roles).into_iter();
        claims.push(roles.fold(Claim::new("roles", Match::All), Claim::value));
    }
    if !config.required_scopes.is_empty() {
        // One claim, with spaces between the scopes.
        let scopes = listed("/requiredScopes", &config.required_scopes).into_iter();
        claims.push(scopes.fold(Claim::new("scp", Match::All).separator(" "), Claim::value));
    }
    Ok(claims)
}

/// The header, and the scheme if there is one: API Management ignores it in
/// other headers than `Authorization`.
fn header_and_scheme(config: &Config) -> (&str, Option<&str>) {
    let header = config.header.as_deref().unwrap_or("Authorization");
    let default = header
        .eq_ignore_ascii_case("Authorization")
        .then_some("Bearer");
    (header, config.scheme.as_deref().or(default))
}

fn validate_jwt(
    context: &Context,
    config: &Config,
    audiences: Vec<Value>,
    claims: Vec<Claim>,
) -> Result<ValidateJwt, Diagnostic> {
    let (header, scheme) = header_and_scheme(config);
    let mut jwt = ValidateJwt::new(header.at("/header"))
        .failed_code(config.failure_code.unwrap_or(401).at("/failureCode"))
        .failed_message(
            config
                .failure_message
                .as_deref()
                .unwrap_or(FAILURE_MESSAGE)
                .at("/failureMessage"),
        )
        .require_expiration_time(true)
        .require_signed_tokens(true);
    if let Some(scheme) = scheme {
        jwt = jwt.require_scheme(scheme.at("/scheme"));
    }
    if let Some(skew) = config.clock_skew {
        jwt = jwt.clock_skew(skew.at("/clockSkew"));
    }
    if let Some(variable) = &config.output_variable {
        jwt = jwt.output_variable(variable.at("/outputVariable"));
    }
    jwt = jwt
        .openid_config(tenant::openid_configuration(&context.instance)?)
        .audiences(audiences);
    let issuers = match &config.issuers {
        Some(issuers) => listed("/issuers", issuers),
        None => tenant::issuers(&context.instance)
            .into_iter()
            .map(|issuer| text(None, issuer))
            .collect(),
    };
    if !issuers.is_empty() {
        jwt = jwt.issuers(issuers);
    }
    if !claims.is_empty() {
        jwt = jwt.required_claims(claims);
    }
    Ok(jwt)
}

fn validate_entra(
    context: &Context,
    config: &Config,
    audiences: Vec<Value>,
    claims: Vec<Claim>,
) -> Result<ValidateAzureAdToken, Vec<Diagnostic>> {
    let excess: Vec<_> = [
        ("issuers", config.issuers.is_some()),
        ("clockSkew", config.clock_skew.is_some()),
    ]
    .into_iter()
    .filter(|(_, set)| *set)
    .map(|(field, _)| {
        Diagnostic::error(
            format!("/{field}"),
            format!("validate-azure-ad-token takes no {field}: leave it out, or set element to validate-jwt"),
        )
    })
    .collect();
    if !excess.is_empty() {
        return Err(excess);
    }
    let instance = &context.instance;
    let Some(tenant) = &instance.tenant_id else {
        return Err(Diagnostic::error(
            "/element",
            format!(
                "validate-azure-ad-token needs the tenant: set tenantId on the ApimInstance `{}`",
                instance.name
            ),
        )
        .into());
    };
    let (header, scheme) = header_and_scheme(config);
    let mut entra = ValidateAzureAdToken::new(tenant)
        .header(header.at("/header"))
        .failed_code(config.failure_code.unwrap_or(401).at("/failureCode"))
        .failed_message(
            config
                .failure_message
                .as_deref()
                .unwrap_or(FAILURE_MESSAGE)
                .at("/failureMessage"),
        );
    if let Some(endpoint) = tenant::other_login_endpoint(instance) {
        entra = entra.authentication_endpoint(endpoint);
    }
    if let Some(scheme) = scheme {
        entra = entra.require_scheme(scheme.at("/scheme"));
    }
    if let Some(variable) = &config.output_variable {
        entra = entra.output_variable(variable.at("/outputVariable"));
    }
    entra = entra.audiences(audiences);
    if !claims.is_empty() {
        entra = entra.required_claims(claims);
    }
    Ok(entra)
}

policy_sdk::export_plugin!(JwtEntraPlugin);
