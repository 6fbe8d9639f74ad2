//! The field constraints of api-version 2024-05-01 for the kinds that are
//! simulated, as the published ARM specification states them: one table per
//! contract, inherited fields included.
//!
//! Where the specification is silent about the values of an array (protocols,
//! bearer token sending methods), the values of its enumerations are used.

use super::contract::{ANY, Contract, Kind, one_of, optional, read_only, required, text};

pub(super) static API_CREATE_OR_UPDATE_PROPERTIES: Contract = Contract {
    name: "ApiCreateOrUpdateProperties",
    fields: &[
        optional("description", text(0, ANY)),
        optional("authenticationSettings", Kind::Nested(&AUTHENTICATION_SETTINGS_CONTRACT)),
        optional("subscriptionKeyParameterNames", Kind::Nested(&SUBSCRIPTION_KEY_PARAMETER_NAMES_CONTRACT)),
        optional("type", one_of(&["http", "soap", "websocket", "graphql", "odata", "grpc"])),
        optional("apiRevision", text(1, 100)),
        optional("apiVersion", text(0, 100)),
        optional("isCurrent", Kind::Flag),
        read_only("isOnline", Kind::Flag),
        optional("apiRevisionDescription", text(0, 256)),
        optional("apiVersionDescription", text(0, 256)),
        optional("apiVersionSetId", text(0, ANY)),
        optional("subscriptionRequired", Kind::Flag),
        optional("termsOfServiceUrl", text(0, ANY)),
        optional("contact", Kind::Nested(&API_CONTACT_INFORMATION)),
        optional("license", Kind::Nested(&API_LICENSE_INFORMATION)),
        optional("sourceApiId", text(0, ANY)),
        optional("displayName", text(1, 300)),
        optional("serviceUrl", text(0, 2000)),
        required("path", text(0, 400)),
        optional("protocols", Kind::Texts { max_items: 1000, one_of: &["http", "https", "ws", "wss"] }),
        optional("apiVersionSet", Kind::Nested(&API_VERSION_SET_CONTRACT_DETAILS)),
        read_only("provisioningState", text(0, ANY)),
        optional("value", text(0, ANY)),
        optional("format", one_of(&["wadl-xml", "wadl-link-json", "swagger-json", "swagger-link-json", "wsdl", "wsdl-link", "openapi", "openapi+json", "openapi-link", "openapi+json-link", "graphql-link", "odata", "odata-link", "grpc", "grpc-link"])),
        optional("wsdlSelector", Kind::Free),
        optional("apiType", one_of(&["http", "soap", "websocket", "graphql", "odata", "grpc"])),
        optional("translateRequiredQueryParameters", one_of(&["template", "query"])),
        // Not in the published contract, yet in every answer of the service.
        optional("backendId", text(0, ANY)),
    ],
};

pub(super) static API_CONTRACT_UPDATE_PROPERTIES: Contract = Contract {
    name: "ApiContractUpdateProperties",
    fields: &[
        optional("description", text(0, ANY)),
        optional("authenticationSettings", Kind::Nested(&AUTHENTICATION_SETTINGS_CONTRACT)),
        optional("subscriptionKeyParameterNames", Kind::Nested(&SUBSCRIPTION_KEY_PARAMETER_NAMES_CONTRACT)),
        optional("type", one_of(&["http", "soap", "websocket", "graphql", "odata", "grpc"])),
        optional("apiRevision", text(1, 100)),
        optional("apiVersion", text(0, 100)),
        optional("isCurrent", Kind::Flag),
        read_only("isOnline", Kind::Flag),
        optional("apiRevisionDescription", text(0, 256)),
        optional("apiVersionDescription", text(0, 256)),
        optional("apiVersionSetId", text(0, ANY)),
        optional("subscriptionRequired", Kind::Flag),
        optional("termsOfServiceUrl", text(0, ANY)),
        optional("contact", Kind::Nested(&API_CONTACT_INFORMATION)),
        optional("license", Kind::Nested(&API_LICENSE_INFORMATION)),
        optional("displayName", text(1, 300)),
        optional("serviceUrl", text(1, 2000)),
        optional("path", text(0, 400)),
        optional("protocols", Kind::Texts { max_items: 1000, one_of: &["http", "https", "ws", "wss"] }),
        // Not in the published contract, yet in every answer of the service.
        optional("backendId", text(0, ANY)),
    ],
};

