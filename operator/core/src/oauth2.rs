//! OAuth 2.0 servers that the developer portal's console gets tokens from.
//!
//! A server stands in API Management under its id; an API names it, and the
//! portal then asks it for a token before it tries a call. Nothing is protected
//! by that: the API's policy does that.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::annotations::{did_you_mean, nearest::shown, path};
use crate::instance::Instance;
use crate::policy::{Grants, ReferenceKind};
use crate::problem::Problem;

/// How a token is asked for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum GrantType {
    /// By a code that the server hands out in the browser.
    AuthorizationCode,
    /// In the browser.
    Implicit,
    /// With the name and password of a user.
    ResourceOwnerPassword,
    /// As an application.
    ClientCredentials,
}

impl GrantType {
    /// As ARM spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorizationCode",
            Self::Implicit => "implicit",
            Self::ResourceOwnerPassword => "resourceOwnerPassword",
            Self::ClientCredentials => "clientCredentials",
        }
    }

    /// Whether the server is asked for a token behind the browser's back.
    const fn needs_token_endpoint(self) -> bool {
        !matches!(self, Self::Implicit)
    }
}

/// An OAuth 2.0 server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OAuth2ServerSpec {
    /// Its id in API Management, by which a grant of kind `authorizationServer`
    /// lets APIs name it.
    pub id: String,
    /// Its name in the portal; absent: the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Where users are sent.
    pub authorization_endpoint: String,
    /// Where tokens are asked for; needed by every grant type but `implicit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// A page where applications are registered; absent: the authorization
    /// endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_registration_endpoint: Option<String>,
    /// How tokens are asked for.
    pub grant_types: Vec<GrantType>,
    /// The application that the portal is. Its secret, where it has one, is
    /// entered in API Management, and is left alone.
    pub client_id: String,
    /// The scopes that are asked for where an API names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// The server that an API names, and the scopes of its tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2Setting {
    /// The server's id.
    pub server: String,
    /// The scopes, with spaces between them; absent: the server's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

fn is_id(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=80).contains(&id.len()) && id.chars().all(allowed)
}

/// RFC 6749, 3.3: printable, without space, quote and backslash.
fn is_scope(scope: &str) -> bool {
    !scope.is_empty()
        && scope
            .chars()
            .all(|c| c.is_ascii_graphic() && c != '"' && c != '\\')
}

fn wrong_id(id: &str) -> String {
    format!(
        "`{}` is not the id of an OAuth 2.0 server: 1 to 80 letters, digits, `.`, `_` and `-`",
        shown(id)
    )
}

fn wrong_scope(scope: &str) -> String {
    format!(
        "`{}` is not a scope: write it without spaces and quotes",
        shown(scope)
    )
}

/// What is wrong with the settings of an instance. A problem's path begins
/// below the instance's `spec`.
#[must_use]
pub fn check(servers: &[OAuth2ServerSpec]) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, server) in servers.iter().enumerate() {
        let mut say = |field: &str, what: String| {
            out.push((format!("oauth2Servers[{index}].{field}"), what));
        };
        if !is_id(&server.id) {
            say("id", wrong_id(&server.id));
        } else if !seen.insert(server.id.to_ascii_lowercase()) {
            say(
                "id",
                format!("`{}` is there twice; remove one of the two", server.id),
            );
        }
        if server
            .display_name
            .as_ref()
            .is_some_and(|name| name.is_empty() || name.chars().count() > 50)
        {
            say("displayName", "must have 1 to 50 characters".to_owned());
        }
        for (field, url) in [
            (
                "authorizationEndpoint",
                Some(&server.authorization_endpoint),
            ),
            ("tokenEndpoint", server.token_endpoint.as_ref()),
            (
                "clientRegistrationEndpoint",
                server.client_registration_endpoint.as_ref(),
            ),
        ] {
            let Some(url) = url else { continue };
            let is_web = |url: &Url| url.scheme() == "https" && url.has_host();
            if !Url::parse(url).is_ok_and(|url| is_web(&url)) {
                say(
                    field,
                    format!("`{}` is not a URL that begins with `https://`", shown(url)),
                );
            }
        }
        let asks = server.grant_types.iter().find(|g| g.needs_token_endpoint());
        if let (Some(grant), None) = (asks, &server.token_endpoint) {
            say(
                "tokenEndpoint",
                format!("is missing, and grant type `{}` needs it", grant.as_str()),
            );
        }
        if server.grant_types.is_empty() {
            say("grantTypes", "is empty; name at least one".to_owned());
        }
        if server.client_id.trim().is_empty() {
            say(
                "clientId",
                "is empty; name the application that the portal is".to_owned(),
            );
        }
        for scope in server.scopes.iter().filter(|scope| !is_scope(scope)) {
            say("scopes", wrong_scope(scope));
        }
    }
    out
}

