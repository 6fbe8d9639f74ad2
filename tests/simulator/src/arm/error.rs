//! Errors as ARM and the resource provider word them.

use crate::http::Reply;
use serde_json::{Value, json};

/// One entry of an error's `details`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detail {
    pub(crate) target: String,
    pub(crate) message: String,
}

impl Detail {
    pub(crate) fn new(target: &str, message: &str) -> Self {
        Self {
            target: target.to_owned(),
            message: message.to_owned(),
        }
    }
}

/// A refusal. Those of ARM's front end have no `details` and say so by
/// `x-ms-failure-cause: gateway`; the others come from API Management.
#[derive(Debug, Clone)]
pub(crate) struct ArmError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) details: Vec<Detail>,
    gateway: bool,
    headers: Vec<(&'static str, String)>,
}

impl ArmError {
    /// An error of ARM's front end.
    pub(crate) fn gateway(status: u16, code: &str, message: String) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message,
            details: Vec::new(),
            gateway: true,
            headers: Vec::new(),
        }
    }

    /// An error of the resource provider.
    pub(crate) fn provider(status: u16, code: &str, message: &str) -> Self {
        Self {
            gateway: false,
            ..Self::gateway(status, code, message.to_owned())
        }
    }

    /// The 400 for fields that are wrong.
    pub(crate) fn validation(details: Vec<Detail>) -> Self {
        Self {
            details,
            ..Self::provider(
                400,
                "ValidationError",
                "One or more fields contain incorrect values:",
            )
        }
    }

    /// The 400 for one field that is wrong.
    pub(crate) fn invalid(target: &str, message: &str) -> Self {
        Self::validation(vec![Detail::new(target, message)])
    }

    /// The 404 for a child that does not exist, `what` as in `Api not found.`
    pub(crate) fn not_found(what: &str) -> Self {
        Self::provider(404, "ResourceNotFound", &format!("{what} not found."))
    }

    /// The 412 for an `If-Match` that does not match, and for a write during
    /// an import.
    pub(crate) fn modified() -> Self {
        Self::provider(
            412,
            "PreconditionFailed",
            "Resource was modified since last retrieval.",
        )
    }

    /// The 409 for a write to an API that is being written.
    pub(crate) fn busy() -> Self {
        Self::provider(
            409,
            "PessimisticConcurrencyConflict",
            "Operation on the API is in progress",
        )
    }

    /// What is known and not simulated.
    pub(crate) fn not_simulated(what: &str) -> Self {
        Self::provider(
            501,
            "NotSimulated",
            &format!("{what} exists in Azure but is not simulated here."),
        )
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The `error` object, also used as the error of an asynchronous operation.
    pub(crate) fn body(&self) -> Value {
        if self.gateway {
            return json!({ "code": self.code, "message": self.message });
        }
        let details: Option<Vec<Value>> = (!self.details.is_empty()).then(|| {
            self.details
                .iter()
                .map(|detail| {
                    json!({
                        "code": "ValidationError",
                        "target": detail.target,
                        "message": detail.message,
                    })
                })
                .collect()
        });
        json!({ "code": self.code, "message": self.message, "details": details, "innerError": null })
    }

    /// The answer to the client.
    pub(crate) fn reply(&self) -> Reply {
        let mut reply = Reply::json(self.status, &json!({ "error": self.body() }));
        if self.gateway {
            reply = reply.with("x-ms-failure-cause", "gateway");
        }
        for (name, value) in &self.headers {
            reply = reply.with(name, value.clone());
        }
        reply
    }
}

/// The answer to a method that a resource does not have.
pub(crate) fn method_not_allowed(method: &str, allowed: &str) -> Reply {
    Reply::json(
        405,
        &json!({ "Message": format!("The requested resource does not support http method '{method}'.") }),
    )
    .with("Allow", allowed)
}