pub(super) static OPERATION_CONTRACT_PROPERTIES: Contract = Contract {
    name: "OperationContractProperties",
    fields: &[
        optional("templateParameters", Kind::List { of: &PARAMETER_CONTRACT, min_items: 0, max_items: 10000 }),
        optional("description", text(0, 1000)),
        optional("request", Kind::Nested(&REQUEST_CONTRACT)),
        optional("responses", Kind::List { of: &RESPONSE_CONTRACT, min_items: 0, max_items: 10000 }),
        optional("policies", text(0, ANY)),
        required("displayName", text(1, 300)),
        required("method", text(0, ANY)),
        required("urlTemplate", text(1, 1000)),
    ],
};

pub(super) static OPERATION_UPDATE_CONTRACT_PROPERTIES: Contract = Contract {
    name: "OperationUpdateContractProperties",
    fields: &[
        optional("templateParameters", Kind::List { of: &PARAMETER_CONTRACT, min_items: 0, max_items: 10000 }),
        optional("description", text(0, 1000)),
        optional("request", Kind::Nested(&REQUEST_CONTRACT)),
        optional("responses", Kind::List { of: &RESPONSE_CONTRACT, min_items: 0, max_items: 10000 }),
        optional("policies", text(0, ANY)),
        optional("displayName", text(1, 300)),
        optional("method", text(0, ANY)),
        optional("urlTemplate", text(1, 1000)),
    ],
};

pub(super) static SCHEMA_CONTRACT_PROPERTIES: Contract = Contract {
    name: "SchemaContractProperties",
    fields: &[
        required("contentType", text(0, ANY)),
        required("document", Kind::Nested(&SCHEMA_DOCUMENT_PROPERTIES)),
        read_only("provisioningState", text(0, ANY)),
    ],
};

pub(super) static CERTIFICATE_CREATE_OR_UPDATE_PROPERTIES: Contract = Contract {
    name: "CertificateCreateOrUpdateProperties",
    fields: &[
        optional("data", text(0, ANY)),
        optional("password", text(0, ANY)),
        optional("keyVault", Kind::Nested(&KEY_VAULT_CONTRACT_CREATE_PROPERTIES)),
    ],
};

pub(super) static GLOBAL_SCHEMA_CONTRACT_PROPERTIES: Contract = Contract {
    name: "GlobalSchemaContractProperties",
    fields: &[
        required("schemaType", one_of(&["xml", "json"])),
        optional("description", text(0, ANY)),
        optional("value", Kind::Free),
        optional("document", Kind::Free),
        read_only("provisioningState", text(0, ANY)),
    ],
};

pub(super) static PRODUCT_CONTRACT_PROPERTIES: Contract = Contract {
    name: "ProductContractProperties",
    fields: &[
        optional("description", text(0, 1000)),
        optional("terms", text(0, ANY)),
        optional("subscriptionRequired", Kind::Flag),
        optional("approvalRequired", Kind::Flag),
        optional("subscriptionsLimit", Kind::Number { min: 0, max: i32::MAX as i64 }),
        optional("state", one_of(&["notPublished", "published"])),
        required("displayName", text(1, 300)),
    ],
};

pub(super) static PRODUCT_UPDATE_PROPERTIES: Contract = Contract {
    name: "ProductUpdateProperties",
    fields: &[
        optional("description", text(0, 1000)),
        optional("terms", text(0, ANY)),
        optional("subscriptionRequired", Kind::Flag),
        optional("approvalRequired", Kind::Flag),
        optional("subscriptionsLimit", Kind::Number { min: 0, max: i32::MAX as i64 }),
        optional("state", one_of(&["notPublished", "published"])),
        optional("displayName", text(1, 300)),
    ],
};

const SUBSCRIPTION_STATES: &[&str] = &["suspended", "active", "expired", "submitted", "rejected", "cancelled"];

pub(super) static SUBSCRIPTION_CREATE_PARAMETER_PROPERTIES: Contract = Contract {
    name: "SubscriptionCreateParameterProperties",
    fields: &[
        optional("ownerId", text(0, ANY)),
        required("scope", text(0, ANY)),
        required("displayName", text(1, 100)),
        optional("primaryKey", text(1, 256)),
        optional("secondaryKey", text(1, 256)),
        optional("state", one_of(SUBSCRIPTION_STATES)),
        optional("allowTracing", Kind::Flag),
    ],
};

