//! What the service refuses beyond the published schemas.

use super::super::{PolicyFormat, PolicyScope, Sku, check, check_fragment};
use super::{NONE, Service, inbound, refused, refused_in};

#[test]
fn missing_entities_are_named() {
    assert_eq!(
        refused(
            "<set-backend-service backend-id=\"missing\" /><include-fragment fragment-id=\"missing\" />"
        ),
        [
            "set-backend-service: Backend with id 'missing' could not be found.",
            "include-fragment: Policy fragment with id 'missing' could not be found."
        ]
    );
    assert_eq!(
        refused(
            "<set-header name=\"A\"><value>Bearer {{missing}} and {{known}}</value></set-header><set-variable name=\"a\" value=\"@(\"{{missing}}\")\" />"
        ),
        [
            "set-header: Cannot find a property 'missing'",
            "set-variable: Cannot find a property 'missing'"
        ]
    );
    assert_eq!(
        refused("<set-backend-service backend-id=\"@(context.Api.Id)\" />"),
        NONE
    );
    assert_eq!(
        refused("<set-body template=\"liquid\">{{missing}}</set-body>"),
        NONE
    );
}

#[test]
fn a_policy_outside_its_sections_is_refused() {
    let document = "<policies><outbound><rate-limit calls=\"1\" renewal-period=\"1\" /></outbound><on-error><set-url>a</set-url></on-error></policies>";
    assert_eq!(
        refused_in(document, PolicyScope::Api, &Service::default()),
        [
            "rate-limit: Policy is not allowed in the specified section",
            "set-url: Policy is not allowed in the specified section"
        ]
    );
}

#[test]
fn a_policy_outside_its_scopes_is_refused() {
    let limit = inbound("<rate-limit calls=\"1\" renewal-period=\"1\" />");
    let service = Service::default();
    assert_eq!(
        refused_in(&limit, PolicyScope::Service, &service),
        ["rate-limit: Policy is not allowed in the specified scope"]
    );
    assert_eq!(refused_in(&limit, PolicyScope::Operation, &service), NONE);
    let domain = inbound("<cross-domain />");
    assert_eq!(refused_in(&domain, PolicyScope::Service, &service), NONE);
    assert_eq!(
        refused_in(&domain, PolicyScope::Api, &service),
        ["cross-domain: Policy is not allowed in the specified scope"]
    );
    assert_eq!(
        refused(
            "<http-data-source><http-request><set-method>GET</set-method><set-url>a</set-url></http-request></http-data-source>"
        )[0],
        "http-data-source: Policy is not allowed in the specified scope"
    );
}

#[test]
fn a_document_without_the_root_element_is_refused_child_by_child() {
    let document =
        "<inbound>\n   <cors allow-credentials=\"true\" />\n   <validate-jwt />\n</inbound>";
    let problems = check(
        document,
        PolicyFormat::RawXml,
        PolicyScope::Api,
        &Service::default(),
    )
    .unwrap_err();
    let messages: Vec<&str> = problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "Error in element 'cors' on line 2, column 5: Policy section is not allowed in the specified scope",
            "Error in element 'validate-jwt' on line 3, column 5: Policy section is not allowed in the specified scope"
        ]
    );
}

#[test]
fn a_section_stands_once_and_backend_holds_one_policy() {
    let twice = "<policies><inbound /><inbound /></policies>";
    assert_eq!(
        refused_in(twice, PolicyScope::Api, &Service::default()),
        ["inbound: The element 'policies' has invalid child element 'inbound'."]
    );
    for content in ["", "<base /><forward-request />"] {
        let document = format!("<policies><backend>{content}</backend></policies>");
        assert_eq!(
            refused_in(&document, PolicyScope::Api, &Service::default()),
            ["backend: Policy section 'backend' must contain exactly one policy"]
        );
    }
}

#[test]
fn rate_limit_and_quota_stand_once_in_a_document_and_cors_once_in_a_section() {
    let limit = "<rate-limit calls=\"1\" renewal-period=\"1\" />";
    assert_eq!(
        refused(&format!(
            "{limit}<choose><when condition=\"@(true)\">{limit}</when></choose>"
        )),
        ["rate-limit: Policy 'rate-limit' is allowed only once in a policy document"]
    );
    let cors = "<cors><allowed-origins><origin>*</origin></allowed-origins></cors>";
    assert_eq!(
        refused(&format!("{cors}{cors}")),
        ["cors: Policy 'cors' is allowed only once in a policy section"]
    );
}

#[test]
fn limits_have_ranges_that_the_schemas_do_not_know() {
    assert_eq!(
        refused("<rate-limit calls=\"0\" renewal-period=\"301\" />"),
        [
            "rate-limit: The 'calls' attribute must be between 1 and 2147483647, not 0.",
            "rate-limit: The 'renewal-period' attribute must be between 1 and 300, not 301."
        ]
    );
    assert_eq!(
        refused("<rate-limit-by-key calls=\"5\" renewal-period=\"600\" counter-key=\"a\" />"),
        ["rate-limit-by-key: The 'renewal-period' attribute must be between 1 and 300, not 600."]
    );
    assert_eq!(
        refused("<rate-limit />"),
        [
            "rate-limit: The required attribute 'calls' is missing.",
            "rate-limit: The required attribute 'renewal-period' is missing."
        ]
    );
    assert_eq!(
        refused("<quota-by-key counter-key=\"a\" renewal-period=\"60\" />"),
        [
            "quota-by-key: One of the attributes 'calls', 'bandwidth' must be specified.",
            "quota-by-key: The 'renewal-period' attribute must be 0 or at least 300, not 60."
        ]
    );
}

