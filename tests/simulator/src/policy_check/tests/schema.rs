//! What the published schemas refuse, and in which words.

use super::{NONE, refused};

#[test]
fn text_where_children_belong_is_refused_with_what_is_expected() {
    assert_eq!(
        refused("<set-header name=\"A\">text</set-header>"),
        [
            "set-header: The element 'set-header' cannot contain text. List of possible elements expected: 'value'."
        ]
    );
    assert_eq!(
        refused("<forward-request>text</forward-request>")[1],
        "forward-request: The element 'forward-request' cannot contain text. Content model is empty."
    );
    assert_eq!(
        refused("text"),
        ["inbound: The element 'inbound' cannot contain text."]
    );
}

#[test]
fn attributes_are_checked_against_the_schemas() {
    assert_eq!(
        refused("<set-header name=\"A\" when=\"x\" exists-action=\"replace\" />"),
        [
            "set-header: The 'when' attribute is not declared.",
            "set-header: The 'exists-action' attribute is invalid - The value 'replace' is invalid according to its datatype 'String' - The value 'replace' is not valid according to any of the memberTypes of the union."
        ]
    );
    assert_eq!(
        refused("<set-header />"),
        ["set-header: The required attribute 'name' is missing."]
    );
    assert_eq!(
        refused("<rate-limit calls=\"ten\" renewal-period=\"60\" />"),
        [
            "rate-limit: The 'calls' attribute is invalid - The value 'ten' is invalid according to its datatype 'http://www.w3.org/2001/XMLSchema:int' - The string 'ten' is not a valid Int32 value."
        ]
    );
    assert_eq!(
        refused("<cache-lookup-value key=\"a\" variable-name=\"b\" caching-type=\"both\" />"),
        [
            "cache-lookup-value: The 'caching-type' attribute is invalid - The value 'both' is invalid according to its datatype 'String' - The Enumeration constraint failed."
        ]
    );
}

#[test]
fn an_expression_stands_only_where_the_schemas_take_one() {
    assert_eq!(
        refused(
            "<rate-limit-by-key calls=\"@(5)\" renewal-period=\"60\" counter-key=\"@(context.Subscription.Id)\" />"
        ),
        NONE
    );
    assert_eq!(
        refused("<rate-limit calls=\"@(5)\" renewal-period=\"60\" />"),
        [
            "rate-limit: The 'calls' attribute is invalid - The value '@(5)' is invalid according to its datatype 'http://www.w3.org/2001/XMLSchema:int' - The string '@(5)' is not a valid Int32 value."
        ]
    );
    assert_eq!(
        refused("<set-variable name=\"@(1)\" value=\"a\" />"),
        ["set-variable: Policy expressions are not allowed in the 'name' attribute."]
    );
    assert_eq!(
        refused("<rate-limit calls=\"{{known}}\" renewal-period=\"60\" />"),
        NONE
    );
}

#[test]
fn children_are_checked_for_name_order_and_number() {
    assert_eq!(
        refused("<cors><max-age>60</max-age></cors>"),
        [
            "cors: The element 'cors' has invalid child element 'max-age'. List of possible elements expected: 'allowed-origins, allowed-methods, allowed-headers, expose-headers'."
        ]
    );
    assert_eq!(
        refused("<cors><allowed-methods><method>GET</method></allowed-methods></cors>"),
        [
            "cors: The element 'cors' has incomplete content. List of possible elements expected: 'allowed-origins, allowed-headers, expose-headers'."
        ]
    );
    assert_eq!(
        refused(
            "<cors><expose-headers><header>A</header></expose-headers><allowed-origins><origin>*</origin></allowed-origins></cors>"
        ),
        NONE
    );
    assert_eq!(
        refused(
            "<validate-jwt header-name=\"A\"><audiences><audience>a</audience></audiences><openid-config url=\"https://a.example/x\" /></validate-jwt>"
        ),
        [
            "validate-jwt: The element 'validate-jwt' has invalid child element 'openid-config'. List of possible elements expected: 'issuers, required-claims'."
        ]
    );
    assert_eq!(
        refused("<choose></choose>"),
        [
            "choose: The element 'choose' has incomplete content. List of possible elements expected: 'when'."
        ]
    );
    let dimensions = "<dimension name=\"a\" />".repeat(11);
    assert_eq!(
        refused(&format!(
            "<emit-metric name=\"a\">{dimensions}</emit-metric>"
        )),
        ["emit-metric: The element 'emit-metric' has invalid child element 'dimension'."]
    );
}

#[test]
fn policies_inside_policies_are_checked_and_reported_by_the_inner_one() {
    assert_eq!(
        refused(
            "<choose><when condition=\"@(true)\"><set-header /></when><otherwise><nonsense /></otherwise></choose>"
        ),
        [
            "set-header: The required attribute 'name' is missing.",
            "nonsense: The 'nonsense' element is not declared."
        ]
    );
    assert_eq!(
        refused(
            "<return-response><set-status code=\"0\" /><set-header name=\"A\" other=\"b\" /></return-response>"
        ),
        [
            "set-status: The 'code' attribute is invalid - The value '0' is invalid according to its datatype 'String' - The value '0' is not valid according to any of the memberTypes of the union.",
            "set-header: The 'other' attribute is not declared."
        ]
    );
}