/// Reads the annotation: a server's id, or `{server, scopes}`.
pub(crate) fn read(value: &Value) -> Result<Option<OAuth2Setting>, Vec<String>> {
    const FIELDS: [&str; 2] = ["server", "scopes"];
    let expected = || vec!["expected the id of a server, or `{server, scopes: […]}`".to_owned()];
    let (server, scopes) = match value {
        Value::Null => return Ok(None),
        Value::String(server) => (server.clone(), Vec::new()),
        Value::Object(fields) => {
            if let Some(other) = fields.keys().find(|f| !FIELDS.contains(&f.as_str())) {
                let hint = did_you_mean(other, FIELDS);
                return Err(vec![format!(
                    "holds `{}`; its fields are `server`, `scopes`{hint}",
                    shown(other)
                )]);
            }
            let server = fields.get("server").and_then(Value::as_str);
            let scopes = match fields.get("scopes") {
                None | Some(Value::Null) => Some(Vec::new()),
                Some(scopes) => serde_json::from_value::<Vec<String>>(scopes.clone()).ok(),
            };
            match (server, scopes) {
                (Some(server), Some(scopes)) => (server.to_owned(), scopes),
                _ => return Err(expected()),
            }
        }
        _ => return Err(expected()),
    };
    let mut out = Vec::new();
    if !is_id(&server) {
        out.push(wrong_id(&server));
    }
    let wrong = scopes.iter().filter(|scope| !is_scope(scope));
    out.extend(wrong.map(|scope| wrong_scope(scope)));
    if !out.is_empty() {
        return Err(out);
    }
    Ok(Some(OAuth2Setting {
        server,
        scope: (!scopes.is_empty()).then(|| scopes.join(" ")),
    }))
}

/// The problem of an annotation whose server is not granted.
#[must_use]
pub fn forbidden(
    asked: Option<&OAuth2Setting>,
    namespace: &str,
    instance: &Instance,
    grants: &Grants,
) -> Option<Problem> {
    let server = &asked?.server;
    let kind = ReferenceKind::AuthorizationServer;
    if grants.allow(kind, Some(server)) {
        return None;
    }
    let known = instance.spec.oauth2_servers.iter().map(|s| s.id.as_str());
    Some(Problem::new(
        path("oauth2"),
        format!(
            "instance `{}` does not grant OAuth 2.0 server `{server}` to namespace `{namespace}`{}; ask the platform \
             team for a grant of kind `authorizationServer`",
            instance.name,
            did_you_mean(server, known)
        ),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(change: impl FnOnce(&mut Value)) -> Vec<(String, String)> {
        let mut spec = json!({
            "id": "partners", "authorizationEndpoint": "https://id.example.com/authorize",
            "tokenEndpoint": "https://id.example.com/token",
            "grantTypes": ["authorizationCode", "clientCredentials"], "clientId": "portal",
        });
        change(&mut spec);
        check(&[serde_json::from_value(spec).unwrap()])
    }

    #[test]
    fn a_servers_settings_are_checked_field_by_field() {
        assert_eq!(server(|_| {}), []);
        let wrong = server(|spec| {
            *spec = json!({
                "id": "a/b", "displayName": "", "authorizationEndpoint": "http://id.example.com",
                "grantTypes": ["clientCredentials"], "clientId": " ", "scopes": ["a b"],
            });
        });
        let told: Vec<String> = wrong
            .iter()
            .map(|(at, what)| format!("{at}: {what}"))
            .collect();
        assert_eq!(
            told,
            [
                "oauth2Servers[0].id: `a/b` is not the id of an OAuth 2.0 server: 1 to 80 letters, digits, `.`, `_` and `-`",
                "oauth2Servers[0].displayName: must have 1 to 50 characters",
                "oauth2Servers[0].authorizationEndpoint: `http://id.example.com` is not a URL that begins with `https://`",
                "oauth2Servers[0].tokenEndpoint: is missing, and grant type `clientCredentials` needs it",
                "oauth2Servers[0].clientId: is empty; name the application that the portal is",
                "oauth2Servers[0].scopes: `a b` is not a scope: write it without spaces and quotes",
            ]
        );
    }

    #[test]
    fn an_annotation_names_a_server_and_maybe_scopes() {
        let setting = |scope: Option<&str>| OAuth2Setting {
            server: "partners".into(),
            scope: scope.map(str::to_owned),
        };
        assert_eq!(read(&json!("partners")), Ok(Some(setting(None))));
        let scoped = json!({"server": "partners", "scopes": ["orders.read", "orders.write"]});
        assert_eq!(
            read(&scoped),
            Ok(Some(setting(Some("orders.read orders.write"))))
        );
        assert_eq!(read(&Value::Null), Ok(None));
        assert_eq!(
            read(&json!({"server": "partners", "scope": ["x"]})).unwrap_err(),
            ["holds `scope`; its fields are `server`, `scopes`; did you mean `scopes`?"]
        );
        assert_eq!(
            read(&json!(["partners"])).unwrap_err(),
            ["expected the id of a server, or `{server, scopes: […]}`"]
        );
    }
}