#[test]
fn validate_jwt_needs_keys_and_exactly_one_source_of_the_token() {
    let keys = "<openid-config url=\"https://login.example/.well-known/openid-configuration\" />";
    assert_eq!(
        refused(&format!(
            "<validate-jwt header-name=\"Authorization\">{keys}</validate-jwt>"
        )),
        NONE
    );
    assert_eq!(
        refused("<validate-jwt />"),
        [
            "validate-jwt: One of the attributes 'header-name', 'query-parameter-name', 'token-value' must be specified.",
            "validate-jwt: Either 'openid-config' or 'issuer-signing-keys' must be specified to validate the token signature."
        ]
    );
    assert_eq!(
        refused(&format!(
            "<validate-jwt header-name=\"A\" token-value=\"b\">{keys}</validate-jwt>"
        )),
        [
            "validate-jwt: Only one of the attributes 'header-name', 'query-parameter-name', 'token-value' can be specified."
        ]
    );
    assert_eq!(
        refused(
            "<validate-jwt header-name=\"A\"><openid-config url=\"login.example\" /></validate-jwt>"
        ),
        ["validate-jwt: OpenID configuration URL 'login.example' is not a valid absolute URL."]
    );
}

#[test]
fn counters_by_key_do_not_exist_on_consumption() {
    let service = Service {
        sku: Sku::Consumption,
        ..Service::default()
    };
    let document =
        inbound("<rate-limit-by-key calls=\"5\" renewal-period=\"60\" counter-key=\"a\" />");
    assert_eq!(
        refused_in(&document, PolicyScope::Api, &service),
        ["rate-limit-by-key: Policy is not allowed in the pricing tier of the service"]
    );
    assert_eq!(
        refused_in(&document, PolicyScope::Api, &Service::default()),
        NONE
    );
    assert_eq!(Sku::from_arm_name("Consumption"), Sku::Consumption);
    assert_eq!(Sku::from_arm_name("StandardV2"), Sku::Dedicated);
}

#[test]
fn policies_for_dapr_need_a_tier_with_self_hosted_gateways() {
    let document = inbound("<publish-to-dapr topic=\"orders\">a</publish-to-dapr>");
    for (sku, refused) in [
        (Sku::Consumption, true),
        (Sku::Dedicated, true),
        (Sku::SelfHosted, false),
    ] {
        let service = Service {
            sku,
            ..Service::default()
        };
        let expected: &[&str] = if refused {
            &["publish-to-dapr: Policy is not allowed in the pricing tier of the service"]
        } else {
            &[]
        };
        assert_eq!(refused_in(&document, PolicyScope::Api, &service), expected);
    }
    assert_eq!(Sku::from_arm_name("premium"), Sku::SelfHosted);
}

#[test]
fn a_document_over_the_tiers_limit_is_refused() {
    let filler = |bytes: usize| inbound(&format!("<!--{}-->", "x".repeat(bytes)));
    let consumption = Service {
        sku: Sku::Consumption,
        ..Service::default()
    };
    let document = filler(16 * 1024);
    assert_eq!(
        refused_in(&document, PolicyScope::Api, &consumption),
        [format!(
            "representation: Policy document size of {} bytes exceeds the maximum of 16384 bytes allowed in the pricing tier of the service.",
            document.len()
        )]
    );
    assert_eq!(
        refused_in(&document, PolicyScope::Api, &Service::default()),
        NONE
    );
    assert_eq!(
        refused_in(&filler(256 * 1024), PolicyScope::Api, &Service::default()).len(),
        1
    );
}

#[test]
fn rewrite_uri_takes_only_parameters_of_the_url_template() {
    let service = Service {
        template: Some(vec!["id".to_owned(), "rest".to_owned()]),
        ..Service::default()
    };
    let rewrite = |template: &str| {
        let document = inbound(&format!("<rewrite-uri template=\"{template}\" />"));
        refused_in(&document, PolicyScope::Operation, &service)
    };
    assert_eq!(rewrite("/stores/{id}/{*rest}"), NONE);
    assert_eq!(
        rewrite("/stores/{id}/{Location}"),
        [
            "rewrite-uri: Only parameters specified in the original URL template can be used in the rewrite template"
        ]
    );
    assert_eq!(rewrite("@(\"/{Location}\")"), NONE);
}

#[test]
fn fragments_hold_policies_and_neither_base_nor_other_fragments() {
    let run = |document: &str| check_fragment(document, PolicyFormat::RawXml, &Service::default());
    let checked =
        run("<fragment><set-header name=\"A\"><value>@(\"b\")</value></set-header></fragment>")
            .unwrap();
    assert_eq!(
        checked.to_rawxml(),
        "<fragment>\r\n\t<set-header name=\"A\">\r\n\t\t<value>@(\"b\")</value>\r\n\t</set-header>\r\n</fragment>"
    );
    let messages: Vec<String> =
        run("<fragment><base /><include-fragment fragment-id=\"a\" /></fragment>")
            .unwrap_err()
            .into_iter()
            .map(|problem| problem.message)
            .collect();
    assert_eq!(
        messages,
        [
            "Error in element 'base' on line 1, column 12: The 'base' element is not declared.",
            "Error in element 'include-fragment' on line 1, column 20: Policy fragments cannot be nested"
        ]
    );
    assert_eq!(
        run("<policies />").unwrap_err()[0].target.as_deref(),
        Some("policies")
    );
}
