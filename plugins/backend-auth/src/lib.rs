//! Says to the backend who is calling: the API Management instance.
//!
//! | config | meaning |
//! |---|---|
//! | `managedIdentity` | `{resource, clientId, header}`: a token of the instance's managed identity for `resource`; of the user-assigned one with `clientId`, else of the system-assigned one; in `header`, else in `Authorization` |
//! | `certificate` | `{id}` or `{thumbprint}`: a client certificate of the instance |
//!
//! One of the two. It reads no spec block.
//!
//! ```
//! # use plugin_backend_auth::BackendAuthPlugin;
//! let policy = policy_sdk::testing::Call::of::<BackendAuthPlugin>()
//!     .config(serde_json::json!({"managedIdentity": {"resource": "api://orders"}}))
//!     .generate_text();
//! assert!(policy.contains(r#"resource="api://orders""#));
//! ```
//!
//! It must never go on without the token (a backend would see the caller's, or
//! none), and never hide from the operator whose identity it uses: resource,
//! identity and certificate are attributes that the operator checks against
//! what the instance grants.

#![forbid(unsafe_code)]

use policy_sdk::prelude::*;
use policy_sdk::{CertificateId, text};
use serde::Deserialize;

/// The variable in which a token waits for its header.
const VARIABLE: &str = "backend-auth-token";

/// The plugin.
#[derive(Debug)]
pub struct BackendAuthPlugin;

/// What can be set.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    managed_identity: Option<ManagedIdentity>,
    certificate: Option<Certificate>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ManagedIdentity {
    resource: String,
    client_id: Option<String>,
    header: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Certificate {
    id: Option<CertificateId>,
    thumbprint: Option<String>,
}

impl Plugin for BackendAuthPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "backend-auth",
            env!("CARGO_PKG_VERSION"),
            "Shows the backend a managed identity's token or a client certificate.",
            Phase::Routing,
        )
        .writes([Section::Inbound])
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let mut policy = Policy::of(context);
        match (&config.managed_identity, &config.certificate) {
            (Some(identity), None) => token(&mut policy, identity)?,
            (None, Some(certificate)) => {
                policy.inbound(presented(certificate)?);
            }
            (Some(_), Some(_)) => {
                return Err(Diagnostic::error(
                    "/certificate",
                    "managedIdentity and certificate are both set: keep the one that the backend asks for",
                )
                .into());
            }
            (None, None) => {
                return Err(Diagnostic::error(
                    "",
                    "set managedIdentity or certificate: what the backend asks for",
                )
                .into());
            }
        }
        Ok(policy)
    }
}

fn token(policy: &mut Policy, identity: &ManagedIdentity) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let resource = &identity.resource;
    if resource.is_empty() || !resource.bytes().all(|b| b.is_ascii_graphic()) {
        problems.push(Diagnostic::error(
            "/managedIdentity/resource",
            format!(
                "`{}` is not a resource: write the backend's application id, or its URI as in \
                 api://orders",
                resource.escape_debug()
            ),
        ));
    }
    if let Some(id) = &identity.client_id
        && !is_guid(id)
    {
        problems.push(Diagnostic::error(
            "/managedIdentity/clientId",
            format!(
                "`{id}` is not the client id of a user-assigned identity: a GUID; for the \
                 system-assigned one leave it out"
            ),
        ));
    }
    if let Some(header) = &identity.header
        && !text::is_token(header)
    {
        problems.push(Diagnostic::error(
            "/managedIdentity/header",
            format!("`{header}` cannot be the name of a header: letters, digits and dashes"),
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut statement =
        AuthenticationManagedIdentity::new(resource.at("/managedIdentity/resource"));
    if let Some(id) = &identity.client_id {
        statement = statement.client_id(id.at("/managedIdentity/clientId"));
    }
    let header = identity
        .header
        .as_deref()
        .filter(|header| !header.eq_ignore_ascii_case("Authorization"));
    if header.is_some() {
        statement = statement.output_variable(VARIABLE);
    }
    policy.inbound(statement.ignore_error(false));
    if let Some(header) = header {
        let token = Expression::new(format!(
            "\"Bearer \" + context.Variables.GetValueOrDefault<string>({}, \"\")",
            csharp::string(VARIABLE)
        ));
        policy.inbound(
            SetHeader::new(header.at("/managedIdentity/header"))
                .exists_action(ExistsAction::Override)
                .value(token),
        );
    }
    Ok(())
}

fn presented(certificate: &Certificate) -> Result<AuthenticationCertificate, Diagnostic> {
    match (&certificate.id, &certificate.thumbprint) {
        (Some(id), None) => Ok(AuthenticationCertificate::id(
            id.as_str().at("/certificate/id"),
        )),
        (None, Some(thumbprint)) => {
            let digits: String = thumbprint
                .chars()
                .filter(|c| !matches!(c, ':' | ' '))
                .map(|c| c.to_ascii_uppercase())
                .collect();
            if digits.len() != 40 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(Diagnostic::error(
                    "/certificate/thumbprint",
                    format!("`{thumbprint}` is not a SHA-1 thumbprint: 40 hexadecimal digits"),
                ));
            }
            Ok(AuthenticationCertificate::thumbprint(
                digits.at("/certificate/thumbprint"),
            ))
        }
        _ => Err(Diagnostic::error(
            "/certificate",
            "name the certificate by one of id and thumbprint",
        )),
    }
}

fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()))
}

policy_sdk::export_plugin!(BackendAuthPlugin);