pub(super) static SUBSCRIPTION_UPDATE_PARAMETER_PROPERTIES: Contract = Contract {
    name: "SubscriptionUpdateParameterProperties",
    fields: &[
        optional("ownerId", text(0, ANY)),
        optional("scope", text(0, ANY)),
        optional("expirationDate", text(0, ANY)),
        optional("displayName", text(0, ANY)),
        optional("primaryKey", text(1, 256)),
        optional("secondaryKey", text(1, 256)),
        optional("state", one_of(SUBSCRIPTION_STATES)),
        optional("stateComment", text(0, ANY)),
        optional("allowTracing", Kind::Flag),
    ],
};

pub(super) static GROUP_CREATE_PARAMETERS_PROPERTIES: Contract = Contract {
    name: "GroupCreateParametersProperties",
    fields: &[
        required("displayName", text(1, 300)),
        optional("description", text(0, ANY)),
        optional("type", one_of(&["custom", "system", "external"])),
        optional("externalId", text(0, ANY)),
    ],
};

pub(super) static GATEWAY_CONTRACT_PROPERTIES: Contract = Contract {
    name: "GatewayContractProperties",
    fields: &[
        optional("locationData", Kind::Nested(&RESOURCE_LOCATION_DATA_CONTRACT)),
        optional("description", text(0, 1000)),
    ],
};

static RESOURCE_LOCATION_DATA_CONTRACT: Contract = Contract {
    name: "ResourceLocationDataContract",
    fields: &[
        required("name", text(0, 256)),
        optional("city", text(0, 256)),
        optional("district", text(0, 256)),
        optional("countryOrRegion", text(0, 256)),
    ],
};

pub(super) static GATEWAY_TOKEN_REQUEST_CONTRACT: Contract = Contract {
    name: "GatewayTokenRequestContract",
    fields: &[
        required("keyType", one_of(&["primary", "secondary"])),
        required("expiry", text(0, ANY)),
    ],
};

pub(super) static GATEWAY_KEY_REGENERATION_REQUEST_CONTRACT: Contract = Contract {
    name: "GatewayKeyRegenerationRequestContract",
    fields: &[required("keyType", one_of(&["primary", "secondary"]))],
};

pub(super) static ASSOCIATION_CONTRACT_PROPERTIES: Contract = Contract {
    name: "AssociationContractProperties",
    fields: &[optional("provisioningState", one_of(&["created"]))],
};

pub(super) static POLICY_CONTRACT_PROPERTIES: Contract = Contract {
    name: "PolicyContractProperties",
    fields: &[
        required("value", text(0, ANY)),
        optional("format", one_of(&["xml", "xml-link", "rawxml", "rawxml-link"])),
    ],
};

pub(super) static POLICY_FRAGMENT_CONTRACT_PROPERTIES: Contract = Contract {
    name: "PolicyFragmentContractProperties",
    fields: &[
        required("value", text(0, ANY)),
        optional("description", text(0, 1000)),
        optional("format", one_of(&["xml", "rawxml"])),
        read_only("provisioningState", text(0, ANY)),
    ],
};

pub(super) static BACKEND_CONTRACT_PROPERTIES: Contract = Contract {
    name: "BackendContractProperties",
    fields: &[
        optional("title", text(1, 300)),
        optional("description", text(1, 2000)),
        optional("resourceId", text(1, 2000)),
        optional("properties", Kind::Nested(&BACKEND_PROPERTIES)),
        optional("credentials", Kind::Nested(&BACKEND_CREDENTIALS_CONTRACT)),
        optional("proxy", Kind::Nested(&BACKEND_PROXY_CONTRACT)),
        optional("tls", Kind::Nested(&BACKEND_TLS_PROPERTIES)),
        optional("circuitBreaker", Kind::Nested(&BACKEND_CIRCUIT_BREAKER)),
        optional("pool", Kind::Nested(&BACKEND_POOL)),
        optional("type", one_of(&["Single", "Pool"])),
        required("url", text(1, 2000)),
        required("protocol", one_of(&["http", "soap"])),
    ],
};

