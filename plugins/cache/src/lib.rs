//! Keeps responses and answers with them.
//!
//! | config | meaning | default |
//! |---|---|---|
//! | `duration` | how long a response is kept, in seconds | 300 |
//! | `varyByHeaders` | request headers for each of whose values a response is kept | `Accept`, `Accept-Charset` |
//! | `varyByQuery` | query parameters likewise | all of them |
//! | `varyByDeveloper`, `varyByDeveloperGroups` | a response for each developer, or group of developers, of API Management | `false` |
//! | `authorizedResponses` | whether responses to requests with `Authorization` are kept | `false` |
//! | `cachingType` | `prefer-external`, `internal` or `external` | `prefer-external` |
//! | `downstream`, `mustRevalidate` | which caches on the way to the caller may keep it (`none`, `private`, `public`), and whether they ask again | `none`, `true` |
//!
//! It reads no spec block. Only GET requests are answered from the cache, and
//! only responses with status 200 are kept.
//!
//! ```
//! # use plugin_cache::CachePlugin;
//! let policy = policy_sdk::testing::Call::of::<CachePlugin>()
//!     .config(serde_json::json!({"duration": 60}))
//!     .generate_text();
//! assert!(policy.contains(r#"<cache-store duration="60" />"#));
//! ```
//!
//! It must never answer before the plugins that say who may call, and never
//! keep quiet about handing one caller's response to another.

#![forbid(unsafe_code)]

use policy_sdk::prelude::*;
use policy_sdk::text;
use serde::Deserialize;

/// The plugin.
#[derive(Debug)]
pub struct CachePlugin;

/// What can be set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    duration: Option<u32>,
    vary_by_headers: Option<Vec<String>>,
    vary_by_query: Vec<String>,
    vary_by_developer: bool,
    vary_by_developer_groups: bool,
    authorized_responses: bool,
    caching_type: Option<Caching>,
    downstream: Option<Downstream>,
    must_revalidate: Option<bool>,
}

/// Which cache is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Caching {
    PreferExternal,
    Internal,
    External,
}

/// Which caches on the way to the caller may keep a response.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Downstream {
    None,
    Private,
    Public,
}

impl Plugin for CachePlugin {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "cache",
            env!("CARGO_PKG_VERSION"),
            "Keeps responses and answers with them.",
            Phase::Traffic,
        )
        .writes([Section::Inbound, Section::Outbound])
        .config_schema_text(include_str!("../config.schema.json"))
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let duration = config.duration.unwrap_or(300);
        // A cache for zero seconds is no cache; the type of the policy's
        // attribute has 31 bits.
        if duration == 0 || i32::try_from(duration).is_err() {
            problems.push(Diagnostic::error(
                "/duration",
                format!(
                    "duration is from 1 to {} seconds, and is {duration}; to keep nothing, leave the \
                     plugin out",
                    i32::MAX
                ),
            ));
        }
        let default = ["Accept".to_owned(), "Accept-Charset".to_owned()];
        let headers = config.vary_by_headers.as_deref().unwrap_or(&default);
        for (index, name) in headers.iter().enumerate() {
            if !text::is_token(name) {
                problems.push(Diagnostic::error(
                    format!("/varyByHeaders/{index}"),
                    format!("`{name}` cannot be the name of a header: letters, digits and dashes"),
                ));
            }
        }
        for (index, name) in config.vary_by_query.iter().enumerate() {
            // API Management splits the text at semicolons.
            if name.trim().is_empty() || name.contains(';') {
                problems.push(Diagnostic::error(
                    format!("/varyByQuery/{index}"),
                    format!("`{name}` is not the name of one parameter: write one name per entry"),
                ));
            }
        }
        let consumption = context.instance.is_consumption();
        if consumption && config.caching_type == Some(Caching::Internal) {
            problems.push(Diagnostic::error(
                "/cachingType",
                "the Consumption tier has no cache of its own: connect an external one to the \
                 instance and write `external`, or leave the plugin out",
            ));
        }
        if !problems.is_empty() {
            return Err(problems);
        }

        let mut policy = Policy::of(context);
        policy.inbound(lookup(&config, headers));
        policy.outbound(CacheStore::new(duration.at("/duration")));
        if config.authorized_responses
            && !headers
                .iter()
                .any(|name| name.eq_ignore_ascii_case("Authorization"))
        {
            policy.warn(
                "/authorizedResponses",
                "what one caller got with a token is handed to every other caller whom the other \
                 plugins let in: add Authorization to varyByHeaders, unless the response is the same \
                 for all of them",
            );
        }
        if consumption && config.caching_type != Some(Caching::External) {
            policy.warn(
                "/cachingType",
                "the Consumption tier has no cache of its own: nothing is kept until an external one \
                 is connected to the instance",
            );
        }
        Ok(policy)
    }
}

fn lookup(config: &Config, headers: &[String]) -> CacheLookup {
    let mut lookup = CacheLookup::new(
        config.vary_by_developer.at("/varyByDeveloper"),
        config.vary_by_developer_groups.at("/varyByDeveloperGroups"),
    )
    .allow_private_response_caching(config.authorized_responses.at("/authorizedResponses"));
    if let Some(downstream) = config.downstream {
        lookup = lookup.downstream_caching(match downstream {
            Downstream::None => DownstreamCaching::None,
            Downstream::Private => DownstreamCaching::Private,
            Downstream::Public => DownstreamCaching::Public,
        });
    }
    if let Some(must) = config.must_revalidate {
        lookup = lookup.must_revalidate(must.at("/mustRevalidate"));
    }
    if let Some(caching) = config.caching_type {
        lookup = lookup.caching_type(match caching {
            Caching::PreferExternal => CachingType::PreferExternal,
            Caching::Internal => CachingType::Internal,
            Caching::External => CachingType::External,
        });
    }
    let lookup = each_at("/varyByHeaders", headers).fold(lookup, CacheLookup::vary_by_header);
    lookup.vary_by_query(each_at("/varyByQuery", &config.vary_by_query))
}

policy_sdk::export_plugin!(CachePlugin);
