//! Lets in callers with a user name and a password (HTTP Basic, RFC 7617).
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `credentials` | pairs of `user` (a text or `{namedValue: <name>}`) and `password` (`{namedValue: <name>}`) | required |
//! | `realm` | what browsers show when they ask | the API's name |
//! | `forward` | whether the backend sees the credentials | `false` |
//!
//! It reads no spec block.
//!
//! ```
//! # use plugin_basic_auth::BasicAuthPlugin;
//! let policy = policy_sdk::testing::Call::of::<BasicAuthPlugin>()
//!     .config(serde_json::json!({
//!         "credentials": [{"user": "partner", "password": {"namedValue": "partner-password"}}]
//!     }))
//!     .generate_text();
//! assert!(policy.contains(r#""partner" + ":" + @"{{partner-password}}""#));
//! ```
//!
//! It must never take a password from its config, and never tell by the time
//! it takes how much of a guess was right: every pair is compared to its end.

#![forbid(unsafe_code)]

use policy_sdk::prelude::*;
use policy_sdk::{Secret, TextOrSecret, text};
use serde::Deserialize;

/// The plugin.
#[derive(Debug)]
pub struct BasicAuthPlugin;

/// What can be set.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    credentials: Vec<Pair>,
    realm: Option<String>,
    #[serde(default)]
    forward: bool,
}

/// A user name and the named value that holds the password.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Pair {
    user: TextOrSecret,
    password: Secret,
}

impl Plugin for BasicAuthPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "basic-auth",
            env!("CARGO_PKG_VERSION"),
            "Lets in callers with a user name and a password.",
            Phase::Authentication,
        )
        .writes([Section::Inbound])
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        if config.credentials.is_empty() {
            problems.push(Diagnostic::error(
                "/credentials",
                "nobody is let in: list at least one pair of user and password",
            ));
        }
        for (index, pair) in config.credentials.iter().enumerate() {
            if let TextOrSecret::Text(user) = &pair.user
                && (user.is_empty() || user.contains(':') || user.chars().any(char::is_control))
            {
                problems.push(Diagnostic::error(
                    format!("/credentials/{index}/user"),
                    format!(
                        "`{}` cannot be a user name: it is not empty, and holds no colon and no \
                         control character (RFC 7617)",
                        user.escape_debug()
                    ),
                ));
            }
        }
        let realm = config.realm.as_deref().unwrap_or(&context.api.name);
        if !text::is_header_value(realm) || realm.contains(['"', '\\']) || !realm.is_ascii() {
            problems.push(Diagnostic::error(
                "/realm",
                "the realm stands between quotes in a header: use plain ASCII text without quotes \
                 and backslashes",
            ));
        }
        if !problems.is_empty() {
            return Err(problems);
        }

        let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
        let refusal = ReturnResponse::new(SetStatus::new(401_u32, "Unauthorized"))
            .header(SetHeader::new("WWW-Authenticate").value(challenge.at("/realm")));
        let mut policy = Policy::of(context);
        policy.inbound(Choose::when(
            refused(&config.credentials).at("/credentials"),
            Block::of(refusal),
        ));
        if !config.forward {
            policy.inbound(SetHeader::new("Authorization").exists_action(ExistsAction::Delete));
        }
        Ok(policy)
    }
}

/// Whether the request's credentials are none of the pairs.
///
/// User and password are compared as one text: a user name holds no colon. A
/// verbatim string takes the named value as it is, but for a double quote.
fn refused(pairs: &[Pair]) -> Expression {
    let mut code = Expression::statements(
        " var sent = context.Request.Headers.GetValueOrDefault(\"Authorization\", \"\").AsBasic(); \
         var given = sent == null ? \"\" : sent.UserId + \":\" + sent.Password; \
         var known = false; \
         foreach (var wanted in new string[] { ",
    );
    for (index, pair) in pairs.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        code = match &pair.user {
            TextOrSecret::Text(user) => code.then(format!("{separator}{}", csharp::string(user))),
            TextOrSecret::Secret(user) => code
                .then(format!("{separator}@\""))
                .then_named_value(user.name().as_str())
                .then("\""),
        };
        code = code
            .then(" + \":\" + @\"")
            .then_named_value(pair.password.name().as_str())
            .then("\"");
    }
    code.then(
        " }) { \
         var difference = given.Length ^ wanted.Length; \
         for (var i = 0; i < wanted.Length; i++) { \
         difference |= wanted[i] ^ (i < given.Length ? given[i] : '\\0'); } \
         known |= difference == 0; } \
         return sent == null || !known; ",
    )
}

policy_sdk::export_plugin!(BasicAuthPlugin);
