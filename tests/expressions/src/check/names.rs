//! Names: variables, members, types.

use std::sync::Arc;

use super::{Checker, Typed};
use crate::error::{Position, Refusal};
use crate::evaluate::{Code, MemberCall, Op};
use crate::members::{Entry, registry, substitute};
use crate::syntax::{Argument, AssignOperator, Node, NodeKind, SignatureKind, TypeName};
use crate::types::Type;
use crate::value::{Object, Part, Value};

/// A member with the type arguments of the type that has it.
pub(super) struct Found {
    pub(super) entry: Arc<Entry>,
    pub(super) parameters: Vec<Arc<str>>,
    pub(super) arguments: Vec<Type>,
    /// How far up it was found.
    pub(super) distance: u32,
}

impl Checker {
    pub(super) fn declare(
        &mut self,
        at: Position,
        name: &Arc<str>,
        kind: Type,
        assigned: bool,
    ) -> Result<usize, Refusal> {
        if kind == Type::Void || kind == Type::Null {
            return Err(Refusal::new(
                at,
                format!("Cannot assign {kind} to an implicitly-typed variable"),
            ));
        }
        if &**name == "context" {
            return Err(taken(at, name));
        }
        self.scope
            .declare(name, kind, assigned)
            .ok_or_else(|| taken(at, name))
    }

    pub(super) fn name(&mut self, at: Position, name: &Arc<str>) -> Result<Typed, Refusal> {
        if let Some(variable) = self.scope.find(name).cloned() {
            if !variable.assigned {
                return Err(Refusal::new(
                    at,
                    format!("Use of unassigned local variable '{name}'"),
                ));
            }
            let op = match self.scope.target(name) {
                Some(crate::evaluate::Target::Local(slot)) => Op::Local(slot),
                Some(crate::evaluate::Target::Captured(index)) => Op::Captured(index),
                None => return Err(self.unknown_name(at, name)),
            };
            return Ok(Typed::new(at, op, variable.kind));
        }
        if &**name == "context" {
            let context = Value::object(Object::Part(Part::Context));
            return Ok(Typed::new(
                at,
                Op::Constant(context),
                Type::named("IProxyRequestContext"),
            ));
        }
        Err(self.unknown_name(at, name))
    }

    pub(super) fn unknown_name(&self, at: Position, name: &str) -> Refusal {
        let _ = self;
        if registry().class_named(name).is_some() {
            return Refusal::new(
                at,
                format!("'{name}' is a type, which is not valid in the given context"),
            );
        }
        Refusal::new(
            at,
            format!("The name '{name}' does not exist in the current context"),
        )
    }

    /// The type that an expression of names is, where it is none of a value:
    /// `string`, `Guid`, `System.Text.Encoding`.
    pub(super) fn static_class(
        &self,
        node: &Node,
    ) -> Option<(&'static crate::members::Class, Vec<Type>)> {
        if let NodeKind::Type(name) = &node.kind {
            let kind = Self::resolve(name).ok()?;
            return registry().class(&kind);
        }
        let (root, path, arguments) = dotted(node)?;
        if self.scope.find(root).is_some() || root == "context" {
            return None;
        }
        if !arguments.is_empty() {
            let name = TypeName {
                at: node.at,
                name: path.into(),
                arguments: arguments.to_vec(),
                suffixes: Vec::new(),
            };
            let kind = Self::resolve(&name).ok()?;
            return registry().class(&kind);
        }
        if let Some(kind) = registry().named(&path, Vec::new()) {
            return registry().class(&kind);
        }
        // `Array`, `Nullable` and the like have static members only.
        registry()
            .class_named(&path)
            .map(|class| (class, Vec::new()))
    }

    /// Members of a name that a type or what it derives from has.
    pub(super) fn members(kind: &Type, name: &str) -> Vec<Found> {
        let mut found = Vec::new();
        let mut level = vec![kind.clone()];
        for distance in 0..8 {
            let mut next = Vec::new();
            for kind in &level {
                let Some((class, arguments)) = registry().class(kind) else {
                    continue;
                };
                for entry in class.members.get(name).into_iter().flatten() {
                    found.push(Found {
                        entry: entry.clone(),
                        parameters: class.parameters.clone(),
                        arguments: arguments.clone(),
                        distance,
                    });
                }
                next.extend(registry().bases(kind));
            }
            if next.is_empty() {
                break;
            }
            level = next;
        }
        if *kind != Type::Object {
            let Some((class, _)) = registry().class(&Type::Object) else {
                return found;
            };
            for entry in class.members.get(name).into_iter().flatten() {
                found.push(Found {
                    entry: entry.clone(),
                    parameters: Vec::new(),
                    arguments: Vec::new(),
                    distance: 9,
                });
            }
        }
        found
    }

