//! Lets web pages of other origins call an API.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `allowOrigins` | origins whose pages may call: scheme, host and port, or the one entry `*` | `*` |
//! | `allowMethods` | methods they may use | GET, POST, HEAD, OPTIONS |
//! | `allowHeaders` | request headers they may send | Origin, Accept, X-Requested-With, Content-Type, Access-Control-Request-Method, Access-Control-Request-Headers |
//! | `exposeHeaders` | response headers they may read | none |
//! | `maxAge` | how long (s) browsers may keep the answer to a preflight request | 1800 |
//! | `allowCredentials` | whether browsers may send cookies and the like | `false` |
//! | `terminateUnmatchedRequest` | whether a cross-origin request that matches nothing ends here | API Management's own |
//!
//! These are the defaults that TM Forum's CRD documents. On an object in the
//! original operator's dialect its own hold: `*` for every list, and 3600 s.
//!
//! It reads the spec block `CORS` in both dialects.
//!
//! It must never combine credentials with "any origin": browsers refuse that,
//! and servers that get round it give every page the caller's cookies.

#![forbid(unsafe_code)]

mod origin;
mod spec;

use policy_sdk::prelude::*;
use serde::Deserialize;

/// The plugin.
#[derive(Debug)]
pub struct CorsPlugin;

/// What can be set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    allow_origins: Option<Vec<String>>,
    allow_methods: Option<Vec<String>>,
    allow_headers: Option<Vec<String>>,
    expose_headers: Option<Vec<String>>,
    max_age: Option<u32>,
    allow_credentials: Option<bool>,
    terminate_unmatched_request: Option<bool>,
}

/// What holds where the config says nothing.
struct Defaults {
    methods: &'static [&'static str],
    headers: &'static [&'static str],
    exposed: &'static [&'static str],
    max_age: u32,
}

impl Defaults {
    fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Canonical => Self {
                methods: &["GET", "POST", "HEAD", "OPTIONS"],
                headers: &[
                    "Origin",
                    "Accept",
                    "X-Requested-With",
                    "Content-Type",
                    "Access-Control-Request-Method",
                    "Access-Control-Request-Headers",
                ],
                exposed: &[],
                max_age: 1800,
            },
            Dialect::Original => Self {
                methods: &["*"],
                headers: &["*"],
                exposed: &["*"],
                max_age: 3600,
            },
        }
    }
}

impl Plugin for CorsPlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "cors",
            env!("CARGO_PKG_VERSION"),
            "Lets web pages of other origins call the API.",
            Phase::Preflight,
        )
        .writes([Section::Inbound])
        .reads_block("CORS")
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn read_spec(request: SpecRequest) -> Result<SpecReading, Vec<Diagnostic>> {
        spec::read(&request)
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let defaults = Defaults::of(context.api.dialect);
        let mut problems = Vec::new();
        let origins = origin::read(
            config.allow_origins.as_deref(),
            config.allow_credentials == Some(true),
            &mut problems,
        );
        let methods = tokens(
            "/allowMethods",
            config.allow_methods,
            defaults.methods,
            &mut problems,
        );
        let headers = tokens(
            "/allowHeaders",
            config.allow_headers,
            defaults.headers,
            &mut problems,
        );
        let exposed = tokens(
            "/exposeHeaders",
            config.expose_headers,
            defaults.exposed,
            &mut problems,
        );
        if !problems.is_empty() {
            return Err(problems);
        }

        let mut cors = Cors::new();
        if let Some(allow) = config.allow_credentials {
            cors = cors.allow_credentials(allow.at("/allowCredentials"));
        }
        if let Some(terminate) = config.terminate_unmatched_request {
            cors = cors.terminate_unmatched_request(terminate.at("/terminateUnmatchedRequest"));
        }
        cors = cors.allowed_origins(located("/allowOrigins", origins));
        let max_age = config.max_age.unwrap_or(defaults.max_age);
        cors = cors.allowed_methods(
            located(
                "/allowMethods",
                methods.into_iter().map(|m| m.to_ascii_uppercase()),
            ),
            Some(max_age.at("/maxAge")),
        );
        if !headers.is_empty() {
            cors = cors.allowed_headers(located("/allowHeaders", headers));
        }
        if !exposed.is_empty() {
            cors = cors.expose_headers(located("/exposeHeaders", exposed));
        }
        let mut policy = Policy::of(context);
        policy.inbound(cors);
        Ok(policy)
    }
}

/// A list of methods or header names (RFC 9110, 5.6.2), or the one entry `*`.
fn tokens(
    pointer: &str,
    configured: Option<Vec<String>>,
    default: &[&str],
    problems: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let Some(names) = configured else {
        return default.iter().map(|name| (*name).to_owned()).collect();
    };
    for (index, name) in names.iter().enumerate() {
        let is_token = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !is_token {
            problems.push(Diagnostic::error(
                format!("{pointer}/{index}"),
                format!(
                    "`{name}` cannot be the name of a method or header: write one name per entry"
                ),
            ));
        }
    }
    if names.len() > 1 && names.iter().any(|name| name == "*") {
        problems.push(Diagnostic::error(
            pointer,
            "`*` allows all: leave the other entries out, or `*`",
        ));
    }
    names
}

/// Values with the pointers of the list's entries.
fn located<V: At>(
    pointer: &str,
    values: impl IntoIterator<Item = V>,
) -> impl IntoIterator<Item = policy_sdk::Located<V>> {
    values
        .into_iter()
        .enumerate()
        .map(move |(index, value)| value.at(format!("{pointer}/{index}")))
}

policy_sdk::export_plugin!(CorsPlugin);
