use super::*;
use crate::policy::{Format, parse};

/// What is wrong with an inbound section, as the sentences alone.
fn inbound(text: &str) -> Vec<String> {
    section("inbound", text, Tier::Developer)
}

fn section(name: &str, text: &str, tier: Tier) -> Vec<String> {
    let text = format!("<policies><{name}>{text}</{name}></policies>");
    let document = parse(&text, Format::RawXml).unwrap();
    check(&document, &Target::Api, tier)
        .into_iter()
        .map(|error| error.message)
        .collect()
}

fn one(text: &str) -> String {
    let mut errors = inbound(text);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

const JWT: &str =
    r#"<validate-jwt header-name="Authorization"><openid-config url="https://x" /></validate-jwt>"#;

#[test]
fn ordinary_policies_pass() {
    assert_eq!(
        inbound(&format!(
            r#"<cors><allowed-origins><origin>*</origin></allowed-origins><allowed-headers><header>*</header></allowed-headers></cors>
            <base />
            {JWT}
            <rate-limit-by-key calls="10" renewal-period="60" counter-key="@(context.Request.IpAddress)" />
            <choose><when condition="@(true)"><set-header name="a"><value>{{{{x}}}}</value></set-header></when><otherwise><return-response><set-status code="404" /></return-response></otherwise></choose>"#
        )),
        [""; 0]
    );
}

#[test]
fn what_the_table_does_not_know_is_refused_with_the_nearest_name() {
    assert_eq!(
        one(r#"<set-headr name="a" />"#),
        "'set-headr' is no policy that is known here; did you mean 'set-header'?"
    );
    assert_eq!(
        one("<my-own-thing />"),
        "'my-own-thing' is no policy that is known here; see Azure's policy reference for what there is"
    );
    assert_eq!(
        one(r#"<set-header nam="a" name="b"><value>c</value></set-header>"#),
        "attribute 'nam' of 'set-header' does not exist; did you mean 'name'?"
    );
    assert_eq!(
        one(r#"<set-header name="b"><vale>c</vale></set-header>"#),
        "'vale' may not stand in 'set-header'; did you mean 'value'?"
    );
    assert_eq!(
        one(
            "<cors><allowed-origins><origin>*</origin></allowed-origins><allowed-headers><header>*</header></allowed-headers><max-age>3</max-age></cors>"
        ),
        "'max-age' may not stand in 'cors'; there are: allowed-origins, allowed-methods, allowed-headers, expose-headers"
    );
}

#[test]
fn a_policy_stands_in_its_sections_only_also_when_nested() {
    let expected = "'rate-limit-by-key' may not stand in section 'outbound'; it belongs in inbound";
    let policy = r#"<rate-limit-by-key calls="1" renewal-period="1" counter-key="a" />"#;
    assert_eq!(section("outbound", policy, Tier::Developer), [expected]);
    let nested = format!(r#"<choose><when condition="@(true)">{policy}</when></choose>"#);
    assert_eq!(section("outbound", &nested, Tier::Developer), [expected]);
    assert_eq!(
        one("<set-url>https://x</set-url>"),
        "'set-url' may not stand in a section by itself; remove it"
    );
}

#[test]
fn required_parts_their_order_and_their_number_are_checked() {
    assert_eq!(
        one(r#"<set-variable name="a" />"#),
        "'set-variable' lacks the attribute 'value'; add it"
    );
    assert_eq!(
        one("<choose />"),
        "'choose' lacks the element 'when'; add it"
    );
    assert_eq!(
        one(r#"<choose><when condition="true" /><otherwise /><otherwise /></choose>"#),
        "'choose' holds 2 elements 'otherwise'; at most 1 may stand there"
    );
    assert_eq!(
        one(
            r#"<validate-jwt header-name="A"><issuers><issuer>a</issuer></issuers><openid-config url="https://x" /></validate-jwt>"#
        ),
        "'openid-config' stands after 'issuers' in 'validate-jwt', but must come before it; move it"
    );
    assert_eq!(
        one(r#"<wait for="all" />"#),
        "'wait' is empty; it must hold at least one of: choose, forward-request, send-request, \
         cache-lookup-value, cache-store-value, authentication-managed-identity, authentication-token"
    );
    let document = parse(
        r#"<policies><inbound><set-variable name="a" value="b" /></inbound></policies>"#,
        Format::RawXml,
    );
    let mut document = document.unwrap();
    if let Some(Statement {
        node: Node::Element(element),
        ..
    }) = document
        .sections
        .get_mut(&Section::Inbound)
        .and_then(|s| s.first_mut())
    {
        let twice = element.attributes[0].clone();
        element.attributes.push(twice);
    }
    let errors = check(&document, &Target::Api, Tier::Developer);
    assert_eq!(
        errors[0].message,
        "attribute 'name' of 'set-variable' is there twice; remove one"
    );
}

#[test]
fn a_header_has_a_name_and_a_value_that_http_takes() {
    for name in ["X-Team_1", "x.y", "!", "a|b"] {
        let header = format!(r#"<set-header name="{name}"><value>a&#9;"b" é</value></set-header>"#);
        assert_eq!(inbound(&header), [""; 0], "{name}");
    }
    for name in ["", " ", "X Team", "X:Team", "X-&#10;Y", "é", "x&quot;"] {
        let header = format!(r#"<set-header name="{name}"><value>b</value></set-header>"#);
        assert!(
            one(&header).contains("which cannot be the name of a header"),
            "{name}"
        );
    }
    for value in ["a&#13;&#10;X-Evil: 1", "a&#10;b", "a&#x7f;b"] {
        let header = format!(r#"<set-header name="a"><value>{value}</value></set-header>"#);
        assert!(one(&header).contains("a header has one line"), "{value}");
    }
    // Around it, white space is nothing.
    let header = "<set-header name=\"a\"><value>\n  b\n</value></set-header>";
    assert_eq!(inbound(header), [""; 0]);
}

#[test]
fn values_have_the_type_that_the_schema_says() {
    assert_eq!(
        one(r#"<set-header name="a" exists-action="replace"><value>b</value></set-header>"#),
        "attribute 'exists-action' of 'set-header' is 'replace'; it must be 'override' or \
         'append' or 'skip' or 'delete', or an expression"
    );
    assert_eq!(
        one(r#"<return-response><set-status code="0" /></return-response>"#),
        "attribute 'code' of 'set-status' is '0'; it must be a whole number from 1, or an expression"
    );
    assert_eq!(
        one(r#"<mock-response status-code="@(200)" />"#),
        "attribute 'status-code' of 'mock-response' may not be an expression; it must be a whole \
         number of 32 bits"
    );
    assert_eq!(
        inbound(r#"<mock-response status-code="{{code}}" />"#),
        [""; 0]
    );
    assert_eq!(
        one("<choose>text<when condition=\"true\" /></choose>"),
        "'choose' may not hold text; it may hold: when, otherwise"
    );
    assert_eq!(
        one("<set-body><any>x</any></set-body>"),
        "'any' inside 'set-body' would be passed through unchecked; write it as text, or have the platform \
         list it in `spec.capabilities.passthroughElements` of the PolicyPlugin"
    );
}

#[test]
fn limits_of_the_service_are_kept() {
    let by_key = |attributes: &str| {
        one(&format!(
            r#"<rate-limit-by-key counter-key="a" {attributes} />"#
        ))
    };
    assert_eq!(
        by_key(r#"calls="0" renewal-period="60""#),
        "attribute 'calls' of 'rate-limit-by-key' is '0'; it must be at least 1"
    );
    assert_eq!(
        by_key(r#"calls="1" renewal-period="301""#),
        "attribute 'renewal-period' of 'rate-limit-by-key' is '301'; it must be from 1 to 300 seconds"
    );
    assert_eq!(
        by_key(r#"calls="1" renewal-period="300" retry-after-header-name="@("x")""#),
        "attribute 'retry-after-header-name' of 'rate-limit-by-key' may not be an expression; \
         write the value itself"
    );
    assert_eq!(
        one("<rate-limit calls=\"1\" />"),
        "'rate-limit' lacks the attribute 'renewal-period', which the service requires; add it"
    );
    assert_eq!(
        one(r#"<rate-limit calls="@(1)" renewal-period="1" />"#),
        "attribute 'calls' of 'rate-limit' may not be an expression; write the value itself"
    );
    assert_eq!(
        one(
            r#"<rate-limit calls="1" renewal-period="1"><api calls="1" renewal-period="1" /></rate-limit>"#
        ),
        "'api' has neither 'name' nor 'id'; add one"
    );
    assert_eq!(
        one(r#"<quota-by-key counter-key="a" renewal-period="300" />"#),
        "'quota-by-key' has neither 'calls' nor 'bandwidth'; add at least one"
    );
    assert_eq!(
        one(r#"<quota-by-key counter-key="a" calls="1" renewal-period="299" />"#),
        "attribute 'renewal-period' of 'quota-by-key' is '299'; it must be at least 300 seconds, \
         or 0 for a quota that is never renewed"
    );
    for period in ["0", "300", "P30D", "P1M"] {
        let text =
            format!(r#"<quota-by-key counter-key="a" calls="1" renewal-period="{period}" />"#);
        assert_eq!(inbound(&text), [""; 0], "{period}");
    }
    assert_eq!(
        one(r#"<quota calls="1" renewal-period="300" />"#),
        "'quota' is allowed in the policy of a product only; use 'quota-by-key' for an API or operation"
    );
    assert_eq!(
        inbound("<validate-jwt />"),
        [
            "'validate-jwt' does not say where the token is; add one of 'header-name', \
             'query-parameter-name', 'token-value'",
            "'validate-jwt' has no key to check signatures with; add 'openid-config' or \
             'issuer-signing-keys'"
        ]
    );
    assert_eq!(
        one(
            r#"<validate-jwt header-name="a" token-value="b"><openid-config url="u" /></validate-jwt>"#
        ),
        "'validate-jwt' says in 'header-name' and 'token-value' where the token is; keep one of them"
    );
    assert_eq!(
        inbound(
            "<check-header name=\"a\" failed-check-httpcode=\"400\"><value>b</value></check-header>"
        )
        .len(),
        2
    );
}

#[test]
fn cors_is_what_browsers_and_the_service_take() {
    let cors = |attributes: &str, origins: &str| {
        format!(
            "<cors {attributes}><allowed-origins>{origins}</allowed-origins><allowed-headers>\
             <header>*</header></allowed-headers></cors>"
        )
    };
    assert_eq!(
        one(&cors("", "<origin>*</origin><origin>https://a</origin>")),
        "'allowed-origins' holds '*' beside other origins; '*' stands for all, so keep it alone \
         or remove it"
    );
    assert_eq!(
        one(&cors("allow-credentials=\"true\"", "<origin>*</origin>")),
        "'cors' allows credentials for the origin '*', which browsers refuse; list the origins \
         or set 'allow-credentials' to false"
    );
    assert_eq!(
        one("<cors><allowed-origins><origin>*</origin></allowed-origins></cors>"),
        "'cors' lacks the element 'allowed-headers', which the service requires; add it"
    );
    let twice = cors("", "<origin>*</origin>").repeat(2);
    assert_eq!(
        one(&twice),
        "'cors' stands 2 times, but may stand once in a section; keep one of them"
    );
}

#[test]
fn some_policies_may_stand_once_in_a_document_wherever_they_are_nested() {
    let limit = r#"<rate-limit calls="1" renewal-period="1" />"#;
    let text = format!("{limit}<choose><when condition=\"true\">{limit}</when></choose>");
    let mut document = parse(
        &format!("<policies><inbound>{text}</inbound></policies>"),
        Format::RawXml,
    )
    .unwrap();
    for (statement, plugin) in document
        .sections
        .get_mut(&Section::Inbound)
        .unwrap()
        .iter_mut()
        .zip(["one", "two"])
    {
        statement.plugin = Some(plugin.to_owned());
    }
    let errors = check(&document, &Target::Api, Tier::Developer);
    assert_eq!(
        errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "[two] 'rate-limit' stands 2 times, but may stand once in a document; plugins 'one' \
             and 'two' both write it, so remove one of them (policy of the API in inbound)"
        ]
    );
}

#[test]
fn the_consumption_tier_has_no_by_key_policies_and_smaller_documents() {
    let policy = r#"<rate-limit-by-key calls="1" renewal-period="1" counter-key="a" />"#;
    assert_eq!(
        section("inbound", policy, Tier::Consumption),
        [
            "'rate-limit-by-key' does not exist on the Consumption tier; use another policy or an \
             instance of another tier"
        ]
    );
    let large = format!(
        "<set-variable name=\"a\" value=\"{}\" />",
        "x".repeat(16_384)
    );
    assert_eq!(section("inbound", &large, Tier::Developer), [""; 0]);
    let errors = section("inbound", &large, Tier::Consumption);
    assert_eq!(
        errors,
        [
            "the document has 16479 bytes, but the Consumption tier takes 16384 at most; shorten \
             lists in the plugins' config or use fewer plugins"
        ]
    );
    let large = format!(
        "<set-variable name=\"a\" value=\"{}\" />",
        "x".repeat(262_144)
    );
    assert_eq!(section("inbound", &large, Tier::Developer).len(), 1);
}

#[test]
fn an_error_carries_the_pointer_of_the_value_or_of_what_holds_it() {
    let mut element = Element::new("set-variable");
    element.pointer = Some("/vars/0".to_owned());
    element.attributes = vec![
        Attribute {
            name: "name".to_owned(),
            value: Value::literal("@(1)").at("/vars/0/name"),
        },
        Attribute {
            name: "value".to_owned(),
            value: Value::literal("{{x}}"),
        },
    ];
    let mut document = PolicyDocument::inherit();
    let statement = Statement {
        plugin: Some("p".to_owned()),
        node: Node::Element(element),
    };
    document.sections.insert(Section::Inbound, vec![statement]);
    let errors = check(
        &document,
        &Target::Operation("get-a".into()),
        Tier::Developer,
    );
    assert_eq!(
        errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "[p] /vars/0/name: attribute 'name' of 'set-variable': the text '@(1)' contains '@(', \
             which API Management reads as the beginning of an expression; a plain text must not \
             contain it, so change the text (policy of operation 'get-a' in inbound)",
            "[p] /vars/0: attribute 'value' of 'set-variable': the text '{{x}}' contains '{{', \
             which API Management reads as a named value; a plain text must not contain it, so \
             change the text (policy of operation 'get-a' in inbound)",
        ]
    );
}

#[test]
fn a_plugin_writes_neither_base_nor_comments() {
    let mut document = parse(
        "<policies><inbound><base /><!-- x --></inbound></policies>",
        Format::RawXml,
    )
    .unwrap();
    assert_eq!(check(&document, &Target::Api, Tier::Developer), []);
    for statement in document.sections.get_mut(&Section::Inbound).unwrap() {
        statement.plugin = Some("p".to_owned());
    }
    let errors = check(&document, &Target::Api, Tier::Developer);
    assert_eq!(
        errors
            .iter()
            .map(|e| e.message.as_str())
            .collect::<Vec<_>>(),
        [
            "a plugin cannot write <base/>: the operator places it",
            "a plugin cannot write comments; leave it out"
        ]
    );
}

#[test]
fn what_the_reference_adds_to_the_schemas_is_checked() {
    for (text, problem) in [
        (
            r#"<ip-filter action="allow" />"#,
            "'ip-filter' names no address; add 'address' or 'address-range' elements",
        ),
        (
            r#"<validate-client-certificate><identities><identity issuer-certificate-id="a" issuer-subject="CN=b" /></identities></validate-client-certificate>"#,
            "'identity' says in 'issuer-certificate-id' and in another attribute who the issuer is; keep one of them",
        ),
        (
            r#"<retry condition="@(true)" count="51" interval="1"><set-method>GET</set-method></retry>"#,
            "attribute 'count' of 'retry' is '51'; it must be from 1 to 50",
        ),
        (
            r"<authentication-managed-identity />",
            "'authentication-managed-identity' lacks the attribute 'resource', which the service requires; add it",
        ),
        (
            r#"<authentication-managed-identity resource="a" client-id="@(context.RequestId.ToString())" />"#,
            "attribute 'client-id' of 'authentication-managed-identity' may not be an expression; write the value itself",
        ),
        (
            r#"<validate-parameters specified-parameter-action="prevent" unspecified-parameter-action="ignore" errors-variable-name="@("a")" />"#,
            "attribute 'errors-variable-name' of 'validate-parameters' may not be an expression; write the value itself",
        ),
        (
            r#"<validate-parameters specified-parameter-action="prevent" unspecified-parameter-action="ignore" /><validate-parameters specified-parameter-action="prevent" unspecified-parameter-action="ignore" />"#,
            "'validate-parameters' stands 2 times, but may stand once in a section; keep one of them",
        ),
        (
            r#"<cache-lookup vary-by-developer="false" vary-by-developer-groups="false" /><cache-lookup vary-by-developer="false" vary-by-developer-groups="false" />"#,
            "'cache-lookup' stands 2 times, but may stand once in a section; keep one of them",
        ),
    ] {
        assert_eq!(one(text), problem);
    }
}