    /// `of.name` that is not called.
    pub(super) fn member(
        &mut self,
        at: Position,
        of: &Node,
        name: &Arc<str>,
        arguments: &[TypeName],
    ) -> Result<Typed, Refusal> {
        if !arguments.is_empty() {
            return Err(Refusal::new(
                at,
                format!("'{name}' is a method and must be called"),
            ));
        }
        if let Some((class, class_arguments)) = self.static_class(of) {
            return static_property(at, class, &class_arguments, name);
        }
        if let Some(refusal) = self.unknown_root(of) {
            return Err(refusal);
        }
        let receiver = self.value(of)?;
        self.note_body(of, &receiver.kind, name);
        Self::property(at, receiver, name)
    }

    /// A property of a value.
    pub(super) fn property(
        at: Position,
        receiver: Typed,
        name: &Arc<str>,
    ) -> Result<Typed, Refusal> {
        if let Type::Anonymous(fields) = &receiver.kind
            && let Some(index) = fields.iter().position(|(known, _)| known == name)
        {
            let kind = fields[index].1.clone();
            return Ok(Typed::new(
                at,
                Op::Field(Box::new(receiver.code), index),
                kind,
            ));
        }
        let candidates = Self::members(&receiver.kind, name);
        let Some(found) = candidates
            .iter()
            .find(|found| found.entry.kind == SignatureKind::Property && !found.entry.is_static)
        else {
            return Err(Self::unknown_member(
                at,
                &receiver.kind,
                name,
                !candidates.is_empty(),
            ));
        };
        let kind = substitute(&found.entry.result, &found.parameters, &found.arguments);
        let call = MemberCall {
            run: found.entry.run,
            on_instance: true,
            types: found.arguments.clone(),
            arguments: vec![receiver.code],
            outs: Vec::new(),
        };
        Ok(Typed::new(at, Op::Call(Box::new(call)), kind))
    }

    pub(super) fn unknown_member(at: Position, kind: &Type, name: &str, exists: bool) -> Refusal {
        if exists || !registry().extensions(name).is_empty() {
            return Refusal::new(at, format!("'{name}' of '{kind}' cannot be used like this"));
        }
        let alike = registry()
            .class(kind)
            .and_then(|(class, _)| crate::members::alike(class.members.keys(), name));
        let hint = alike.map_or_else(String::new, |alike| format!("; there is '{alike}'"));
        Refusal::new(
            at,
            format!(
                "'{kind}' does not contain a definition for '{name}', or it is not known here{hint}"
            ),
        )
    }

    /// Notes where a body may be read. What `send-request` stored is not a body
    /// of this request.
    fn note_body(&mut self, of: &Node, kind: &Type, name: &str) {
        if name != "Body" {
            return;
        }
        match kind {
            Type::Named("IRequest", _) => self.reads_request_body = true,
            Type::Named("IResponse", _) => {
                let stored = match &of.kind {
                    NodeKind::Cast(_, value) | NodeKind::As(value, _) => is_variable(value),
                    NodeKind::Call(..) => is_variable(of),
                    _ => false,
                };
                self.reads_response_body |= !stored;
            }
            _ => {}
        }
    }

    /// `of[arguments]`.
    pub(super) fn index(
        &mut self,
        at: Position,
        of: &Node,
        arguments: &[Argument],
    ) -> Result<Typed, Refusal> {
        let receiver = self.value(of)?;
        self.method(at, Some(receiver), None, &"get_Item".into(), &[], arguments)
            .map_err(|refusal| {
                if refusal.message.contains("get_Item") {
                    Refusal::new(refusal.at, "Cannot apply indexing with [] to an expression of this type, or it is not known here")
                } else {
                    refusal
                }
            })
    }