pub(super) static BACKEND_UPDATE_PARAMETER_PROPERTIES: Contract = Contract {
    name: "BackendUpdateParameterProperties",
    fields: &[
        optional("title", text(1, 300)),
        optional("description", text(1, 2000)),
        optional("resourceId", text(1, 2000)),
        optional("properties", Kind::Nested(&BACKEND_PROPERTIES)),
        optional("credentials", Kind::Nested(&BACKEND_CREDENTIALS_CONTRACT)),
        optional("proxy", Kind::Nested(&BACKEND_PROXY_CONTRACT)),
        optional("tls", Kind::Nested(&BACKEND_TLS_PROPERTIES)),
        optional("circuitBreaker", Kind::Nested(&BACKEND_CIRCUIT_BREAKER)),
        optional("pool", Kind::Nested(&BACKEND_POOL)),
        optional("type", one_of(&["Single", "Pool"])),
        optional("url", text(1, 2000)),
        optional("protocol", one_of(&["http", "soap"])),
    ],
};

pub(super) static NAMED_VALUE_CREATE_CONTRACT_PROPERTIES: Contract = Contract {
    name: "NamedValueCreateContractProperties",
    fields: &[
        optional("tags", Kind::Texts { max_items: 32, one_of: &[] }),
        optional("secret", Kind::Flag),
        required("displayName", Kind::Text { min: 1, max: 256, pattern: Some("^[A-Za-z0-9-._]+$"), one_of: &[] }),
        optional("value", text(0, 4096)),
        optional("keyVault", Kind::Nested(&KEY_VAULT_CONTRACT_CREATE_PROPERTIES)),
        // Not in the published contract, yet in every answer of the service.
        read_only("provisioningState", text(0, ANY)),
    ],
};

pub(super) static NAMED_VALUE_UPDATE_PARAMETER_PROPERTIES: Contract = Contract {
    name: "NamedValueUpdateParameterProperties",
    fields: &[
        optional("tags", Kind::Texts { max_items: 32, one_of: &[] }),
        optional("secret", Kind::Flag),
        optional("displayName", Kind::Text { min: 1, max: 256, pattern: Some("^[A-Za-z0-9-._]+$"), one_of: &[] }),
        optional("value", text(1, 4096)),
        optional("keyVault", Kind::Nested(&KEY_VAULT_CONTRACT_CREATE_PROPERTIES)),
    ],
};

pub(super) static OPENID_CONNECT_PROVIDER_CONTRACT_PROPERTIES: Contract = Contract {
    name: "OpenidConnectProviderContractProperties",
    fields: &[
        required("displayName", text(0, 50)),
        optional("description", text(0, ANY)),
        required("metadataEndpoint", text(0, ANY)),
        required("clientId", text(0, ANY)),
        optional("clientSecret", text(0, ANY)),
        optional("useInTestConsole", Kind::Flag),
        optional("useInApiDocumentation", Kind::Flag),
    ],
};

pub(super) static OPENID_CONNECT_PROVIDER_UPDATE_CONTRACT_PROPERTIES: Contract = Contract {
    name: "OpenidConnectProviderUpdateContractProperties",
    fields: &[
        optional("displayName", text(0, 50)),
        optional("description", text(0, ANY)),
        optional("metadataEndpoint", text(0, ANY)),
        optional("clientId", text(0, ANY)),
        optional("clientSecret", text(0, ANY)),
        optional("useInTestConsole", Kind::Flag),
        optional("useInApiDocumentation", Kind::Flag),
    ],
};

static AUTHENTICATION_SETTINGS_CONTRACT: Contract = Contract {
    name: "AuthenticationSettingsContract",
    fields: &[
        optional("oAuth2", Kind::Nested(&OAUTH2_AUTHENTICATION_SETTINGS_CONTRACT)),
        optional("openid", Kind::Nested(&OPEN_ID_AUTHENTICATION_SETTINGS_CONTRACT)),
        optional("oAuth2AuthenticationSettings", Kind::List { of: &OAUTH2_AUTHENTICATION_SETTINGS_CONTRACT, min_items: 0, max_items: 10000 }),
        optional("openidAuthenticationSettings", Kind::List { of: &OPEN_ID_AUTHENTICATION_SETTINGS_CONTRACT, min_items: 0, max_items: 10000 }),
    ],
};

static SUBSCRIPTION_KEY_PARAMETER_NAMES_CONTRACT: Contract = Contract {
    name: "SubscriptionKeyParameterNamesContract",
    fields: &[
        optional("header", text(0, ANY)),
        optional("query", text(0, ANY)),
    ],
};

static API_CONTACT_INFORMATION: Contract = Contract {
    name: "ApiContactInformation",
    fields: &[
        optional("name", text(0, ANY)),
        optional("url", text(0, ANY)),
        optional("email", text(0, ANY)),
    ],
};

