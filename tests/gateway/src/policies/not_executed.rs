//! What stands for a policy that is not executed, and for a document that
//! cannot be.

use super::{Flow, Policy};
use crate::compile::Compiler;
use crate::error::PolicyError;
use crate::exchange::Exchange;
use async_trait::async_trait;

struct NotExecuted(String);

/// Answers 501 and names what is missing. It is noted, so that whoever writes
/// the document learns it first.
pub(super) fn stand_in(what: &str, compiler: &mut Compiler<'_>) -> Box<dyn Policy> {
    compiler.note_not_executed(what);
    Box::new(NotExecuted(what.to_owned()))
}

#[async_trait]
impl Policy for NotExecuted {
    async fn run(&self, _: &mut Exchange) -> Result<Flow, PolicyError> {
        let message = format!(
            "The local gateway does not execute the policy '{}'.",
            self.0
        );
        Err(PolicyError::told(501, "PolicyNotExecuted", message))
    }
}

/// A document that cannot be executed: nothing passes.
pub(crate) struct Broken(pub(crate) String);

#[async_trait]
impl Policy for Broken {
    async fn run(&self, _: &mut Exchange) -> Result<Flow, PolicyError> {
        Err(PolicyError::internal(
            "PolicyDocumentInvalid",
            self.0.clone(),
        ))
    }
}
