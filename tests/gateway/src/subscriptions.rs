//! Who may call an API: subscription keys, and products without them.

use crate::configuration::SubscriptionScope;
use crate::error::PolicyError;
use crate::exchange::Exchange;
use crate::target::parameters;

/// Whether a request may go on.
pub(crate) enum Access {
    /// It may.
    Granted {
        /// Whose key was sent.
        subscription: Option<usize>,
        /// The product whose policies hold.
        product: Option<usize>,
    },
    /// It may not.
    Denied(PolicyError),
}

const MISSING: &str = "Access denied due to missing subscription key. Make sure to include subscription key when making requests to this API.";
const INVALID: &str = "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription.";

/// Decides by the documented order: a valid key opens what its scope says; else
/// an open product that holds the API; else an API that needs no key.
pub(crate) fn admit(exchange: &Exchange) -> Access {
    let Some(api) = exchange.api() else {
        return Access::Granted {
            subscription: None,
            product: None,
        };
    };
    let configuration = &exchange.service.configuration;
    let holds = |product: &crate::configuration::Product| {
        product.published
            && product
                .apis
                .iter()
                .any(|id| id.eq_ignore_ascii_case(&api.id))
    };
    // The header comes before the query parameter (documented).
    let key = exchange.request_header(&api.key_header).or_else(|| {
        parameters(&exchange.target.query)
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(&api.key_query))
            .map(|(_, value)| value)
    });
    if let Some(place) = key.as_deref().and_then(|key| exchange.service.key(key)) {
        let subscription = &configuration.subscriptions[place];
        let granted = match &subscription.scope {
            _ if !subscription.active => None,
            SubscriptionScope::AllApis => Some(None),
            SubscriptionScope::Api(id) => id.eq_ignore_ascii_case(&api.id).then_some(None),
            SubscriptionScope::Product(id) => configuration
                .products
                .iter()
                .position(|product| product.id.eq_ignore_ascii_case(id) && holds(product))
                .map(Some),
        };
        if let Some(product) = granted {
            return Access::Granted {
                subscription: Some(place),
                product,
            };
        }
    }
    let open = configuration
        .products
        .iter()
        .position(|product| !product.subscription_required && holds(product));
    if open.is_some() || !api.subscription_required {
        return Access::Granted {
            subscription: None,
            product: open,
        };
    }
    let (reason, message) = match key {
        None => ("SubscriptionKeyNotFound", MISSING),
        Some(_) => ("SubscriptionKeyInvalid", INVALID),
    };
    let host = &exchange.context.request.original_url;
    // Inferred from answers that were seen; the realm is the API's address.
    let challenge = format!(
        "AzureApiManagementKey realm=\"{}://{}/{}\",name=\"{}\",type=\"header\"",
        host.scheme,
        host.host,
        api.path.trim_matches('/'),
        api.key_header
    );
    Access::Denied(
        PolicyError::told(401, reason, message)
            .with_header("WWW-Authenticate", challenge)
            .said_by("authorization"),
    )
}