static API_LICENSE_INFORMATION: Contract = Contract {
    name: "ApiLicenseInformation",
    fields: &[
        optional("name", text(0, ANY)),
        optional("url", text(0, ANY)),
    ],
};

pub(super) static API_VERSION_SET_CONTRACT_PROPERTIES: Contract = Contract {
    name: "ApiVersionSetContractProperties",
    fields: &[
        required("displayName", text(1, 100)),
        required("versioningScheme", one_of(&["Segment", "Query", "Header"])),
        optional("description", text(0, ANY)),
        optional("versionQueryName", text(1, 100)),
        optional("versionHeaderName", text(1, 100)),
    ],
};

pub(super) static API_VERSION_SET_UPDATE_PARAMETERS_PROPERTIES: Contract = Contract {
    name: "ApiVersionSetUpdateParametersProperties",
    fields: &[
        optional("displayName", text(1, 100)),
        optional("versioningScheme", one_of(&["Segment", "Query", "Header"])),
        optional("description", text(0, ANY)),
        optional("versionQueryName", text(1, 100)),
        optional("versionHeaderName", text(1, 100)),
    ],
};

static API_VERSION_SET_CONTRACT_DETAILS: Contract = Contract {
    name: "ApiVersionSetContractDetails",
    fields: &[
        optional("id", text(0, ANY)),
        optional("name", text(0, ANY)),
        optional("description", text(0, ANY)),
        optional("versioningScheme", one_of(&["Segment", "Query", "Header"])),
        optional("versionQueryName", text(0, ANY)),
        optional("versionHeaderName", text(0, ANY)),
    ],
};

static PARAMETER_CONTRACT: Contract = Contract {
    name: "ParameterContract",
    fields: &[
        required("name", text(0, ANY)),
        optional("description", text(0, ANY)),
        required("type", text(0, ANY)),
        optional("defaultValue", text(0, ANY)),
        optional("required", Kind::Flag),
        optional("values", Kind::Texts { max_items: 1000, one_of: &[] }),
        optional("schemaId", text(0, ANY)),
        optional("typeName", text(0, ANY)),
        optional("examples", Kind::Free),
    ],
};

static REQUEST_CONTRACT: Contract = Contract {
    name: "RequestContract",
    fields: &[
        optional("description", text(0, ANY)),
        optional("queryParameters", Kind::List { of: &PARAMETER_CONTRACT, min_items: 0, max_items: 10000 }),
        optional("headers", Kind::List { of: &PARAMETER_CONTRACT, min_items: 0, max_items: 10000 }),
        optional("representations", Kind::List { of: &REPRESENTATION_CONTRACT, min_items: 0, max_items: 10000 }),
    ],
};

static RESPONSE_CONTRACT: Contract = Contract {
    name: "ResponseContract",
    fields: &[
        required("statusCode", Kind::Number { min: i64::MIN, max: i64::MAX }),
        optional("description", text(0, ANY)),
        optional("representations", Kind::List { of: &REPRESENTATION_CONTRACT, min_items: 0, max_items: 10000 }),
        optional("headers", Kind::List { of: &PARAMETER_CONTRACT, min_items: 0, max_items: 10000 }),
    ],
};

static SCHEMA_DOCUMENT_PROPERTIES: Contract = Contract {
    name: "SchemaDocumentProperties",
    fields: &[
        optional("value", text(0, ANY)),
        optional("definitions", Kind::Free),
        optional("components", Kind::Free),
    ],
};

static BACKEND_PROPERTIES: Contract = Contract {
    name: "BackendProperties",
    fields: &[
        optional("serviceFabricCluster", Kind::Nested(&BACKEND_SERVICE_FABRIC_CLUSTER_PROPERTIES)),
    ],
};

static BACKEND_CREDENTIALS_CONTRACT: Contract = Contract {
    name: "BackendCredentialsContract",
    fields: &[
        optional("certificateIds", Kind::Texts { max_items: 32, one_of: &[] }),
        optional("certificate", Kind::Texts { max_items: 32, one_of: &[] }),
        optional("query", Kind::Free),
        optional("header", Kind::Free),
        optional("authorization", Kind::Nested(&BACKEND_AUTHORIZATION_HEADER_CREDENTIALS)),
    ],
};

static BACKEND_PROXY_CONTRACT: Contract = Contract {
    name: "BackendProxyContract",
    fields: &[
        required("url", text(1, 2000)),
        optional("username", text(0, ANY)),
        optional("password", text(0, ANY)),
    ],
};

