//! Calls: which of several members is meant, and what its type parameters are.

use std::sync::Arc;

use super::conversions::implicit;
use super::names::Found;
use super::{Checker, Typed};
use crate::error::{Position, Refusal};
use crate::evaluate::{Code, MemberCall, Op, Target, default_of};
use crate::members::{Class, Formal, as_base, registry, substitute};
use crate::syntax::{Argument, Node, NodeKind, Passing, SignatureKind};
use crate::types::Type;
use crate::value::Value;

/// An argument as far as it is known before the member is.
pub(super) struct Given<'a> {
    at: Position,
    name: Option<Arc<str>>,
    what: What<'a>,
}

enum What<'a> {
    Value(Typed),
    Lambda(&'a Node),
    /// `out`: a variable that there is, or a new one with its type if written.
    Out(&'a Node),
    OutNew(&'a Node, Option<Type>),
}

/// Type parameters with what they stand for.
type Bindings = Vec<(Arc<str>, Type)>;

/// A member that fits.
struct Fit {
    cost: u32,
    bindings: Bindings,
    /// For each parameter, which arguments it takes.
    plan: Vec<Vec<usize>>,
    expanded: bool,
}

impl Checker {
    /// `of(arguments)`.
    pub(super) fn call(
        &mut self,
        at: Position,
        of: &Node,
        arguments: &[Argument],
    ) -> Result<Typed, Refusal> {
        match &of.kind {
            NodeKind::Name(name, types) => {
                if self.scope.find(name).is_none() {
                    return Err(Refusal::new(
                        of.at,
                        format!("The name '{name}' does not exist in the current context"),
                    ));
                }
                if !types.is_empty() {
                    return Err(Refusal::new(
                        of.at,
                        format!("'{name}' has no type parameters"),
                    ));
                }
                let function = self.name(of.at, name)?;
                self.invocation(at, function, arguments)
            }
            NodeKind::Member(receiver, name, types) => {
                let types = types
                    .iter()
                    .map(Self::resolve)
                    .collect::<Result<Vec<_>, _>>()?;
                if let Some((class, class_arguments)) = self.static_class(receiver) {
                    let class = Some((class, class_arguments));
                    return self.method(of.at, None, class, name, &types, arguments);
                }
                if let Some(refusal) = self.unknown_root(receiver) {
                    return Err(refusal);
                }
                let receiver = self.value(receiver)?;
                if let (Type::Function(..), "Invoke") = (&receiver.kind, &**name) {
                    return self.invocation(at, receiver, arguments);
                }
                self.method(of.at, Some(receiver), None, name, &types, arguments)
            }
            _ => {
                let function = self.value(of)?;
                self.invocation(at, function, arguments)
            }
        }
    }

    /// `Unknown.Call()`: the message names what is not known.
    pub(super) fn unknown_root(&self, node: &Node) -> Option<Refusal> {
        match &node.kind {
            NodeKind::Name(name, _) if self.scope.find(name).is_none() && &**name != "context" => {
                Some(Refusal::new(
                    node.at,
                    format!(
                        "The name '{name}' does not exist in the current context, or is not known here"
                    ),
                ))
            }
            NodeKind::Member(of, ..) if self.static_class(of).is_none() => self.unknown_root(of),
            _ => None,
        }
    }

    /// A call of a function that is a value.
    fn invocation(
        &mut self,
        at: Position,
        function: Typed,
        arguments: &[Argument],
    ) -> Result<Typed, Refusal> {
        let Type::Function(parameters, result) = function.kind.clone() else {
            return Err(Refusal::new(
                at,
                format!("'{}' cannot be called: it is no method", function.kind),
            ));
        };
        if parameters.len() != arguments.len() {
            return Err(Refusal::new(
                at,
                format!(
                    "It takes {} arguments and not {}",
                    parameters.len(),
                    arguments.len()
                ),
            ));
        }
        let mut codes = Vec::new();
        for (argument, kind) in arguments.iter().zip(parameters.iter()) {
            if argument.name.is_some() || !matches!(argument.passing, Passing::Value) {
                return Err(Refusal::new(
                    argument.value.at,
                    "Named and out arguments of functions are not known here",
                ));
            }
            codes.push(self.value_for(&argument.value, kind)?);
        }
        let op = Op::Invoke(Box::new(function.code), codes);
        Ok(Typed::new(at, op, (*result).clone()))
    }

    /// A call of a member: on a value, or static on a class.
    pub(super) fn method(
        &mut self,
        at: Position,
        receiver: Option<Typed>,
        class: Option<(&Class, Vec<Type>)>,
        name: &Arc<str>,
        types: &[Type],
        arguments: &[Argument],
    ) -> Result<Typed, Refusal> {
        let mut given = Vec::new();
        for argument in arguments {
            given.push(self.given(argument)?);
        }
        let candidates = match (&receiver, class) {
            (Some(receiver), _) => Self::methods(&receiver.kind, name),
            (None, Some((class, arguments))) => static_methods(class, &arguments, name),
            (None, None) => Vec::new(),
        };
        if candidates.is_empty() {
            let kind = receiver
                .as_ref()
                .map_or(Type::Object, |receiver| receiver.kind.clone());
            if receiver.is_none() {
                return Err(Refusal::new(
                    at,
                    format!(
                        "There is no static method '{name}' of this type, or it is not known here"
                    ),
                ));
            }
            let exists = !Self::members(&kind, name).is_empty();
            return Err(Self::unknown_member(at, &kind, name, exists));
        }
        self.resolved(at, receiver, &candidates, name, types, given)
    }

    /// A call with arguments that are checked already.
    pub(super) fn method_of(
        &mut self,
        at: Position,
        receiver: Typed,
        name: &Arc<str>,
        values: Vec<Typed>,
    ) -> Result<Typed, Refusal> {
        let given = values
            .into_iter()
            .map(|value| Given {
                at,
                name: None,
                what: What::Value(value),
            })
            .collect();
        let candidates = Self::methods(&receiver.kind, name);
        self.resolved(at, Some(receiver), &candidates, name, &[], given)
    }

    /// A constructor's call; the type's arguments are given.
    pub(super) fn construct(
        &mut self,
        at: Position,
        kind: &Type,
        arguments: &[Argument],
    ) -> Result<Code, Refusal> {
        let mut given = Vec::new();
        for argument in arguments {
            given.push(self.given(argument)?);
        }
        let candidates = match registry().class(kind) {
            Some((class, arguments)) => static_methods(class, &arguments, ".ctor"),
            None => Vec::new(),
        };
        if candidates.is_empty() {
            return Err(Refusal::new(
                at,
                format!("'{kind}' cannot be made with new, or its constructor is not known here"),
            ));
        }
        let name: Arc<str> = format!("{kind}").into();
        self.resolved(at, None, &candidates, &name, &[], given)
            .map(|typed| typed.code)
    }

    fn given<'a>(&mut self, argument: &'a Argument) -> Result<Given<'a>, Refusal> {
        let node = &argument.value;
        let what = match (&argument.passing, &node.kind) {
            (Passing::Value, NodeKind::Lambda(..)) => What::Lambda(node),
            (Passing::Value, _) => What::Value(self.value(node)?),
            (Passing::Out, _) => What::Out(node),
            (Passing::OutNew(None), _) => What::OutNew(node, None),
            (Passing::OutNew(Some(name)), _) => What::OutNew(node, Some(Self::resolve(name)?)),
        };
        Ok(Given {
            at: node.at,
            name: argument.name.clone(),
            what,
        })
    }

    /// Methods of a value, and what extends its type.
    fn methods(kind: &Type, name: &Arc<str>) -> Vec<Found> {
        let mut found: Vec<Found> = Self::members(kind, name)
            .into_iter()
            .filter(|found| found.entry.kind == SignatureKind::Method && !found.entry.is_static)
            .collect();
        found.extend(registry().extensions(name).iter().map(|entry| Found {
            entry: entry.clone(),
            parameters: Vec::new(),
            arguments: Vec::new(),
            distance: 100,
        }));
        found
    }

    /// The member that fits best, called.
    fn resolved(
        &mut self,
        at: Position,
        receiver: Option<Typed>,
        candidates: &[Found],
        name: &Arc<str>,
        types: &[Type],
        given: Vec<Given<'_>>,
    ) -> Result<Typed, Refusal> {
        let mut best: Option<(&Found, Fit)> = None;
        for candidate in candidates {
            let extends = candidate.entry.kind == SignatureKind::Extension;
            let on = receiver.as_ref().map(|receiver| &receiver.kind);
            let Some(mut fit) = self.fit(candidate, on.filter(|_| extends), types, &given) else {
                continue;
            };
            // The nearest type first, then the best conversions; elements one by
            // one only decide between equals.
            fit.cost = candidate.distance * 1_000 + fit.cost * 2 + u32::from(fit.expanded);
            if best.as_ref().is_none_or(|(_, known)| fit.cost < known.cost) {
                best = Some((candidate, fit));
            }
        }
        let Some((found, fit)) = best else {
            return Err(Self::no_fit(
                at,
                candidates,
                name,
                receiver.is_some(),
                types,
                &given,
            ));
        };
        self.bound(at, receiver, found, fit, name, given)
    }

    fn no_fit(
        at: Position,
        candidates: &[Found],
        name: &str,
        on_value: bool,
        types: &[Type],
        given: &[Given<'_>],
    ) -> Refusal {
        let arity = |found: &Found| {
            let extends = usize::from(found.entry.kind == SignatureKind::Extension && on_value);
            let needed = found
                .entry
                .parameters
                .iter()
                .filter(|formal| formal.default.is_none() && !formal.is_params);
            let most = if found
                .entry
                .parameters
                .last()
                .is_some_and(|formal| formal.is_params)
            {
                usize::MAX
            } else {
                found.entry.parameters.len().saturating_sub(extends)
            };
            (needed.count().saturating_sub(extends)..=most).contains(&given.len())
        };
        if !candidates.iter().any(arity) {
            return Refusal::new(
                at,
                format!(
                    "No overload for method '{name}' takes {} arguments",
                    given.len()
                ),
            );
        }
        let kinds: Vec<String> = given
            .iter()
            .map(|given| match &given.what {
                What::Value(value) => value.kind.to_string(),
                What::Lambda(_) => "lambda expression".to_owned(),
                What::Out(_) | What::OutNew(..) => "out".to_owned(),
            })
            .collect();
        let types: Vec<String> = types.iter().map(ToString::to_string).collect();
        let types = if types.is_empty() {
            String::new()
        } else {
            format!("<{}>", types.join(", "))
        };
        Refusal::new(
            at,
            format!(
                "No overload of '{name}{types}' takes ({}), or it is not known here",
                kinds.join(", ")
            ),
        )
    }

    /// Whether a member takes the arguments.
    fn fit(
        &self,
        found: &Found,
        extended: Option<&Type>,
        types: &[Type],
        given: &[Given<'_>],
    ) -> Option<Fit> {
        let entry = &found.entry;
        let mut bindings: Bindings = Vec::new();
        if !types.is_empty() {
            if types.len() != entry.type_parameters.len() {
                return None;
            }
            let names = entry.type_parameters.iter().cloned();
            bindings.extend(names.zip(types.iter().cloned()));
        }
        let mut cost = 0;
        let skip = usize::from(entry.kind == SignatureKind::Extension && extended.is_some());
        if let (Some(kind), Some(formal)) = (extended, entry.parameters.first()) {
            let own = own_kind(found, formal);
            unify(&own, kind, &mut bindings);
            cost += implicit(kind, &bind(&own, &bindings), None)?.0;
        }
        let formals = &entry.parameters[skip..];
        let last = formals.last().filter(|formal| formal.is_params);
        // With its array as it is first, then with its elements one by one.
        let ways: &[bool] = if last.is_some() {
            &[false, true]
        } else {
            &[false]
        };
        ways.iter().find_map(|expanded| {
            let plan = plan(formals, given, *expanded)?;
            let mut bindings = bindings.clone();
            let mut cost = cost;
            for (formal, taken) in formals.iter().zip(&plan) {
                let mut own = own_kind(found, formal);
                if *expanded && formal.is_params {
                    own = match own {
                        Type::Array(element) => (*element).clone(),
                        other => other,
                    };
                }
                for index in taken {
                    cost += self.takes(&own, formal.is_out, &given[*index], &mut bindings)?;
                }
            }
            // What no lambda will tell must be known now.
            let told = given
                .iter()
                .any(|given| matches!(given.what, What::Lambda(_)));
            let bound = |name: &Arc<str>| bindings.iter().any(|(known, _)| known == name);
            if !told && !entry.type_parameters.iter().all(bound) {
                return None;
            }
            Some(Fit {
                cost,
                bindings,
                plan,
                expanded: *expanded,
            })
        })
    }

    fn takes(
        &self,
        kind: &Type,
        is_out: bool,
        given: &Given<'_>,
        bindings: &mut Bindings,
    ) -> Option<u32> {
        match &given.what {
            What::Value(value) if !is_out => {
                unify(kind, &value.kind, bindings);
                Some(implicit(&value.kind, &bind(kind, bindings), value.constant())?.0)
            }
            What::Lambda(node) if !is_out => {
                let Type::Function(parameters, _) = kind else {
                    return None;
                };
                let NodeKind::Lambda(written, _) = &node.kind else {
                    return None;
                };
                (parameters.len() == written.len()).then_some(0)
            }
            What::Out(node) if is_out => {
                let NodeKind::Name(name, _) = &node.kind else {
                    return None;
                };
                let variable = self.scope.find(name)?;
                unify(kind, &variable.kind, bindings);
                (bind(kind, bindings) == variable.kind).then_some(0)
            }
            What::OutNew(_, written) if is_out => match written {
                None => Some(0),
                Some(written) => {
                    unify(kind, written, bindings);
                    (bind(kind, bindings) == *written).then_some(0)
                }
            },
            _ => None,
        }
    }

    /// The call of a member that fits.
    fn bound(
        &mut self,
        at: Position,
        receiver: Option<Typed>,
        found: &Found,
        fit: Fit,
        name: &str,
        given: Vec<Given<'_>>,
    ) -> Result<Typed, Refusal> {
        let entry = &found.entry;
        let Fit {
            mut bindings,
            plan,
            expanded,
            ..
        } = fit;
        let on_instance = receiver.is_some() && entry.kind == SignatureKind::Method;
        let mut arguments = Vec::new();
        if let Some(receiver) = receiver {
            arguments.push(match entry.parameters.first() {
                Some(formal) if entry.kind == SignatureKind::Extension => {
                    Self::convert(receiver, &bind(&own_kind(found, formal), &bindings))?
                }
                _ => receiver.code,
            });
        }
        let skip = usize::from(entry.kind == SignatureKind::Extension && !arguments.is_empty());
        let mut given: Vec<Option<Given<'_>>> = given.into_iter().map(Some).collect();
        let mut outs = Vec::new();
        for (formal, taken) in entry.parameters[skip..].iter().zip(&plan) {
            let own = own_kind(found, formal);
            if expanded && formal.is_params {
                let kind = bind(&own, &bindings);
                let Type::Array(element) = &kind else {
                    return Err(Refusal::new(at, "params of no array"));
                };
                let mut items = Vec::new();
                for index in taken {
                    if let Some(given) = given[*index].take() {
                        items.push(self.argument(given, element, &mut bindings)?);
                    }
                }
                arguments.push(Code {
                    at,
                    op: Op::ArrayOf((**element).clone(), items),
                });
                continue;
            }
            let Some(one) = taken.first().and_then(|index| given[*index].take()) else {
                arguments.push(Self::default_argument(at, formal, &bind(&own, &bindings))?);
                continue;
            };
            match one.what {
                What::Out(node) => {
                    outs.push((arguments.len(), self.out_target(node)?));
                    arguments.push(null(at));
                }
                What::OutNew(node, _) => {
                    let NodeKind::Name(variable, _) = &node.kind else {
                        return Err(Refusal::new(node.at, "Identifier expected"));
                    };
                    let kind = bind(&own, &bindings);
                    self.declare(node.at, variable, kind, true)?;
                    outs.push((arguments.len(), self.out_target(node)?));
                    arguments.push(null(at));
                }
                what => {
                    arguments.push(self.argument(Given { what, ..one }, &own, &mut bindings)?);
                }
            }
        }
        let mut types = found.arguments.clone();
        for parameter in &entry.type_parameters {
            match bindings.iter().find(|(known, _)| known == parameter) {
                Some((_, kind)) => types.push(kind.clone()),
                None => {
                    return Err(Refusal::new(
                        at,
                        format!(
                            "The type arguments for method '{name}' cannot be inferred from the usage. Try specifying the type arguments explicitly."
                        ),
                    ));
                }
            }
        }
        let result = substitute(&entry.result, &found.parameters, &found.arguments);
        let kind = bind(&result, &bindings);
        allowed(at, name, &types)?;
        let call = MemberCall {
            run: entry.run,
            on_instance,
            types,
            arguments,
            outs,
        };
        Ok(Typed::new(at, Op::Call(Box::new(call)), kind))
    }

    fn argument(
        &mut self,
        given: Given<'_>,
        kind: &Type,
        bindings: &mut Bindings,
    ) -> Result<Code, Refusal> {
        match given.what {
            What::Value(value) => Self::convert(value, &bind(kind, bindings)),
            What::Lambda(node) => {
                let Type::Function(parameters, result) = kind else {
                    return Err(Refusal::new(
                        given.at,
                        "A lambda expression has no place here",
                    ));
                };
                let parameters: Vec<Type> =
                    parameters.iter().map(|kind| bind(kind, bindings)).collect();
                let wanted = bind(result, bindings);
                let known = !has_parameter(&wanted);
                let (code, found) = self.lambda(node, &parameters, known.then_some(&wanted))?;
                unify(result, &found, bindings);
                Ok(code)
            }
            What::Out(_) | What::OutNew(..) => Ok(null(given.at)),
        }
    }

    fn default_argument(at: Position, formal: &Formal, kind: &Type) -> Result<Code, Refusal> {
        let Some(value) = &formal.default else {
            return Err(Refusal::new(
                at,
                format!("The argument '{}' is missing", formal.name),
            ));
        };
        let value = if value.is_null() {
            default_of(kind)
        } else {
            value.clone()
        };
        Ok(Code {
            at,
            op: Op::Constant(value),
        })
    }

    fn out_target(&mut self, node: &Node) -> Result<Target, Refusal> {
        if let NodeKind::Name(name, _) = &node.kind {
            if let Some(variable) = self.scope.find_mut(name) {
                variable.assigned = true;
            }
            if let Some(target) = self.scope.target(name) {
                return Ok(target);
            }
        }
        Err(Refusal::new(
            node.at,
            "A ref or out value must be an assignable variable",
        ))
    }
}

/// What `As<T>` of a body can give, and `DeserializeObject<T>`.
fn allowed(at: Position, name: &str, types: &[Type]) -> Result<(), Refusal> {
    let json = ["JObject", "JArray", "JToken"];
    let known = |kind: &Type| match kind {
        Type::Named(kind, _) => json.contains(kind),
        Type::String => name == "As",
        Type::Array(element) => name == "As" && **element == Type::Number(crate::value::Kind::Byte),
        _ => false,
    };
    match (name, types) {
        ("As" | "DeserializeObject", [kind]) if !known(kind) => Err(Refusal::new(
            at,
            format!("'{name}<{kind}>' is not known here"),
        )),
        _ => Ok(()),
    }
}

fn null(at: Position) -> Code {
    Code {
        at,
        op: Op::Constant(Value::Null),
    }
}

/// A parameter's type with the type arguments of the class.
fn own_kind(found: &Found, formal: &Formal) -> Type {
    substitute(&formal.kind, &found.parameters, &found.arguments)
}

fn static_methods(class: &Class, arguments: &[Type], name: &str) -> Vec<Found> {
    class
        .members
        .get(name)
        .into_iter()
        .flatten()
        .filter(|entry| entry.is_static && entry.kind != SignatureKind::Property)
        .map(|entry| Found {
            entry: entry.clone(),
            parameters: class.parameters.clone(),
            arguments: arguments.to_vec(),
            distance: 0,
        })
        .collect()
}

/// Which arguments each parameter takes; `None` where they do not fit.
fn plan(formals: &[Formal], given: &[Given<'_>], expanded: bool) -> Option<Vec<Vec<usize>>> {
    let mut plan: Vec<Vec<usize>> = vec![Vec::new(); formals.len()];
    for (index, argument) in given.iter().enumerate() {
        let place = match &argument.name {
            Some(name) => formals.iter().position(|formal| formal.name == *name)?,
            None if expanded => index.min(formals.len() - 1),
            None => index,
        };
        let taken = plan.get_mut(place)?;
        let several = expanded && formals[place].is_params;
        if !taken.is_empty() && !several {
            return None;
        }
        taken.push(index);
    }
    let missing = formals.iter().zip(&plan).any(|(formal, taken)| {
        taken.is_empty() && formal.default.is_none() && !(expanded && formal.is_params)
    });
    (!missing).then_some(plan)
}

/// A type with type parameters replaced by what they are bound to.
fn bind(kind: &Type, bindings: &Bindings) -> Type {
    let (names, kinds): (Vec<Arc<str>>, Vec<Type>) = bindings.iter().cloned().unzip();
    substitute(kind, &names, &kinds)
}

fn has_parameter(kind: &Type) -> bool {
    match kind {
        Type::Parameter(_) => true,
        Type::Array(inner) | Type::Nullable(inner) => has_parameter(inner),
        Type::Named(_, arguments) => arguments.iter().any(has_parameter),
        Type::Function(parameters, result) => {
            parameters.iter().any(has_parameter) || has_parameter(result)
        }
        _ => false,
    }
}

/// Finds out what type parameters stand for where a value of a type is given.
fn unify(kind: &Type, given: &Type, bindings: &mut Bindings) {
    match (kind, given) {
        (Type::Parameter(name), given) if *given != Type::Null && *given != Type::Void => {
            match bindings.iter_mut().find(|(known, _)| known == name) {
                None => bindings.push((name.clone(), given.clone())),
                // The wider of two: `f(1, 2L)`.
                Some((_, known))
                    if implicit(known, given, None).is_some() && !has_parameter(known) =>
                {
                    if implicit(given, known, None).is_none() && *given != Type::Object {
                        *known = given.clone();
                    }
                }
                Some(_) => {}
            }
        }
        (Type::Array(a), Type::Array(b)) | (Type::Nullable(a), Type::Nullable(b)) => {
            unify(a, b, bindings);
        }
        (Type::Nullable(a), b) => unify(a, b, bindings),
        (Type::Named(name, wanted), given) => {
            if let Some(Type::Named(_, found)) = as_base(given, name) {
                for (wanted, found) in wanted.iter().zip(found.iter()) {
                    unify(wanted, found, bindings);
                }
            }
        }
        (Type::Function(parameters, result), Type::Function(given, found)) => {
            for (wanted, found) in parameters.iter().zip(given.iter()) {
                unify(wanted, found, bindings);
            }
            unify(result, found, bindings);
        }
        _ => {}
    }
}
