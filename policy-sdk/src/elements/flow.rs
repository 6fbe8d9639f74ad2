//! Which statements run, and when.

use std::marker::PhantomData;

use super::{
    AllowedIn, Backend, Element, Inbound, OnError, Outbound, SetBody, SetHeader, SetStatus,
    statement,
};
use crate::{Fixed, IntoValue};

/// Statements for the section `S`.
///
/// ```
/// # use policy_sdk::prelude::*;
/// let block: Block<Outbound> = Block::of(SetStatus::new(200_u32, "OK")).then(SetBody::new("done"));
/// let statement = Choose::when(true, block);
/// assert_eq!(
///     policy_sdk::testing::element_text(statement),
///     r#"<choose>
///   <when condition="true">
///     <set-status code="200" reason="OK" />
///     <set-body>done</set-body>
///   </when>
/// </choose>
/// "#
/// );
/// ```
#[derive(Debug)]
#[must_use]
pub struct Block<S> {
    statements: Vec<Element>,
    section: PhantomData<S>,
}

impl<S> Block<S> {
    /// A block with one statement.
    pub fn of(statement: impl AllowedIn<S>) -> Self {
        Self {
            statements: vec![statement.into()],
            section: PhantomData,
        }
    }

    /// One more statement.
    pub fn then(mut self, statement: impl AllowedIn<S>) -> Self {
        self.statements.push(statement.into());
        self
    }
}

/// Runs the first block whose condition holds.
///
/// ```
/// # use policy_sdk::prelude::*;
/// let statement = Choose::<Inbound>::when(
///     Expression::new("context.Request.Method == \"TRACE\""),
///     Block::of(ReturnResponse::new(SetStatus::new(405_u32, "Method Not Allowed"))),
/// )
/// .otherwise(Block::of(SetHeader::new("x-seen").value("1")));
/// assert_eq!(
///     policy_sdk::testing::element_text(statement),
///     r#"<choose>
///   <when condition="@(context.Request.Method == "TRACE")">
///     <return-response>
///       <set-status code="405" reason="Method Not Allowed" />
///     </return-response>
///   </when>
///   <otherwise>
///     <set-header name="x-seen">
///       <value>1</value>
///     </set-header>
///   </otherwise>
/// </choose>
/// "#
/// );
/// ```
#[derive(Debug)]
#[must_use]
pub struct Choose<S> {
    element: Element,
    section: PhantomData<S>,
}

impl<S> Choose<S> {
    /// The first condition, and what runs if it holds.
    pub fn when(condition: impl IntoValue<bool>, block: Block<S>) -> Self {
        Self {
            element: Element::new("choose"),
            section: PhantomData,
        }
        .or_when(condition, block)
    }

    /// What runs if no earlier condition holds and this one does.
    pub fn or_when(mut self, condition: impl IntoValue<bool>, block: Block<S>) -> Self {
        self.element = self.element.child(
            Element::new("when")
                .set("condition", condition)
                .children(block.statements),
        );
        self
    }

    /// What runs if no condition holds.
    pub fn otherwise(self, block: Block<S>) -> Otherwise<S> {
        Otherwise(Self {
            element: self
                .element
                .child(Element::new("otherwise").children(block.statements)),
            section: PhantomData,
        })
    }
}

/// A [`Choose`] that is complete.
#[derive(Debug)]
#[must_use]
pub struct Otherwise<S>(Choose<S>);

impl<S> From<Choose<S>> for Element {
    fn from(choose: Choose<S>) -> Self {
        choose.element
    }
}

impl<S> From<Otherwise<S>> for Element {
    fn from(choose: Otherwise<S>) -> Self {
        choose.0.element
    }
}

impl<S> AllowedIn<S> for Choose<S> {}
impl<S> AllowedIn<S> for Otherwise<S> {}

/// Ends the processing with a response of its own.
///
/// ```
/// # use policy_sdk::prelude::*;
/// let statement = ReturnResponse::new(SetStatus::new(410_u32, "Gone"))
///     .header(SetHeader::new("x-gone").value("1"))
///     .body(SetBody::new("gone"));
/// assert_eq!(
///     policy_sdk::testing::element_text(statement),
///     r#"<return-response>
///   <set-status code="410" reason="Gone" />
///   <set-header name="x-gone">
///     <value>1</value>
///   </set-header>
///   <set-body>gone</set-body>
/// </return-response>
/// "#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct ReturnResponse {
    status: Element,
    headers: Vec<Element>,
    body: Option<Element>,
}