static BACKEND_TLS_PROPERTIES: Contract = Contract {
    name: "BackendTlsProperties",
    fields: &[
        optional("validateCertificateChain", Kind::Flag),
        optional("validateCertificateName", Kind::Flag),
    ],
};

static BACKEND_CIRCUIT_BREAKER: Contract = Contract {
    name: "BackendCircuitBreaker",
    fields: &[
        optional("rules", Kind::List { of: &CIRCUIT_BREAKER_RULE, min_items: 0, max_items: 15 }),
    ],
};

static BACKEND_POOL: Contract = Contract {
    name: "BackendPool",
    fields: &[
        optional("services", Kind::List { of: &BACKEND_POOL_ITEM, min_items: 1, max_items: 10000 }),
    ],
};

static KEY_VAULT_CONTRACT_CREATE_PROPERTIES: Contract = Contract {
    name: "KeyVaultContractCreateProperties",
    fields: &[
        optional("secretIdentifier", text(0, ANY)),
        optional("identityClientId", text(0, ANY)),
    ],
};

static OAUTH2_AUTHENTICATION_SETTINGS_CONTRACT: Contract = Contract {
    name: "OAuth2AuthenticationSettingsContract",
    fields: &[
        optional("authorizationServerId", text(0, ANY)),
        optional("scope", text(0, ANY)),
    ],
};

static OPEN_ID_AUTHENTICATION_SETTINGS_CONTRACT: Contract = Contract {
    name: "OpenIdAuthenticationSettingsContract",
    fields: &[
        optional("openidProviderId", text(0, ANY)),
        optional("bearerTokenSendingMethods", Kind::Texts { max_items: 1000, one_of: &["authorizationHeader", "query"] }),
    ],
};

static REPRESENTATION_CONTRACT: Contract = Contract {
    name: "RepresentationContract",
    fields: &[
        required("contentType", text(0, ANY)),
        optional("schemaId", text(0, ANY)),
        optional("typeName", text(0, ANY)),
        optional("formParameters", Kind::List { of: &PARAMETER_CONTRACT, min_items: 0, max_items: 10000 }),
        optional("examples", Kind::Free),
    ],
};

static BACKEND_SERVICE_FABRIC_CLUSTER_PROPERTIES: Contract = Contract {
    name: "BackendServiceFabricClusterProperties",
    fields: &[
        optional("clientCertificateId", text(0, ANY)),
        optional("clientCertificatethumbprint", text(0, ANY)),
        optional("maxPartitionResolutionRetries", Kind::Number { min: i64::MIN, max: i64::MAX }),
        required("managementEndpoints", Kind::Texts { max_items: 1000, one_of: &[] }),
        optional("serverCertificateThumbprints", Kind::Texts { max_items: 1000, one_of: &[] }),
        optional("serverX509Names", Kind::List { of: &X509_CERTIFICATE_NAME, min_items: 0, max_items: 10000 }),
    ],
};

static BACKEND_AUTHORIZATION_HEADER_CREDENTIALS: Contract = Contract {
    name: "BackendAuthorizationHeaderCredentials",
    fields: &[
        required("scheme", text(1, 100)),
        required("parameter", text(1, 300)),
    ],
};

static CIRCUIT_BREAKER_RULE: Contract = Contract {
    name: "CircuitBreakerRule",
    fields: &[
        optional("name", text(0, ANY)),
        optional("failureCondition", Kind::Nested(&CIRCUIT_BREAKER_FAILURE_CONDITION)),
        optional("tripDuration", text(0, ANY)),
        optional("acceptRetryAfter", Kind::Flag),
    ],
};

static BACKEND_POOL_ITEM: Contract = Contract {
    name: "BackendPoolItem",
    fields: &[
        required("id", text(0, ANY)),
        optional("weight", Kind::Number { min: 0, max: 100 }),
        optional("priority", Kind::Number { min: 0, max: 100 }),
    ],
};

static X509_CERTIFICATE_NAME: Contract = Contract {
    name: "X509CertificateName",
    fields: &[
        optional("name", text(0, ANY)),
        optional("issuerCertificateThumbprint", text(0, ANY)),
    ],
};

