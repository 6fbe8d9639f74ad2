//! Lambdas and local functions.

use std::sync::Arc;

use super::{Checker, Typed};
use crate::error::{Position, Refusal};
use crate::evaluate::{Code, Function, FunctionBody, Op};
use crate::syntax::{Body, LocalFunction, Node, NodeKind};
use crate::types::Type;

impl Checker {
    /// A lambda where a type is wanted.
    pub(super) fn lambda_as(&mut self, node: &Node, kind: &Type) -> Result<Typed, Refusal> {
        let Type::Function(parameters, result) = kind else {
            return Err(Refusal::new(
                node.at,
                format!(
                    "Cannot convert lambda expression to type '{kind}' because it is not a delegate type"
                ),
            ));
        };
        let (code, _) = self.lambda(node, parameters, Some(result))?;
        Ok(Typed {
            code,
            kind: kind.clone(),
        })
    }

    /// A lambda of parameters of these types; its result is as wanted, or found.
    pub(super) fn lambda(
        &mut self,
        node: &Node,
        kinds: &[Type],
        result: Option<&Type>,
    ) -> Result<(Code, Type), Refusal> {
        let NodeKind::Lambda(parameters, body) = &node.kind else {
            return Err(Refusal::new(node.at, "A lambda expression is expected"));
        };
        if parameters.len() != kinds.len() {
            return Err(Refusal::new(
                node.at,
                format!("Delegate does not take {} arguments", parameters.len()),
            ));
        }
        for (parameter, kind) in parameters.iter().zip(kinds) {
            if let Some(written) = &parameter.kind
                && Self::resolve(written)? != *kind
            {
                return Err(Refusal::new(
                    written.at,
                    format!("The parameter '{}' is of type '{kind}'", parameter.name),
                ));
            }
        }
        let names: Vec<Arc<str>> = parameters.iter().map(|one| one.name.clone()).collect();
        self.function(node.at, &names, kinds, body, result)
    }

    /// A local function; its name is declared already.
    pub(super) fn local_function(
        &mut self,
        at: Position,
        function: &LocalFunction,
    ) -> Result<Code, Refusal> {
        let Type::Function(kinds, result) = Self::function_type(function)? else {
            return Err(Refusal::new(at, "A function is expected"));
        };
        let names: Vec<Arc<str>> = function
            .parameters
            .iter()
            .map(|one| one.name.clone())
            .collect();
        let (code, _) = self.function(at, &names, &kinds, &function.body, Some(&result))?;
        Ok(code)
    }

    pub(super) fn function_type(function: &LocalFunction) -> Result<Type, Refusal> {
        let mut kinds = Vec::new();
        for parameter in &function.parameters {
            if let Some(kind) = &parameter.kind {
                kinds.push(Self::resolve(kind)?);
            }
        }
        let result = Self::resolve(&function.result)?;
        Ok(Type::Function(kinds.into(), Arc::new(result)))
    }

    fn function(
        &mut self,
        at: Position,
        names: &[Arc<str>],
        kinds: &[Type],
        body: &Body,
        result: Option<&Type>,
    ) -> Result<(Code, Type), Refusal> {
        self.scope.enter_function(result.cloned());
        let receivers = std::mem::take(&mut self.receivers);
        let checked = self.function_body(at, names, kinds, body, result);
        self.receivers = receivers;
        let scope = self.scope.leave_function();
        let (body, found) = checked?;
        let (shared, captured, _) = scope.into_parts();
        let function = Function {
            parameters: names.len(),
            shared,
            body,
        };
        let op = Op::Closure(Arc::new(function), captured);
        Ok((Code { at, op }, found))
    }

    fn function_body(
        &mut self,
        at: Position,
        names: &[Arc<str>],
        kinds: &[Type],
        body: &Body,
        result: Option<&Type>,
    ) -> Result<(FunctionBody, Type), Refusal> {
        for (name, kind) in names.iter().zip(kinds) {
            // `_` twice is two parameters without a name.
            if &**name == "_" && self.scope.find("_").is_some() {
                self.temporary(at)?;
                continue;
            }
            self.declare(at, name, kind.clone(), true)?;
        }
        match body {
            Body::Expression(node) => match result {
                Some(Type::Void) => {
                    let typed = self.expression(node)?;
                    Ok((FunctionBody::Expression(typed.code), Type::Void))
                }
                Some(kind) => {
                    let code = self.value_for(node, kind)?;
                    Ok((FunctionBody::Expression(code), kind.clone()))
                }
                None => {
                    let typed = self.value(node)?;
                    Ok((FunctionBody::Expression(typed.code), typed.kind))
                }
            },
            Body::Block(statements) => {
                let (block, ends) = self.block(statements)?;
                let returned = std::mem::take(&mut self.scope.function_mut().returned);
                let found = match result {
                    Some(kind) => kind.clone(),
                    None => match returned.split_first() {
                        None => Type::Void,
                        Some((first, rest)) => {
                            if rest.iter().any(|kind| kind != first) {
                                return Err(Refusal::new(
                                    at,
                                    "A lambda expression whose returns are of several types is not known here",
                                ));
                            }
                            first.clone()
                        }
                    },
                };
                if !ends && found != Type::Void {
                    return Err(Refusal::new(at, "Not all code paths return a value"));
                }
                Ok((FunctionBody::Block(block), found))
            }
        }
    }
}