    /// `a.b = value`, `a[i] = value`, and with an operator: what stands before
    /// is worked out once.
    pub(super) fn assign_member(
        &mut self,
        at: Position,
        operator: AssignOperator,
        target: &Node,
        value: &Node,
    ) -> Result<Typed, Refusal> {
        let (of, name, indexes): (&Node, Option<&Arc<str>>, &[Argument]) = match &target.kind {
            NodeKind::Member(of, name, _) => (of, Some(name), &[]),
            NodeKind::Index(of, indexes) => (of, None, indexes),
            _ => {
                return Err(Refusal::new(
                    at,
                    "The left-hand side of an assignment must be a variable, property or indexer",
                ));
            }
        };
        let mut codes = Vec::new();
        let receiver = self.value(of)?;
        let receiver_kind = receiver.kind.clone();
        let receiver = self.kept(receiver, &mut codes)?;
        let mut keys = Vec::new();
        for index in indexes {
            let key = self.value(&index.value)?;
            let constant = key.constant().cloned();
            keys.push((self.kept(key, &mut codes)?, constant));
        }
        let again = |(slot, kind): &(usize, Type), constant: &Option<Value>| {
            let op = match constant {
                Some(value) => Op::Constant(value.clone()),
                None => Op::Local(*slot),
            };
            Typed::new(at, op, kind.clone())
        };
        let setter: Arc<str> = match name {
            Some(name) => format!("set_{name}").into(),
            None => "set_Item".into(),
        };
        let setters = Self::members(&receiver_kind, &setter);
        let Some(found) = setters.first() else {
            let what = name.map_or("the indexer", |name| &**name);
            return Err(Refusal::new(
                at,
                format!("'{what}' of '{receiver_kind}' is read only, or is not known here"),
            ));
        };
        let wanted = found
            .entry
            .parameters
            .last()
            .map_or(Type::Object, |formal| {
                substitute(&formal.kind, &found.parameters, &found.arguments)
            });
        let value = match operator {
            None => Typed {
                code: self.value_for(value, &wanted)?,
                kind: wanted,
            },
            Some(operator) => {
                let old = if let Some(name) = name {
                    Self::property(at, again(&receiver, &None), name)?
                } else {
                    let keys = keys.iter().map(|(key, constant)| again(key, constant));
                    self.method_of(
                        at,
                        again(&receiver, &None),
                        &"get_Item".into(),
                        keys.collect(),
                    )?
                };
                let operand = self.value(value)?;
                let result = Self::operation(at, operator, old, operand)?;
                Typed {
                    code: super::expressions::compound(result, &wanted)?,
                    kind: wanted,
                }
            }
        };
        let result = self.kept(value, &mut codes)?;
        let mut arguments: Vec<Typed> = keys
            .iter()
            .map(|(key, constant)| again(key, constant))
            .collect();
        arguments.push(again(&result, &None));
        let set = self.method_of(at, again(&receiver, &None), &setter, arguments)?;
        codes.push(set.code);
        codes.push(Code {
            at,
            op: Op::Local(result.0),
        });
        Ok(Typed::new(at, Op::Sequence(codes), result.1))
    }

    /// Puts a value in a slot of its own.
    fn kept(&mut self, value: Typed, codes: &mut Vec<Code>) -> Result<(usize, Type), Refusal> {
        let at = value.code.at;
        let slot = self.temporary(at)?;
        codes.push(Code {
            at,
            op: Op::Set(crate::evaluate::Target::Local(slot), Box::new(value.code)),
        });
        Ok((slot, value.kind))
    }
}

fn taken(at: Position, name: &str) -> Refusal {
    Refusal::new(
        at,
        format!("A local variable or function named '{name}' is already defined in this scope"),
    )
}

/// The first name of `a.b.c`, the whole, and the type arguments of the last.
fn dotted(node: &Node) -> Option<(&str, String, &[TypeName])> {
    match &node.kind {
        NodeKind::Name(name, arguments) => Some((name, name.to_string(), arguments)),
        NodeKind::Member(of, name, arguments) => {
            let (root, path, before) = dotted(of)?;
            before
                .is_empty()
                .then(|| (root, format!("{path}.{name}"), arguments.as_slice()))
        }
        _ => None,
    }
}

/// Whether a value comes from `context.Variables`.
fn is_variable(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Index(of, _) | NodeKind::Call(of, _) => is_variable(of),
        NodeKind::Member(of, name, _) => {
            (&**name == "Variables"
                && matches!(&of.kind, NodeKind::Name(name, _) if &**name == "context"))
                || is_variable(of)
        }
        _ => false,
    }
}

fn static_property(
    at: Position,
    class: &crate::members::Class,
    arguments: &[Type],
    name: &Arc<str>,
) -> Result<Typed, Refusal> {
    if let Some(value) = class.values.iter().find(|value| **value == &**name) {
        let value = Value::object(Object::Enum(class.name, value));
        return Ok(Typed::new(at, Op::Constant(value), Type::named(class.name)));
    }
    let entries = class.members.get(name).map_or(&[][..], Vec::as_slice);
    let Some(entry) = entries
        .iter()
        .find(|entry| entry.kind == SignatureKind::Property && entry.is_static)
    else {
        let hint = if entries.is_empty() {
            let alike = crate::members::alike(class.members.keys(), name);
            alike.map_or_else(String::new, |alike| format!("; there is '{alike}'"))
        } else {
            String::new()
        };
        return Err(Refusal::new(
            at,
            format!(
                "'{}' does not contain a definition for '{name}' that can be used like this, or it is not known here{hint}",
                class.name
            ),
        ));
    };
    let kind = substitute(&entry.result, &class.parameters, arguments);
    let call = MemberCall {
        run: entry.run,
        on_instance: false,
        types: arguments.to_vec(),
        arguments: Vec::new(),
        outs: Vec::new(),
    };
    Ok(Typed::new(at, Op::Call(Box::new(call)), kind))
}