static CIRCUIT_BREAKER_FAILURE_CONDITION: Contract = Contract {
    name: "CircuitBreakerFailureCondition",
    fields: &[
        optional("count", Kind::Number { min: i64::MIN, max: i64::MAX }),
        optional("percentage", Kind::Number { min: i64::MIN, max: i64::MAX }),
        optional("interval", text(0, ANY)),
        optional("statusCodeRanges", Kind::List { of: &FAILURE_STATUS_CODE_RANGE, min_items: 0, max_items: 10 }),
        optional("errorReasons", Kind::Texts { max_items: 10, one_of: &[] }),
    ],
};

static FAILURE_STATUS_CODE_RANGE: Contract = Contract {
    name: "FailureStatusCodeRange",
    fields: &[
        optional("min", Kind::Number { min: 200, max: 599 }),
        optional("max", Kind::Number { min: 200, max: 599 }),
    ],
};

pub(super) static TAG_CONTRACT_PROPERTIES: Contract = Contract {
    name: "TagContractProperties",
    fields: &[required("displayName", text(1, 160))],
};

pub(super) static DOCUMENTATION_CONTRACT_PROPERTIES: Contract = Contract {
    name: "DocumentationContractProperties",
    fields: &[
        optional("title", text(0, ANY)),
        optional("content", text(0, ANY)),
    ],
};

pub(super) static WIKI_CONTRACT_PROPERTIES: Contract = Contract {
    name: "WikiContractProperties",
    fields: &[
        optional("documents", Kind::List { of: &WIKI_DOCUMENTATION_CONTRACT, min_items: 0, max_items: 10000 }),
    ],
};

pub(super) static WIKI_DOCUMENTATION_CONTRACT: Contract = Contract {
    name: "WikiDocumentationContract",
    fields: &[
        optional("documentationId", text(0, ANY)),
    ],
};

pub(super) static API_RELEASE_CONTRACT_PROPERTIES: Contract = Contract {
    name: "ApiReleaseContractProperties",
    fields: &[
        optional("apiId", text(0, ANY)),
        read_only("createdDateTime", text(0, ANY)),
        read_only("updatedDateTime", text(0, ANY)),
        optional("notes", text(0, ANY)),
    ],
};

pub(super) static DIAGNOSTIC_CONTRACT_PROPERTIES: Contract = Contract {
    name: "DiagnosticContractProperties",
    fields: &[
        optional("alwaysLog", one_of(&["allErrors"])),
        required("loggerId", text(0, ANY)),
        optional("sampling", Kind::Nested(&SAMPLING_SETTINGS)),
        optional("frontend", Kind::Nested(&PIPELINE_DIAGNOSTIC_SETTINGS)),
        optional("backend", Kind::Nested(&PIPELINE_DIAGNOSTIC_SETTINGS)),
        optional("logClientIp", Kind::Flag),
        optional("httpCorrelationProtocol", one_of(&["None", "Legacy", "W3C"])),
        optional("verbosity", one_of(&["verbose", "information", "error"])),
        optional("operationNameFormat", one_of(&["Name", "Url"])),
        optional("metrics", Kind::Flag),
    ],
};

pub(super) static DIAGNOSTIC_CONTRACT_UPDATE_PROPERTIES: Contract = Contract {
    name: "DiagnosticContractUpdateProperties",
    fields: &[
        optional("alwaysLog", one_of(&["allErrors"])),
        optional("loggerId", text(0, ANY)),
        optional("sampling", Kind::Nested(&SAMPLING_SETTINGS)),
        optional("frontend", Kind::Nested(&PIPELINE_DIAGNOSTIC_SETTINGS)),
        optional("backend", Kind::Nested(&PIPELINE_DIAGNOSTIC_SETTINGS)),
        optional("logClientIp", Kind::Flag),
        optional("httpCorrelationProtocol", one_of(&["None", "Legacy", "W3C"])),
        optional("verbosity", one_of(&["verbose", "information", "error"])),
        optional("operationNameFormat", one_of(&["Name", "Url"])),
        optional("metrics", Kind::Flag),
    ],
};

static SAMPLING_SETTINGS: Contract = Contract {
    name: "SamplingSettings",
    fields: &[
        optional("samplingType", one_of(&["fixed"])),
        // A number with a fraction, from 0 to 100: looked at by itself.
        optional("percentage", Kind::Free),
    ],
};

static PIPELINE_DIAGNOSTIC_SETTINGS: Contract = Contract {
    name: "PipelineDiagnosticSettings",
    fields: &[
        optional("request", Kind::Nested(&HTTP_MESSAGE_DIAGNOSTIC)),
        optional("response", Kind::Nested(&HTTP_MESSAGE_DIAGNOSTIC)),
    ],
};

