//! Whether a message is what the API's document says.

use super::{Element, choice, statement};
use crate::{AllowsCode, Fixed, IntoValue};

choice! {
    /// What happens to a message that is not as it should be.
    ValidationAction {
        /// It is not looked at.
        Ignore = "ignore",
        /// It is refused.
        Prevent = "prevent",
        /// It passes, and the errors go to a variable.
        Detect = "detect",
    }
}

impl AllowsCode for ValidationAction {}

choice! {
    /// The language of a body.
    ValidateAs {
        /// JSON.
        Json = "json",
        /// XML.
        Xml = "xml",
        /// XML in a SOAP envelope.
        Soap = "soap",
    }
}

/// How bodies of one media type are validated.
///
/// See [`ValidateContent`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Content(Element);

impl Content {
    /// Validates bodies in this language.
    pub fn new(validate_as: ValidateAs, action: impl IntoValue<ValidationAction>) -> Self {
        Self(
            Element::new("content")
                .set::<ValidateAs>("validate-as", validate_as)
                .set("action", action),
        )
    }

    /// The media type; without it, every one that the document names.
    pub fn media_type(self, media_type: impl IntoValue<Fixed<str>>) -> Self {
        Self(self.0.set("type", media_type))
    }

    /// A schema of the instance, by its id; without it, what the API's document
    /// says.
    pub fn schema_id(self, id: impl IntoValue<Fixed<str>>) -> Self {
        Self(self.0.set("schema-id", id))
    }

    /// Whether properties that the schema does not name may be there,
    /// whatever the schema says of that.
    pub fn allow_additional_properties(self, allow: impl IntoValue<Fixed<bool>>) -> Self {
        Self(self.0.set("allow-additional-properties", allow))
    }

    /// Names the config value this was made from: errors name it too.
    pub fn at(self, pointer: impl Into<String>) -> Self {
        Self(self.0.at(pointer))
    }
}

impl From<Content> for Element {
    fn from(content: Content) -> Self {
        content.0
    }
}

statement! {
    /// Validates bodies: of requests in `inbound`, of responses elsewhere.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement =
    ///     ValidateContent::new(ValidationAction::Prevent, 102_400_u32, ValidationAction::Prevent)
    ///         .content(Content::new(ValidateAs::Json, ValidationAction::Detect).media_type("application/json"));
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<validate-content unspecified-content-type-action="prevent" max-size="102400" size-exceeded-action="prevent">
    ///   <content validate-as="json" action="detect" type="application/json" />
    /// </validate-content>
    /// "#
    /// );
    /// ```
    ValidateContent = "validate-content" in [Inbound, Outbound, OnError]
    (unspecified: ValidationAction => "unspecified-content-type-action",
     max_size: u32 => "max-size",
     size_exceeded: ValidationAction => "size-exceeded-action")
    {
        /// The variable that gets the errors.
        errors_variable: Fixed<str> => "errors-variable-name",
    }
}

impl ValidateContent {
    /// Validates bodies as this says; the first that fits counts.
    pub fn content(self, content: Content) -> Self {
        Self(self.0.child(content))
    }
}

/// What happens to the parameters in one place of the request.
///
/// See [`ValidateParameters`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct ParameterGroup(Element);

impl ParameterGroup {
    /// The headers.
    pub fn headers(
        specified: impl IntoValue<ValidationAction>,
        unspecified: impl IntoValue<ValidationAction>,
    ) -> Self {
        Self(
            Element::new("headers")
                .set("specified-parameter-action", specified)
                .set("unspecified-parameter-action", unspecified),
        )
    }

    /// The query.
    pub fn query(
        specified: impl IntoValue<ValidationAction>,
        unspecified: impl IntoValue<ValidationAction>,
    ) -> Self {
        Self(
            Element::new("query")
                .set("specified-parameter-action", specified)
                .set("unspecified-parameter-action", unspecified),
        )
    }

    /// The path, all of whose parameters are specified.
    pub fn path(specified: impl IntoValue<ValidationAction>) -> Self {
        Self(Element::new("path").set("specified-parameter-action", specified))
    }

    /// What happens to one of them.
    pub fn parameter(
        self,
        name: impl IntoValue<Fixed<str>>,
        action: impl IntoValue<ValidationAction>,
    ) -> Self {
        Self(
            self.0.child(
                Element::new("parameter")
                    .set("name", name)
                    .set("action", action),
            ),
        )
    }
}

impl From<ParameterGroup> for Element {
    fn from(group: ParameterGroup) -> Self {
        group.0
    }
}

statement! {
    /// Validates the parameters of a request: headers, query and path, in
    /// that order. Once per section.
    ///
    /// ```
    /// # use policy_sdk::prelude::*;
    /// let statement = ValidateParameters::new(ValidationAction::Prevent, ValidationAction::Ignore)
    ///     .group(ParameterGroup::headers(ValidationAction::Prevent, ValidationAction::Ignore)
    ///         .parameter("User-Agent", ValidationAction::Ignore));
    /// assert_eq!(
    ///     policy_sdk::testing::element_text(statement),
    ///     r#"<validate-parameters specified-parameter-action="prevent" unspecified-parameter-action="ignore">
    ///   <headers specified-parameter-action="prevent" unspecified-parameter-action="ignore">
    ///     <parameter name="User-Agent" action="ignore" />
    ///   </headers>
    /// </validate-parameters>
    /// "#
    /// );
    /// ```
    ValidateParameters = "validate-parameters" in [Inbound]
    (specified: ValidationAction => "specified-parameter-action",
     unspecified: ValidationAction => "unspecified-parameter-action")
    {
        /// The variable that gets the errors.
        errors_variable: Fixed<str> => "errors-variable-name",
    }
}

impl ValidateParameters {
    /// What happens to parameters in one place.
    pub fn group(self, group: ParameterGroup) -> Self {
        Self(self.0.child(group))
    }
}
