//! What a plugin's author writes, and what comes of it.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use policy_sdk::prelude::*;
use policy_sdk::testing::{Call, context, print, run_cases};
use serde_json::json;

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    backends: Vec<Backend>,
}

#[derive(Debug, serde::Deserialize)]
struct Backend {
    url: String,
}

struct Example;

impl Plugin for Example {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new("example", "1.0.0", "An example.", Phase::Routing)
            .writes([Section::Inbound, Section::Outbound])
            .reads_block("example")
            .needs_feature("backends")
    }

    fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
        let mut policy = Policy::of(context);
        for (index, backend) in config.backends.into_iter().enumerate() {
            policy.inbound(
                SetBackendService::new()
                    .base_url(backend.url.at(format!("/backends/{index}/url")))
                    .at(format!("/backends/{index}")),
            );
        }
        Ok(policy)
    }
}

policy_sdk::export_plugin!(Example);

#[test]
fn a_config_error_carries_its_pointer() {
    let text = Call::of::<Example>()
        .config(json!({"backends": [{"url": "https://a"}, {"url": 7}]}))
        .generate_text();
    assert_eq!(
        text,
        "error at `/backends/1/url`: invalid type: integer `7`, expected a string\n"
    );
}

#[test]
fn a_case_of_requests_alone_wants_a_policy_and_nothing_else() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("requests-alone");
    fs::create_dir_all(&folder).unwrap();
    let case = |config: &str| {
        let requests = "[{request: {path: /}, expect: {status: 200}}]";
        let text = format!("config: {config}\nrequests: {requests}\n");
        fs::write(folder.join("requests.yaml"), text).unwrap();
    };
    case("{backends: [{url: 'https://a'}]}");
    run_cases::<Example>(&folder);
    case("{backends: [{url: 7}]}");
    let refused = catch_unwind(|| run_cases::<Example>(&folder)).unwrap_err();
    let said = refused.downcast_ref::<String>().unwrap();
    assert!(
        said.contains("there is no policy to send requests to:") && said.contains("integer `7`"),
        "{said}"
    );
}

#[test]
fn statements_go_to_the_operation_that_a_call_is_about() {
    let text = Call::of::<Example>()
        .config(json!({"backends": [{"url": "https://a"}]}))
        .for_operation("getPet")
        .generate_text();
    assert_eq!(
        text,
        "inbound of operation getPet:\n  <set-backend-service base-url=\"https://a\" />\n"
    );
}

#[test]
fn a_plugin_that_reads_no_block_says_nothing_of_one() {
    let text = Call::of::<Example>().read_spec_text(Dialect::Canonical, json!({"a": 1}));
    assert_eq!(text, "enabled null {}\n");
}

#[test]
fn every_builder_writes_the_elements_of_its_statement() {
    let mut policy = Policy::of(&context());
    policy
        .inbound(
            Cors::new()
                .allow_credentials(true)
                .allowed_origins(["https://a.example"])
                .allowed_methods(["GET"], Some(5_u32))
                .allowed_headers(["x-a"])
                .expose_headers(["x-b"]),
        )
        .inbound(CheckHeader::new("x-key", 401_u32, "No key.", true).value("1"))
        .inbound(
            IpFilter::allow()
                .address("10.0.0.1")
                .range("10.1.0.0", "10.1.0.9"),
        )
        .inbound(
            ValidateJwt::new("Authorization")
                .openid_config("https://login.example.com/.well-known/openid-configuration")
                .audiences(["a"])
                .issuers(["i"])
                .required_claims([Claim::new("scp", Match::Any).separator(" ").value("r")]),
        )
        .inbound(
            ValidateAzureAdToken::new("tenant")
                .client_applications(["c"])
                .audiences(["a"]),
        )
        .inbound(RateLimit::new(10_u32, 60_u32).retry_after_header("x-wait"))
        .inbound(RateLimitByKey::new(
            Expression::new("context.Product != null ? 10 : 1"),
            60_u32,
            Expression::new("context.Request.IpAddress"),
        ))
        .inbound(Quota::new(3600_u32).calls(5_u32).bandwidth(40_000_u64))
        .inbound(QuotaByKey::new("k", 3600_u32).calls(5_u32))
        .inbound(
            CacheLookup::new(false, false)
                .vary_by_header("accept")
                .vary_by_query(["q"]),
        )
        .inbound(SetVariable::new(
            "user",
            Expression::new("context.User?.Id"),
        ))
        .inbound(
            SetQueryParameter::new("v")
                .exists_action(ExistsAction::Skip)
                .value("1"),
        )
        .inbound(SetMethod::new("POST"))
        .inbound(RewriteUri::new("/v2/{id}").copy_unmatched_params(false))
        .inbound(IncludeFragment::new("common"))
        .inbound(
            Choose::when(
                Expression::new("context.Request.Method == \"TRACE\""),
                Block::of(
                    ReturnResponse::new(SetStatus::new(405_u32, "Method Not Allowed"))
                        .header(SetHeader::new("allow").value("GET"))
                        .body(SetBody::new("<none & nothing>")),
                ),
            )
            .or_when(true, Block::of(MockResponse::new().status_code(200_u32)))
            .otherwise(Block::of(
                SetHeader::new("x-secret")
                    .exists_action(ExistsAction::Override)
                    .value(NamedValue::new("backend-key")),
            )),
        )
        .backend(Retry::new(
            Expression::new("context.Response.StatusCode >= 500"),
            3_u32,
            1_u32,
            Block::of(
                ForwardRequest::new()
                    .timeout(10_u32)
                    .buffer_request_body(true),
            ),
        ))
        .outbound(CacheStore::new(60_u32))
        .outbound(LimitConcurrency::new(
            "k",
            3_u32,
            Block::of(SetStatus::new(200_u32, "OK")),
        ))
        .on_error(
            Trace::new("example", TraceSeverity::Error)
                .message(Expression::statements("return context.LastError.Message;")),
        )
        .on_error(Element::new("anything").attribute("x", "1").text("t"));
    policy.warn("/x", "Old.");
    policy.add(
        Section::Inbound,
        Target::Operation("getPet".to_owned()),
        Element::new("base"),
    );
    insta::assert_snapshot!(print(&policy));
}
