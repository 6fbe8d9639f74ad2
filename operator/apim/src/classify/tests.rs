//! Every row of what the service was seen to answer, with its class.

use std::time::Duration;

use super::*;
use operator_core::class::ErrorClass as Class;

struct Seen {
    status: Option<u16>,
    code: &'static str,
    message: &'static str,
    detail: &'static str,
    class: Class,
    missing: Option<(&'static str, Option<&'static str>)>,
}

const fn seen(
    status: u16,
    code: &'static str,
    message: &'static str,
    detail: &'static str,
    class: Class,
) -> Seen {
    Seen {
        status: Some(status),
        code,
        message,
        detail,
        class,
        missing: None,
    }
}

const fn waits(
    status: u16,
    code: &'static str,
    message: &'static str,
    detail: &'static str,
    kind: &'static str,
    name: Option<&'static str>,
) -> Seen {
    Seen {
        status: Some(status),
        code,
        message,
        detail,
        class: Class::Waiting,
        missing: Some((kind, name)),
    }
}

const fn later(code: &'static str, message: &'static str, class: Class) -> Seen {
    Seen {
        status: None,
        code,
        message,
        detail: "",
        class,
        missing: None,
    }
}

const FIELDS: &str = "One or more fields contain incorrect values:";
const THROTTLED: Class = Class::Throttled(Duration::from_secs(7));

