//! The policies: one file each, and one line in the table below.

mod authentication_basic;
mod authentication_certificate;
mod authentication_managed_identity;
mod cache_lookup;
mod cache_store;
mod cache_value;
mod check_header;
mod choose;
mod content;
mod cors;
mod counting;
mod forward_request;
mod include_fragment;
mod ip_filter;
mod mock_response;
mod not_executed;
mod quota;
mod quota_by_key;
mod rate_limit;
mod rate_limit_by_key;
mod retry;
mod return_response;
mod rewrite_uri;
mod send_request;
mod set_backend_service;
mod set_body;
mod set_header;
mod set_method;
mod set_query_parameter;
mod set_status;
mod set_variable;
mod token_rules;
mod trace_policy;
mod validate_azure_ad_token;
mod validate_client_certificate;
mod validate_content;
mod validate_jwt;
mod validate_parameters;
mod validation;

pub(crate) use cors::is_preflight;
pub(crate) use counting::{Count, count_afterwards};
pub(crate) use not_executed::Broken;

use crate::compile::{CompileError, Compiler};
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;
use policy_document::Element;

/// What follows a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// The next one.
    Continue,
    /// The response is complete: nothing else runs.
    Respond,
    /// The response came from the cache: the backend is left out.
    Cached,
}

/// A policy, ready to run.
#[async_trait]
pub(crate) trait Policy: Send + Sync {
    /// Does what the policy does.
    async fn run(&self, exchange: &mut Exchange) -> Result<Flow, PolicyError>;

    /// Itself where it is `cors`, which answers preflights.
    fn cors(&self) -> Option<&cors::Cors> {
        None
    }
}

type Compile = fn(&Element, &mut Compiler<'_>) -> Result<Box<dyn Policy>, CompileError>;

/// Every policy that is executed.
#[rustfmt::skip]
const POLICIES: &[(&str, Compile)] = &[
    ("authentication-basic", authentication_basic::compile),
    ("authentication-certificate", authentication_certificate::compile),
    ("authentication-managed-identity", authentication_managed_identity::compile),
    ("cache-lookup", cache_lookup::compile),
    ("cache-lookup-value", cache_value::compile_lookup),
    ("cache-remove-value", cache_value::compile_remove),
    ("cache-store", cache_store::compile),
    ("cache-store-value", cache_value::compile_store),
    ("check-header", check_header::compile),
    ("choose", choose::compile),
    ("cors", cors::compile),
    ("forward-request", forward_request::compile),
    ("include-fragment", include_fragment::compile),
    ("ip-filter", ip_filter::compile),
    ("mock-response", mock_response::compile),
    ("quota", quota::compile),
    ("quota-by-key", quota_by_key::compile),
    ("rate-limit", rate_limit::compile),
    ("rate-limit-by-key", rate_limit_by_key::compile),
    ("retry", retry::compile),
    ("return-response", return_response::compile),
    ("rewrite-uri", rewrite_uri::compile),
    ("send-request", send_request::compile),
    ("set-backend-service", set_backend_service::compile),
    ("set-body", set_body::compile),
    ("set-header", set_header::compile),
    ("set-method", set_method::compile),
    ("set-query-parameter", set_query_parameter::compile),
    ("set-status", set_status::compile),
    ("set-variable", set_variable::compile),
    ("trace", trace_policy::compile),
    ("validate-azure-ad-token", validate_azure_ad_token::compile),
    ("validate-client-certificate", validate_client_certificate::compile),
    ("validate-content", validate_content::compile),
    ("validate-jwt", validate_jwt::compile),
    ("validate-parameters", validate_parameters::compile),
];

/// The names of the policies that are executed.
pub fn executed() -> impl Iterator<Item = &'static str> {
    POLICIES.iter().map(|(name, _)| *name)
}

/// Compiles one policy; what is not in the table answers 501 when a request
/// comes to it.
pub(crate) fn compile(
    element: &Element,
    compiler: &mut Compiler<'_>,
) -> Result<Box<dyn Policy>, CompileError> {
    match POLICIES.iter().find(|(name, _)| *name == element.name) {
        Some((_, compile)) => compile(element, compiler),
        None => Ok(not_executed::stand_in(&element.name, compiler)),
    }
}
