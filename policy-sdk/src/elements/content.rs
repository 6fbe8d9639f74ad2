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
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement =
    ///     SetHeader::new("X-Team").exists_action(ExistsAction::Skip).value("catalog".at("/team"));
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<set-header name="X-Team" exists-action="skip">
    ///   <value>catalog</value>
    /// </set-header>
    /// "#
    /// );
    /// ```
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
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = SetQueryParameter::new("debug").exists_action(ExistsAction::Delete);
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<set-query-parameter name="debug" exists-action="delete" />"#.to_owned() + "\n"
    /// );
    /// ```
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
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = SetVariable::new("user", Expression::new("context.User?.Id"));
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<set-variable name="user" value="@(context.User?.Id)" />"#.to_owned() + "\n"
    /// );
    /// ```
    SetVariable = "set-variable" in [Inbound, Backend, Outbound, OnError]
    (name: Fixed<str> => "name", value: str => "value")
    {}
}

statement! {
    /// Sets the status of the response.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = SetStatus::new(404_u32, "Not Found");
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<set-status code="404" reason="Not Found" />"#.to_owned() + "\n"
    /// );
    /// ```
    SetStatus = "set-status" in [Inbound, Backend, Outbound, OnError]
    (code: u32 => "code", reason: str => "reason")
    {}
}

statement! {
    /// Sends the request to another backend.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = SetBackendService::new().base_url("https://orders.example.com/v2");
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<set-backend-service base-url="https://orders.example.com/v2" />"#.to_owned() + "\n"
    /// );
    /// ```
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
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = RewriteUri::new("/v2/items/{id}").copy_unmatched_params(false);
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<rewrite-uri template="/v2/items/{id}" copy-unmatched-params="false" />"#.to_owned() + "\n"
    /// );
    /// ```
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
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = IncludeFragment::new("common");
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<include-fragment fragment-id="common" />"#.to_owned() + "\n"
    /// );
    /// ```
    IncludeFragment = "include-fragment" in [Inbound, Backend, Outbound, OnError]
    (fragment_id: Fixed<str> => "fragment-id")
    {}
}

statement! {
    /// Answers with an example from the API's document.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = MockResponse::new().status_code(200_u32).content_type("application/json");
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<mock-response status-code="200" content-type="application/json" />"#.to_owned() + "\n"
    /// );
    /// ```
    MockResponse = "mock-response" in [Inbound, Outbound, OnError]
    ()
    {
        /// The status of the answer.
        status_code: Fixed<u32> => "status-code",
        /// The media type of the answer.
        content_type: Fixed<str> => "content-type",
        /// Which of several examples is taken, from 0.
        index: Fixed<u32> => "index",
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
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = Trace::new("catalog", TraceSeverity::Information).message("started");
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<trace source="catalog" severity="information">
    ///   <message>started</message>
    /// </trace>
    /// "#
    /// );
    /// ```
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
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = SetBody::new("<none & nothing>");
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<set-body>&lt;none &amp; nothing></set-body>"#.to_owned() + "\n"
    /// );
    /// ```
    SetBody = "set-body" in [Inbound, Backend, Outbound, OnError]
}

text_statement! {
    /// Sets the method of the request.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = SetMethod::new("POST");
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<set-method>POST</set-method>"#.to_owned() + "\n"
    /// );
    /// ```
    SetMethod = "set-method" in [Inbound, Backend, Outbound, OnError]
}