const ROWS: &[Seen] = &[
    seen(400, "ValidationError", FIELDS, "", Class::Invalid),
    seen(
        400,
        "ValidationError",
        FIELDS,
        "Cannot create API 'a' with the same Path 'p' as API 'b' unless it's a part of the same version set",
        Class::Invalid,
    ),
    seen(
        400,
        "ValidationError",
        "Can't change property Path for non-current revision",
        "",
        Class::Invalid,
    ),
    waits(
        400,
        "ValidationError",
        "Entity with specified identifier not found",
        "",
        "an entity that the request names",
        None,
    ),
    waits(
        400,
        "ValidationError",
        FIELDS,
        "Error in element 'set-backend-service' on line 33, column 4: Backend with id 'orders' could not be found.",
        "backend",
        Some("orders"),
    ),
    waits(
        400,
        "ValidationError",
        FIELDS,
        "Error in element 'include-fragment' on line 3, column 4: Policy fragment with id 'acme' could not be found.",
        "policy fragment",
        Some("acme"),
    ),
    waits(
        400,
        "ValidationError",
        FIELDS,
        "Error in element 'set-header' on line 3, column 4: Cannot find a property 'api-key'",
        "named value",
        Some("api-key"),
    ),
    waits(
        400,
        "ValidationError",
        FIELDS,
        "Properties specified are missing",
        "named value",
        None,
    ),
    waits(
        400,
        "ValidationError",
        FIELDS,
        "Error in element 'log-to-eventhub' on line 3, column 10: Logger not found",
        "logger",
        None,
    ),
    seen(
        400,
        "ValidationError",
        FIELDS,
        "Error in element 'set-header' on line 19, column 7: The element 'set-header' cannot contain text. List of possible elements expected: 'value'.",
        Class::Invalid,
    ),
    seen(
        400,
        "ValidationError",
        FIELDS,
        "Error in element 'rewrite-uri' on line 4, column 10: Only parameters specified in the original URL template can be used in the rewrite template",
        Class::Invalid,
    ),
    seen(
        400,
        "ValidationError",
        FIELDS,
        "Error in element 'cors' on line 4, column 10: Policy is not allowed in the specified section",
        Class::Invalid,
    ),
    seen(
        400,
        "ValidationError",
        FIELDS,
        "'=' is an unexpected token. The expected token is ';'. Line 30, position 189.",
        Class::Invalid,
    ),
    seen(
        400,
        "ValidationError",
        FIELDS,
        "Parsing error(s): (Lin: 1, Col: 11, Chr: 16) - Mapping values are not allowed in this context.",
        Class::Invalid,
    ),
    seen(
        400,
        "ValidationError",
        "You've reached the maximum number of Operations (100) in API. ",
        "",
        Class::Invalid,
    ),
    seen(
        400,
        "MethodNotAllowedInPricingTier",
        "Method not allowed in Consumption pricing tier",
        "",
        Class::Invalid,
    ),
    seen(
        400,
        "MissingOrIncorrectVersionParameter",
        "API version query parameter is not specified or was specified incorrectly. Supported versions: 2022-08-01",
        "",
        Class::Denied,
    ),
    seen(401, "", "the answer has no body", "", Class::Denied),
    seen(
        401,
        "AuthenticationFailed",
        "Authentication failed.",
        "",
        Class::Denied,
    ),
    seen(
        403,
        "AuthorizationFailed",
        "The client 'x' does not have authorization to perform action 'y'",
        "",
        Class::Denied,
    ),
    seen(
        403,
        "LinkedAuthorizationFailed",
        "The client has permission to perform action",
        "",
        Class::Denied,
    ),
    seen(
        404,
        "ResourceNotFound",
        "Api not found.",
        "",
        Class::Conflict,
    ),
    waits(
        404,
        "ResourceNotFound",
        "ApiVersionSet not found.",
        "",
        "version set",
        None,
    ),
    waits(404, "ResourceNotFound", "Tag not found.", "", "tag", None),
    waits(
        404,
        "ResourceNotFound",
        "Product not found.",
        "",
        "product",
        None,
    ),
    waits(
        404,
        "ResourceNotFound",
        "Logger not found.",
        "",
        "logger",
        None,
    ),
    waits(
        400,
        "ValidationError",
        FIELDS,
        "Authorization server with id 'portal' could not be found.",
        "OAuth 2.0 server",
        Some("portal"),
    ),
    waits(
        400,
        "ValidationError",
        FIELDS,
        "OpenId Connect Provider with id 'AzureAD' could not be found.",
        "OpenID provider",
        Some("AzureAD"),
    ),
    waits(
        400,
        "ValidationError",
        FIELDS,
        "Product with id 'gold' could not be found.",
        "product",
        Some("gold"),
    ),
    waits(
        400,
        "ValidationError",
        FIELDS,
        "Certificate 'ours' could not be found.",
        "an entity that the request names",
        Some("ours"),
    ),
    waits(
        400,
        "ValidationError",
        FIELDS,
        "Failed to access KeyVault Secret https://kv.vault.azure.net/secrets/key using Managed Service Identity of Api Management service.",
        "Key Vault reference",
        Some("https://kv.vault.azure.net/secrets/key"),
    ),
    waits(
        400,
        "ValidationError",
        FIELDS,
        "Can not find Managed Identity with provided IdentityClientId : 00000000-0000-4000-8000-000000000001. For more information please see aka.ms/apimmsi.",
        "Key Vault reference",
        None,
    ),
    waits(
        404,
        "ResourceNotFound",
        "Operation not found.",
        "",
        "operation",
        None,
    ),
    waits(
        404,
        "ResourceNotFound",
        "The Resource 'Microsoft.ApiManagement/service/x' under resource group 'y' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        "",
        "resource",
        Some("Microsoft.ApiManagement/service/x"),
    ),
    waits(
        404,
        "ResourceGroupNotFound",
        "Resource group 'y' could not be found.",
        "",
        "resource group",
        Some("y"),
    ),
    waits(
        404,
        "AuthorizationGatewayNotFoundException",
        "Not found",
        "",
        "what the request is for",
        None,
    ),
    seen(
        405,
        "",
        "The requested resource does not support http method 'GET'.",
        "",
        Class::Invalid,
    ),
    seen(408, "", "", "", Class::Transient),
    seen(
        409,
        "PessimisticConcurrencyConflict",
        "Operation on the API is in progress",
        "",
        Class::Transient,
    ),
    seen(
        409,
        "Conflict",
        "Another operation is in progress.",
        "",
        Class::Transient,
    ),
    seen(
        409,
        "Conflict",
        "Link already exists between specified Product and Api",
        "",
        Class::Conflict,
    ),
    seen(
        409,
        "IdentifierAlreadyInUse",
        "Resource already exists.",
        "",
        Class::Conflict,
    ),
    seen(
        409,
        "ServiceAlreadyExistsInSoftDeletedState",
        "Api service x was soft-deleted.",
        "",
        Class::Denied,
    ),
    seen(
        412,
        "PreconditionFailed",
        "Resource was modified since last retrieval.",
        "",
        Class::Conflict,
    ),
    seen(
        412,
        "ValidationError",
        "Resource was modified since last retrieval. Please retrieve latest version.",
        "",
        Class::Conflict,
    ),
    seen(
        422,
        "ManagementApiRequestFailed",
        "Failed to connect to management endpoint x.management.azure-api.net:3443 for a service deployed in a Virtual Network.",
        "",
        Class::Transient,
    ),
    seen(
        422,
        "ManagementApiRequestFailed",
        "Management API request timed out.",
        "Timeout",
        Class::Transient,
    ),
    seen(422, "Other", "Nobody knows", "", Class::Invalid),
    seen(
        429,
        "SubscriptionRequestsThrottled",
        "Number of 'read' requests for subscription actor 'x' exceeded. Please try again after '1' seconds after additional tokens are available.",
        "",
        THROTTLED,
    ),
    seen(429, "TooManyRequests", "", "", THROTTLED),
    seen(429, "", "the answer has no body", "", THROTTLED),
    seen(500, "InternalServerError", "", "", Class::Transient),
    seen(502, "", "", "", Class::Transient),
    seen(503, "", "the answer has no body", "", Class::Transient),
    seen(410, "Gone", "", "", Class::Invalid),
    later(
        "InternalServerError",
        "DeadOperationMonitor",
        Class::Transient,
    ),
    later("ValidationError", FIELDS, Class::Invalid),
    later("AuthorizationFailed", "no", Class::Denied),
    later(
        "PreconditionFailed",
        "Resource was modified",
        Class::Conflict,
    ),
    later("MethodNotAllowedInPricingTier", "no", Class::Invalid),
    later("", "", Class::Transient),
];

