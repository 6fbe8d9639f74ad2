//! Reads the attributes, text and children of a policy's element into types.

use super::{CompileError, Compiler, PolicyValue, Value};
use apim_expressions::Expression;
use policy_document::{Element, expression, replace_named_values};

/// One element with what is needed to read it. Named values are replaced as
/// text, in expressions too, as the service does it.
pub(crate) struct Reader<'e, 'c, 's> {
    /// The policy, which errors are about.
    policy: &'e Element,
    pub(crate) element: &'e Element,
    pub(crate) compiler: &'c mut Compiler<'s>,
}

impl<'e, 'c, 's> Reader<'e, 'c, 's> {
    pub(crate) fn new(element: &'e Element, compiler: &'c mut Compiler<'s>) -> Self {
        Self {
            policy: element,
            element,
            compiler,
        }
    }

    /// The same for a part of the policy.
    pub(crate) fn part<'r>(&'r mut self, element: &'e Element) -> Reader<'e, 'r, 's> {
        Reader {
            policy: self.policy,
            element,
            compiler: self.compiler,
        }
    }

    pub(crate) fn fail<T>(&self, message: impl Into<String>) -> Result<T, CompileError> {
        Err(CompileError::new(self.policy, message))
    }

    /// An attribute's text with named values replaced.
    pub(crate) fn text_of(&self, name: &str) -> Result<Option<String>, CompileError> {
        match self.element.attribute(name) {
            None => Ok(None),
            Some(text) => self.replaced(text).map(Some),
        }
    }

    fn replaced(&self, text: &str) -> Result<String, CompileError> {
        let values = &self.compiler.service.named_values;
        replace_named_values(text, |name| values.get(name).map(String::as_str)).map_err(|name| {
            CompileError::new(self.policy, format!("Cannot find a property '{name}'"))
        })
    }

    /// A literal or expression of an attribute.
    pub(crate) fn value<T: PolicyValue>(
        &self,
        name: &str,
    ) -> Result<Option<Value<T>>, CompileError> {
        let Some(text) = self.text_of(name)? else {
            return Ok(None);
        };
        self.parse(&text, &format!("The '{name}' attribute"))
            .map(Some)
    }

    pub(crate) fn required<T: PolicyValue>(&self, name: &str) -> Result<Value<T>, CompileError> {
        match self.value(name)? {
            Some(value) => Ok(value),
            None => self.fail(format!("The required attribute '{name}' is missing.")),
        }
    }

    /// An attribute that takes no expression.
    pub(crate) fn literal<T: PolicyValue>(&self, name: &str) -> Result<Option<T>, CompileError> {
        match self.value::<T>(name)? {
            None => Ok(None),
            Some(Value::Literal(value)) => Ok(Some(value)),
            Some(Value::Expression(_)) => self.fail(format!(
                "Policy expressions are not allowed in the '{name}' attribute."
            )),
        }
    }

    pub(crate) fn required_literal<T: PolicyValue>(&self, name: &str) -> Result<T, CompileError> {
        match self.literal(name)? {
            Some(value) => Ok(value),
            None => self.fail(format!("The required attribute '{name}' is missing.")),
        }
    }

    /// The element's own text, as a literal or expression.
    pub(crate) fn text<T: PolicyValue>(&self) -> Result<Value<T>, CompileError> {
        let text = self.replaced(&self.element.text())?;
        self.parse(&text, &format!("The '{}' element", self.element.name))
    }

    /// The texts of the children of one name.
    pub(crate) fn texts<T: PolicyValue>(
        &mut self,
        name: &str,
    ) -> Result<Vec<Value<T>>, CompileError> {
        let element = self.element;
        element
            .elements()
            .filter(|child| child.name == name)
            .map(|child| self.part(child).text())
            .collect()
    }

    /// The first child of a name.
    pub(crate) fn child(&self, name: &str) -> Option<&'e Element> {
        self.element.elements().find(|child| child.name == name)
    }

    /// `@@` at the beginning of a text stands for one `@`.
    fn parse<T: PolicyValue>(&self, text: &str, what: &str) -> Result<Value<T>, CompileError> {
        if expression::is_expression(text) {
            return match Expression::parse(text.trim()) {
                Ok(expression) => Ok(Value::Expression(Box::new(expression.into()))),
                Err(error) => self.fail(format!(
                    "{} (line {}, column {} of the expression)",
                    error.message, error.line, error.column
                )),
            };
        }
        let text = match text.trim_start().strip_prefix("@@") {
            Some(rest) => format!("@{rest}"),
            None => text.to_owned(),
        };
        match T::from_text(&text) {
            Some(value) => Ok(Value::Literal(value)),
            None => self.fail(format!(
                "{what} is invalid - The value '{text}' is not {}.",
                T::EXPECTED
            )),
        }
    }
}
