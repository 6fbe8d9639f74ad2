//! What is in a request, a response or the context.

use super::{AllowedIn, Backend, Element, Inbound, OnError, Outbound, choice, statement};
use crate::{AllowsCode, Fixed, IntoValue};

choice! {
    /// What happens to a header or parameter that is there already.
    ExistsAction {
        /// It gets the new value.
        Override = "override",
        /// It stays as it is.
        Skip = "skip",
        /// The new value is added.
        Append = "append",
        /// It is removed.
        Delete = "delete",
    }
}

statement! {
    /// Sets a header of the request (`inbound`, `backend`) or the response.
    SetHeader = "set-header" in [Inbound, Backend, Outbound, OnError]
    (name: str => "name")
    {
        /// What happens to a header that is there already; by default it is
        /// overridden.
        exists_action: ExistsAction => "exists-action",
    }
}

impl SetHeader {
    /// A value.
    pub fn value(self, value: impl IntoValue<str>) -> Self {
        Self(self.0.child(Element::new("value").put(value)))
    }
}

statement! {
    /// Sets a parameter of the request's query.
    SetQueryParameter = "set-query-parameter" in [Inbound, Backend, Outbound, OnError]
    (name: str => "name")
    {
        /// What happens to a parameter that is there already; by default it
        /// is overridden.
        exists_action: ExistsAction => "exists-action",
    }
}

impl SetQueryParameter {
    /// A value.
    pub fn value(self, value: impl IntoValue<str>) -> Self {
        Self(self.0.child(Element::new("value").put(value)))
    }
}

statement! {
    /// Sets a variable of the context.
    SetVariable = "set-variable" in [Inbound, Backend, Outbound, OnError]
    (name: Fixed<str> => "name", value: str => "value")
    {}
}

statement! {
    /// Sets the status of the response.
    SetStatus = "set-status" in [Inbound, Backend, Outbound, OnError]
    (code: u32 => "code", reason: str => "reason")
    {}
}

statement! {
    /// Sends the request to another backend.
    SetBackendService = "set-backend-service" in [Inbound, Backend, Outbound, OnError]
    ()
    {
        /// The URL of the backend.
        base_url: str => "base-url",
        /// The id of a backend of the instance, which must have been granted.
        backend_id: str => "backend-id",
    }
}

statement! {
    /// Rewrites the path below the backend's URL.
    RewriteUri = "rewrite-uri" in [Inbound]
    (template: str => "template")
    {
        /// Whether query parameters that the template does not name are kept.
        copy_unmatched_params: Fixed<bool> => "copy-unmatched-params",
    }
}

statement! {
    /// Includes a policy fragment of the instance, which must have been
    /// granted.
    IncludeFragment = "include-fragment" in [Inbound, Backend, Outbound, OnError]
    (fragment_id: Fixed<str> => "fragment-id")
    {}
}

statement! {
    /// Answers with an example from the API's document.
    MockResponse = "mock-response" in [Inbound, Outbound, OnError]
    ()
    {
        /// The status of the answer.
        status_code: Fixed<u32> => "status-code",
        /// The media type of the answer.
        content_type: Fixed<str> => "content-type",
    }
}

choice! {
    /// How important a trace is.
    TraceSeverity {
        /// Of use while debugging.
        Verbose = "verbose",
        /// Of use to whoever runs the API.
        Information = "information",
        /// Something failed.
        Error = "error",
    }
}

statement! {
    /// Writes to the gateway's trace.
    Trace = "trace" in [Inbound, Backend, Outbound, OnError]
    (source: Fixed<str> => "source", severity: TraceSeverity => "severity")
    {}
}

impl Trace {
    /// What is written.
    pub fn message(self, message: impl IntoValue<str>) -> Self {
        Self(self.0.child(Element::new("message").put(message)))
    }
}

impl AllowsCode for ExistsAction {}

macro_rules! text_statement {
    ($(#[$doc:meta])* $type:ident = $element:literal in [$($section:ident),*]) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[must_use]
        pub struct $type(Element);

        impl $type {
            #[doc = concat!("A `<", $element, ">` with this text.")]
            pub fn new(text: impl IntoValue<str>) -> Self {
                Self(Element::new($element).put(text))
            }
        }

        impl From<$type> for Element {
            fn from(statement: $type) -> Self {
                statement.0
            }
        }

        $(impl AllowedIn<$section> for $type {})*
    };
}

text_statement! {
    /// Sets the body of the request (`inbound`, `backend`) or the response.
    SetBody = "set-body" in [Inbound, Backend, Outbound, OnError]
}

text_statement! {
    /// Sets the method of the request.
    SetMethod = "set-method" in [Inbound, Backend, Outbound, OnError]
}