#[test]
fn every_answer_has_the_class_that_was_written_down_for_it() {
    for row in ROWS {
        let details = [ErrorDetail {
            code: "ValidationError".into(),
            target: "representation".into(),
            message: row.detail.into(),
        }];
        let details = if row.detail.is_empty() {
            &[][..]
        } else {
            &details[..]
        };
        let verdict = classify(
            row.status,
            row.code,
            row.message,
            details,
            Some(Duration::from_secs(7)),
        );
        let expected = Verdict {
            class: row.class,
            missing: row.missing.map(|(kind, name)| Missing {
                kind,
                name: name.map(str::to_owned),
            }),
        };
        assert_eq!(
            verdict, expected,
            "{:?} {} {} {}",
            row.status, row.code, row.message, row.detail
        );
    }
}

#[test]
fn throttling_without_a_time_waits_for_a_while() {
    assert_eq!(
        classify(Some(429), "", "", &[], None).class,
        Class::Throttled(DEFAULT_RETRY_AFTER)
    );
}

#[test]
fn every_row_of_the_table_is_needed() {
    // A row that no answer above reaches is a row that nobody tested.
    let mut reached = vec![false; TABLE.len()];
    for row in ROWS {
        let status = row
            .status
            .or((row.code == "ValidationError").then_some(400));
        let texts = [row.message, row.detail];
        let hit = TABLE
            .iter()
            .position(|entry| entry.matches(status, row.code, &texts).is_some());
        reached[hit.unwrap()] = true;
    }
    let unreached: Vec<usize> = (0..TABLE.len()).filter(|at| !reached[*at]).collect();
    // Codes that only a late failure brings without a status of its own.
    let unreached: Vec<_> = unreached
        .into_iter()
        .map(|at| (TABLE[at].status, TABLE[at].code, TABLE[at].text))
        .collect();
    assert_eq!(
        unreached,
        [
            (None, Some("LinkedAuthorizationFailed"), None),
            (Some((422, 422)), None, Some("timed out")),
            (None, Some("ValidationError"), None),
            (None, Some("TooManyRequests"), None)
        ]
    );
}
