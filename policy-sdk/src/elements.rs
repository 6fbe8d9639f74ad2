//! Policy statements, typed: a wrong attribute, a value of the wrong kind or a
//! statement in a section that does not take it do not compile.
//!
//! What has no type of its own is made with [`Element`]. The operator checks
//! every element and attribute either way.

mod access;
mod backend;
mod content;
mod flow;
mod token;
mod traffic;
mod validation;

pub use access::{CertificateIdentity, CheckHeader, Cors, IpFilter, ValidateClientCertificate};
pub use backend::{AuthenticationCertificate, AuthenticationManagedIdentity};
pub use content::{
    ExistsAction, IncludeFragment, MockResponse, RewriteUri, SetBackendService, SetBody, SetHeader,
    SetMethod, SetQueryParameter, SetStatus, SetVariable, Trace, TraceSeverity,
};
pub use flow::{Block, Choose, ForwardRequest, LimitConcurrency, Retry, ReturnResponse};
pub use token::{Claim, Match, SigningKey, ValidateAzureAdToken, ValidateJwt};
pub use traffic::{
    CacheLookup, CacheStore, CachingType, DownstreamCaching, Quota, QuotaByKey, RateLimit,
    RateLimitByKey,
};
pub use validation::{
    Content, ParameterGroup, ValidateAs, ValidateContent, ValidateParameters, ValidationAction,
};

use crate::{IntoValue, Value};

/// The section `inbound`, as a type.
#[derive(Debug)]
pub enum Inbound {}
/// The section `backend`, as a type.
#[derive(Debug)]
pub enum Backend {}
/// The section `outbound`, as a type.
#[derive(Debug)]
pub enum Outbound {}
/// The section `on-error`, as a type.
#[derive(Debug)]
pub enum OnError {}

/// A statement that API Management takes in the section `S`.
pub trait AllowedIn<S>: Into<Element> {}

/// The generic element: the operator, not the compiler, says where it may
/// stand.
impl<S> AllowedIn<S> for Element {}

/// What an [`Element`] can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A nested element.
    Element(Element),
    /// Text.
    Text(Value),
}

/// Any element.
///
/// ```
/// # use policy_sdk::prelude::*;
/// let statement = Element::new("log-to-eventhub")
///     .attribute("logger-id", "audit")
///     .text(Expression::new("context.RequestId.ToString()"));
/// assert_eq!(
///     policy_sdk::testing::element_text(statement),
///     "<log-to-eventhub logger-id=\"audit\">@(context.RequestId.ToString())</log-to-eventhub>\n"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, Value)>,
    pub(crate) children: Vec<Node>,
    pub(crate) pointer: Option<String>,
}

impl Element {
    /// An element without attributes or children.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            attributes: Vec::new(),
            children: Vec::new(),
            pointer: None,
        }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// Adds an attribute of a known kind.
    pub(crate) fn set<T: ?Sized>(self, name: &str, value: impl IntoValue<T>) -> Self {
        self.attribute(name, value.into_value())
    }

    /// Adds a child.
    #[must_use]
    pub fn child(mut self, child: impl Into<Self>) -> Self {
        self.children.push(Node::Element(child.into()));
        self
    }

    /// Adds children.
    #[must_use]
    pub fn children<C: Into<Self>>(mut self, children: impl IntoIterator<Item = C>) -> Self {
        self.children.extend(
            children
                .into_iter()
                .map(|child| Node::Element(child.into())),
        );
        self
    }

    /// Adds text.
    #[must_use]
    pub fn text(mut self, text: impl Into<Value>) -> Self {
        self.children.push(Node::Text(text.into()));
        self
    }

    /// Adds text of a known kind.
    pub(crate) fn put<T: ?Sized>(self, text: impl IntoValue<T>) -> Self {
        self.text(text.into_value())
    }

    /// Names the config value this was made from: errors name it too.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }
}

/// `<list><item>…</item>…</list>`, the shape of most lists in policies.
fn list<V: IntoValue<str>>(name: &str, item: &str, values: impl IntoIterator<Item = V>) -> Element {
    Element::new(name).children(
        values
            .into_iter()
            .map(|value| Element::new(item).put(value)),
    )
}

/// Declares a statement: its name, the sections that take it, the attributes
/// it needs (arguments of `new`) and those it may have (methods).
macro_rules! statement {
    (
        $(#[$doc:meta])*
        $type:ident = $element:literal in [$($section:ident),*]
        ($($required:ident: $kind:ty => $attribute:literal),*)
        {$(
            $(#[$optional_doc:meta])*
            $optional:ident: $optional_kind:ty => $optional_attribute:literal
        ),* $(,)?}
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[must_use]
        pub struct $type($crate::elements::Element);

        impl $type {
            #[doc = concat!("A `<", $element, ">` with what it needs.")]
            #[allow(clippy::new_without_default, reason = "a default would be an odd policy")]
            pub fn new($($required: impl $crate::IntoValue<$kind>),*) -> Self {
                Self($crate::elements::Element::new($element)
                    $(.set($attribute, $required))*)
            }

            $(
                $(#[$optional_doc])*
                pub fn $optional(self, value: impl $crate::IntoValue<$optional_kind>) -> Self {
                    Self(self.0.set($optional_attribute, value))
                }
            )*

            /// Names the config value this was made from: errors name it too.
            pub fn at(self, pointer: impl Into<String>) -> Self {
                Self(self.0.at(pointer))
            }
        }

        impl From<$type> for $crate::elements::Element {
            fn from(statement: $type) -> Self {
                statement.0
            }
        }

        $(impl $crate::elements::AllowedIn<$crate::elements::$section> for $type {})*
    };
}
use statement;

/// Declares an enumeration of attribute values.
macro_rules! choice {
    (
        $(#[$doc:meta])*
        $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type {
            $($(#[$variant_doc])* $variant),*
        }

        impl $crate::IntoValue<Self> for $type {
            fn into_value(self) -> $crate::Value {
                $crate::Value::literal(match self {
                    $(Self::$variant => $text),*
                })
            }
        }

        impl $crate::At for $type {}
    };
}
use choice;
