//! What each built-in plugin lets in and keeps out: the policy that the
//! operator makes of its config, executed for real requests.
//!
//! One file for each plugin, one for plugins together, one for hostile values.

#![forbid(unsafe_code)]
#![expect(clippy::expect_used, reason = "the helpers of tests are tests as well")]

mod api_key;
mod backend_auth;
mod basic_auth;
mod cache;
mod circuit;
mod client_certificate;
mod cors;
mod default_chain;
mod headers;
mod hostile;
mod ip_filter;
mod jwt_entra;
mod mock;
mod quota;
mod rate_limit;
mod rewrite;
mod template;
mod validate_content;
mod validate_jwt;
mod validate_parameters;

use plugin_behaviour::{Stage, built_in};

/// The message of the gateway's own answers to what went wrong inside.
const INTERNAL: &str = "Internal server error";

/// How often `GET /items/7` is answered 200, then what it is answered.
async fn let_in(stage: &Stage, header: Option<(&str, &str)>) -> (u32, u16) {
    for before in 0..1000 {
        let mut call = stage.item();
        if let Some((name, value)) = header {
            call = call.header(name, value);
        }
        match call.status().await {
            200 => {}
            other => return (before, other),
        }
    }
    panic!("there is no end");
}

#[test]
fn every_built_in_plugin_has_a_file_here() {
    for plugin in built_in() {
        let file = format!("tests/behaviour/{}.rs", plugin.replace('-', "_"));
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains("#[tokio::test]"), "{file}");
    }
}