impl ReturnResponse {
    /// A response with this status.
    pub fn new(status: SetStatus) -> Self {
        Self {
            status: status.into(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Adds a header.
    pub fn header(mut self, header: SetHeader) -> Self {
        self.headers.push(header.into());
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: SetBody) -> Self {
        self.body = Some(body.into());
        self
    }
}

impl From<ReturnResponse> for Element {
    fn from(response: ReturnResponse) -> Self {
        Self::new("return-response")
            .child(response.status)
            .children(response.headers)
            .children(response.body)
    }
}

impl AllowedIn<Inbound> for ReturnResponse {}
impl AllowedIn<Backend> for ReturnResponse {}
impl AllowedIn<Outbound> for ReturnResponse {}
impl AllowedIn<OnError> for ReturnResponse {}

statement! {
    /// Sends the request to the backend.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = ForwardRequest::new().timeout(30_u32);
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<forward-request timeout="30" />"#.to_owned() + "\n"
    /// );
    /// ```
    ForwardRequest = "forward-request" in [Backend]
    ()
    {
        /// Seconds to wait for the response.
        timeout: u32 => "timeout",
        /// Whether redirects are followed.
        follow_redirects: bool => "follow-redirects",
        /// Whether the request's body is kept, for a retry.
        buffer_request_body: Fixed<bool> => "buffer-request-body",
        /// Whether the response is kept until it is whole.
        buffer_response: Fixed<bool> => "buffer-response",
        /// Whether a status of 400 and above counts as an error.
        fail_on_error_status_code: Fixed<bool> => "fail-on-error-status-code",
    }
}

/// A statement that holds a block.
macro_rules! block_statement {
    (
        $(#[$doc:meta])*
        $type:ident = $element:literal
        ($($required:ident: $kind:ty => $attribute:literal),*)
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[must_use]
        pub struct $type<S>(Element, PhantomData<S>);

        impl<S> $type<S> {
            #[doc = concat!("A `<", $element, ">` around a block.")]
            pub fn new($($required: impl IntoValue<$kind>,)* block: Block<S>) -> Self {
                Self(
                    Element::new($element)
                        $(.set($attribute, $required))*
                        .children(block.statements),
                    PhantomData,
                )
            }
        }

        impl<S> From<$type<S>> for Element {
            fn from(statement: $type<S>) -> Self {
                statement.0
            }
        }

        impl<S> AllowedIn<S> for $type<S> {}
    };
}

block_statement! {
    /// Runs a block again while the condition holds, at most `count` times
    /// (1 to 50), `interval` seconds apart.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = Retry::new(
    ///     Expression::new("context.Response.StatusCode == 503"),
    ///     3_u32,
    ///     1_u32,
    ///     Block::of(ForwardRequest::new().buffer_request_body(true)),
    /// )
    /// .max_interval(10_u32);
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<retry condition="@(context.Response.StatusCode == 503)" count="3" interval="1" max-interval="10">
    ///   <forward-request buffer-request-body="true" />
    /// </retry>
    /// "#
    /// );
    /// ```
    Retry = "retry"
    (condition: bool => "condition", count: u32 => "count", interval: u32 => "interval")
}

impl<S> Retry<S> {
    /// The seconds by which each wait is longer than the one before; with
    /// [`max_interval`](Self::max_interval) they double.
    pub fn delta(self, seconds: impl IntoValue<u32>) -> Self {
        Self(self.0.set("delta", seconds), PhantomData)
    }

    /// The longest wait, in seconds.
    pub fn max_interval(self, seconds: impl IntoValue<u32>) -> Self {
        Self(self.0.set("max-interval", seconds), PhantomData)
    }

    /// Whether the first repetition follows at once.
    pub fn first_fast(self, first_fast: impl IntoValue<bool>) -> Self {
        Self(self.0.set("first-fast-retry", first_fast), PhantomData)
    }
}

block_statement! {
    /// Runs a block for at most `max_count` requests at a time, per key.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement: LimitConcurrency<Backend> =
    ///     LimitConcurrency::new("orders", 10_u32, Block::of(ForwardRequest::new()));
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<limit-concurrency key="orders" max-count="10">
    ///   <forward-request />
    /// </limit-concurrency>
    /// "#
    /// );
    /// ```
    LimitConcurrency = "limit-concurrency"
    (key: str => "key", max_count: Fixed<u32> => "max-count")
}