static HTTP_MESSAGE_DIAGNOSTIC: Contract = Contract {
    name: "HttpMessageDiagnostic",
    fields: &[
        optional("headers", Kind::Texts { max_items: 1000, one_of: &[] }),
        optional("body", Kind::Nested(&BODY_DIAGNOSTIC_SETTINGS)),
        optional("dataMasking", Kind::Nested(&DATA_MASKING)),
    ],
};

static BODY_DIAGNOSTIC_SETTINGS: Contract = Contract {
    name: "BodyDiagnosticSettings",
    fields: &[optional("bytes", Kind::Number { min: 0, max: 8192 })],
};

static DATA_MASKING: Contract = Contract {
    name: "DataMasking",
    fields: &[
        optional("queryParams", Kind::List { of: &DATA_MASKING_ENTITY, min_items: 0, max_items: 1000 }),
        optional("headers", Kind::List { of: &DATA_MASKING_ENTITY, min_items: 0, max_items: 1000 }),
    ],
};

static DATA_MASKING_ENTITY: Contract = Contract {
    name: "DataMaskingEntity",
    fields: &[optional("value", text(0, ANY)), optional("mode", one_of(&["Mask", "Hide"]))],
};

pub(super) static AUTHORIZATION_SERVER_CONTRACT_PROPERTIES: Contract = Contract {
    name: "AuthorizationServerContractProperties",
    fields: &[
        optional("description", text(0, ANY)),
        optional("authorizationMethods", Kind::Texts { max_items: 1000, one_of: &["HEAD", "OPTIONS", "TRACE", "GET", "POST", "PUT", "PATCH", "DELETE"] }),
        optional("clientAuthenticationMethod", Kind::Texts { max_items: 1000, one_of: &["Basic", "Body"] }),
        optional("tokenBodyParameters", Kind::Free),
        optional("tokenEndpoint", text(0, ANY)),
        optional("supportState", Kind::Flag),
        optional("defaultScope", text(0, ANY)),
        optional("bearerTokenSendingMethods", Kind::Texts { max_items: 1000, one_of: &["authorizationHeader", "query"] }),
        optional("resourceOwnerUsername", text(0, ANY)),
        optional("resourceOwnerPassword", text(0, ANY)),
        required("displayName", text(1, 50)),
        optional("useInTestConsole", Kind::Flag),
        optional("useInApiDocumentation", Kind::Flag),
        required("clientRegistrationEndpoint", text(0, ANY)),
        required("authorizationEndpoint", text(0, ANY)),
        required("grantTypes", Kind::Texts { max_items: 1000, one_of: &["authorizationCode", "implicit", "resourceOwnerPassword", "clientCredentials"] }),
        required("clientId", text(0, ANY)),
        optional("clientSecret", text(0, ANY)),
    ],
};

pub(super) static AUTHORIZATION_SERVER_UPDATE_CONTRACT_PROPERTIES: Contract = Contract {
    name: "AuthorizationServerUpdateContractProperties",
    fields: &[
        optional("description", text(0, ANY)),
        optional("authorizationMethods", Kind::Texts { max_items: 1000, one_of: &["HEAD", "OPTIONS", "TRACE", "GET", "POST", "PUT", "PATCH", "DELETE"] }),
        optional("clientAuthenticationMethod", Kind::Texts { max_items: 1000, one_of: &["Basic", "Body"] }),
        optional("tokenBodyParameters", Kind::Free),
        optional("tokenEndpoint", text(0, ANY)),
        optional("supportState", Kind::Flag),
        optional("defaultScope", text(0, ANY)),
        optional("bearerTokenSendingMethods", Kind::Texts { max_items: 1000, one_of: &["authorizationHeader", "query"] }),
        optional("resourceOwnerUsername", text(0, ANY)),
        optional("resourceOwnerPassword", text(0, ANY)),
        optional("displayName", text(1, 50)),
        optional("useInTestConsole", Kind::Flag),
        optional("useInApiDocumentation", Kind::Flag),
        optional("clientRegistrationEndpoint", text(0, ANY)),
        optional("authorizationEndpoint", text(0, ANY)),
        optional("grantTypes", Kind::Texts { max_items: 1000, one_of: &["authorizationCode", "implicit", "resourceOwnerPassword", "clientCredentials"] }),
        optional("clientId", text(0, ANY)),
        optional("clientSecret", text(0, ANY)),
    ],
};
