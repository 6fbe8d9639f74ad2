//! The tables, read once.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::table::{Table, TableKind};
use crate::error::Refusal;
use crate::evaluate::Run;
use crate::syntax::{Signature, SignatureKind, TypeName, parse_signature};
use crate::types::Type;
use crate::value::{Kind, Value};

/// All types.
pub(crate) struct Registry {
    classes: HashMap<&'static str, Class>,
    extensions: HashMap<Arc<str>, Vec<Arc<Entry>>>,
    /// What is wrong with the tables; nothing, as a test says.
    pub(crate) problems: Vec<String>,
}

/// A type of the tables.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) parameters: Vec<Arc<str>>,
    pub(crate) kind: TableKind,
    pub(crate) bases: Vec<Type>,
    pub(crate) values: &'static [&'static str],
    pub(crate) members: HashMap<Arc<str>, Vec<Arc<Entry>>>,
    namespace: &'static str,
}

/// A member.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: Arc<str>,
    pub(crate) kind: SignatureKind,
    pub(crate) is_static: bool,
    pub(crate) result: Type,
    pub(crate) type_parameters: Vec<Arc<str>>,
    pub(crate) parameters: Vec<Formal>,
    pub(crate) run: Run,
}

/// A parameter of a member.
#[derive(Debug)]
pub(crate) struct Formal {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Type,
    pub(crate) is_out: bool,
    pub(crate) is_params: bool,
    pub(crate) default: Option<Value>,
}

/// The tables.
pub(crate) fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::read(super::TABLES));
    &REGISTRY
}

impl Registry {
    fn read(tables: &[&[Table]]) -> Self {
        let mut registry = Self {
            classes: HashMap::new(),
            extensions: HashMap::new(),
            problems: Vec::new(),
        };
        let all = || tables.iter().flat_map(|file| file.iter());
        for table in all() {
            let (name, parameters) = match table.name.split_once('<') {
                Some((name, rest)) => (
                    name,
                    rest.trim_end_matches('>')
                        .split(',')
                        .map(|parameter| parameter.trim().into())
                        .collect(),
                ),
                None => (table.name, Vec::new()),
            };
            let class = Class {
                name,
                parameters,
                kind: table.kind,
                bases: Vec::new(),
                values: table.values,
                members: HashMap::new(),
                namespace: table.namespace,
            };
            if registry.classes.insert(name, class).is_some() {
                registry.problems.push(format!("{name} has two tables"));
            }
        }
        for table in all() {
            if let Err((member, refusal)) = registry.read_members(table) {
                let message = refusal.message;
                registry
                    .problems
                    .push(format!("{}: {member}: {message}", table.name));
            }
        }
        registry
    }

    fn read_members(&mut self, table: &Table) -> Result<(), (&'static str, Refusal)> {
        let name = table.name.split('<').next().unwrap_or_default();
        let parameters = self
            .classes
            .get(name)
            .map(|class| class.parameters.clone())
            .unwrap_or_default();
        let mut bases = Vec::new();
        for base in table.bases {
            let signature = parse_signature(&format!("{base} Base")).map_err(|e| (*base, e))?;
            bases.push(
                self.resolve(&signature.result, &parameters)
                    .map_err(|e| (*base, e))?,
            );
        }
        let mut members: HashMap<Arc<str>, Vec<Arc<Entry>>> = HashMap::new();
        for member in table.members {
            let signature = parse_signature(member.0).map_err(|e| (member.0, e))?;
            let entry = self
                .entry(signature, &parameters, member.1)
                .map_err(|e| (member.0, e))?;
            let entry = Arc::new(entry);
            if entry.kind == SignatureKind::Extension {
                self.extensions
                    .entry(entry.name.clone())
                    .or_default()
                    .push(entry.clone());
            }
            members.entry(entry.name.clone()).or_default().push(entry);
        }
        if let Some(class) = self.classes.get_mut(name) {
            class.bases = bases;
            class.members = members;
        }
        Ok(())
    }

    fn entry(
        &self,
        signature: Signature,
        class_parameters: &[Arc<str>],
        run: Run,
    ) -> Result<Entry, Refusal> {
        let mut scope = class_parameters.to_vec();
        scope.extend(signature.type_parameters.iter().cloned());
        let parameters = signature
            .parameters
            .into_iter()
            .map(|parameter| {
                Ok(Formal {
                    name: parameter.name,
                    kind: self.resolve(&parameter.kind, &scope)?,
                    is_out: parameter.is_out,
                    is_params: parameter.is_params,
                    default: parameter.default,
                })
            })
            .collect::<Result<_, Refusal>>()?;
        Ok(Entry {
            name: signature.name,
            kind: signature.kind,
            is_static: signature.is_static,
            result: self.resolve(&signature.result, &scope)?,
            type_parameters: signature.type_parameters,
            parameters,
            run,
        })
    }

    /// The type that a name means; `scope` are the type parameters in sight.
    pub(crate) fn resolve(&self, name: &TypeName, scope: &[Arc<str>]) -> Result<Type, Refusal> {
        let arguments = name
            .arguments
            .iter()
            .map(|argument| self.resolve(argument, scope))
            .collect::<Result<Vec<_>, _>>()?;
        let plain = if scope.contains(&name.name) {
            Some(Type::Parameter(name.name.clone()))
        } else {
            self.named(&name.name, arguments)
        };
        let Some(mut kind) = plain else {
            return Err(Refusal::new(
                name.at,
                format!(
                    "The type or namespace name '{}' could not be found, or is not known here",
                    name.name
                ),
            ));
        };
        for suffix in &name.suffixes {
            kind = match suffix {
                Some(()) => Type::array(kind),
                None if self.is_value(&kind) || matches!(kind, Type::Parameter(_)) => {
                    Type::Nullable(Arc::new(kind))
                }
                None => {
                    return Err(Refusal::new(
                        name.at,
                        format!("The type '{kind}' must be a non-nullable value type"),
                    ));
                }
            };
        }
        Ok(kind)
    }

    /// The type of a simple or full name.
    pub(crate) fn named(&self, name: &str, arguments: Vec<Type>) -> Option<Type> {
        let (namespace, simple) = match name.rsplit_once('.') {
            Some((namespace, simple)) => (Some(namespace), simple),
            None => (None, name),
        };
        let in_system = namespace.is_none_or(|namespace| namespace == "System");
        if in_system {
            if arguments.is_empty()
                && let Some(kind) = primitive(name.strip_prefix("System.").unwrap_or(name))
            {
                return Some(kind);
            }
            match (simple, arguments.as_slice()) {
                ("Func", [parameters @ .., result]) => {
                    return Some(Type::Function(parameters.into(), Arc::new(result.clone())));
                }
                ("Action", parameters) => {
                    return Some(Type::Function(parameters.into(), Arc::new(Type::Void)));
                }
                ("Nullable", [inner]) => return Some(Type::Nullable(Arc::new(inner.clone()))),
                _ => {}
            }
        }
        let class = self.classes.get(simple)?;
        let fits = namespace.is_none_or(|namespace| namespace == class.namespace);
        (fits && class.parameters.len() == arguments.len() && primitive(class.name).is_none())
            .then(|| Type::Named(class.name, arguments.into()))
    }

    /// The table of a type, and its type arguments.
    pub(crate) fn class(&self, kind: &Type) -> Option<(&Class, Vec<Type>)> {
        let (name, arguments) = match kind {
            Type::Object | Type::Anonymous(_) => ("object", Vec::new()),
            Type::Bool => ("bool", Vec::new()),
            Type::Char => ("char", Vec::new()),
            Type::String => ("string", Vec::new()),
            Type::Number(kind) => (kind.name(), Vec::new()),
            Type::Array(element) => ("Array", vec![(**element).clone()]),
            Type::Nullable(inner) => ("Nullable", vec![(**inner).clone()]),
            Type::Named(name, arguments) => (*name, arguments.to_vec()),
            Type::Void | Type::Null | Type::Parameter(_) | Type::Function(..) => return None,
        };
        self.classes.get(name).map(|class| (class, arguments))
    }

    /// The table that static members of a name are in, also of `Array` and
    /// the like, which are no types without arguments.
    pub(crate) fn class_named(&self, name: &str) -> Option<&Class> {
        let (namespace, simple) = match name.rsplit_once('.') {
            Some((namespace, simple)) => (Some(namespace), simple),
            None => (None, name),
        };
        let class = self.classes.get(simple)?;
        namespace
            .is_none_or(|namespace| namespace == class.namespace)
            .then_some(class)
    }

    /// Extension methods of a name.
    pub(crate) fn extensions(&self, name: &str) -> &[Arc<Entry>] {
        self.extensions.get(name).map_or(&[], Vec::as_slice)
    }

    /// What a type derives from directly.
    pub(crate) fn bases(&self, kind: &Type) -> Vec<Type> {
        let Some((class, arguments)) = self.class(kind) else {
            return Vec::new();
        };
        class
            .bases
            .iter()
            .map(|base| substitute(base, &class.parameters, &arguments))
            .collect()
    }

    /// Whether values of a type cannot be null.
    pub(crate) fn is_value(&self, kind: &Type) -> bool {
        match kind {
            Type::Bool | Type::Char | Type::Number(_) | Type::Nullable(_) => true,
            Type::Named(name, _) => self
                .classes
                .get(name)
                .is_some_and(|class| class.kind != TableKind::Class),
            _ => false,
        }
    }
}

/// A name that is like one that is not known, but for its case.
pub(crate) fn alike<'n>(
    names: impl Iterator<Item = &'n Arc<str>>,
    wanted: &str,
) -> Option<Arc<str>> {
    names
        .filter(|name| name.eq_ignore_ascii_case(wanted))
        .min()
        .cloned()
}

/// A type with type parameters replaced.
pub(crate) fn substitute(kind: &Type, parameters: &[Arc<str>], arguments: &[Type]) -> Type {
    let inner = |kind: &Type| substitute(kind, parameters, arguments);
    match kind {
        Type::Parameter(name) => parameters
            .iter()
            .position(|parameter| parameter == name)
            .and_then(|index| arguments.get(index))
            .cloned()
            .unwrap_or_else(|| kind.clone()),
        Type::Array(element) => Type::array(inner(element)),
        Type::Nullable(value) => Type::Nullable(Arc::new(inner(value))),
        Type::Named(name, arguments) => Type::Named(name, arguments.iter().map(inner).collect()),
        Type::Function(parameters, result) => Type::Function(
            parameters.iter().map(inner).collect(),
            Arc::new(inner(result)),
        ),
        other => other.clone(),
    }
}

fn primitive(name: &str) -> Option<Type> {
    Some(match name {
        "void" => Type::Void,
        "object" | "Object" => Type::Object,
        "bool" | "Boolean" => Type::Bool,
        "char" | "Char" => Type::Char,
        "string" | "String" => Type::String,
        "sbyte" | "SByte" => Type::Number(Kind::SByte),
        "byte" | "Byte" => Type::Number(Kind::Byte),
        "short" | "Int16" => Type::Number(Kind::Short),
        "ushort" | "UInt16" => Type::Number(Kind::UShort),
        "int" | "Int32" => Type::Number(Kind::Int),
        "uint" | "UInt32" => Type::Number(Kind::UInt),
        "long" | "Int64" => Type::Number(Kind::Long),
        "ulong" | "UInt64" => Type::Number(Kind::ULong),
        "float" | "Single" => Type::Number(Kind::Float),
        "double" | "Double" => Type::Number(Kind::Double),
        "decimal" | "Decimal" => Type::Number(Kind::Decimal),
        _ => return None,
    })
}

/// Whether a table is of a struct or enumeration.
pub(crate) fn is_struct(name: &str) -> bool {
    registry()
        .classes
        .get(name)
        .is_some_and(|class| class.kind != TableKind::Class)
}

/// Whether a type is another or derives from it.
pub(crate) fn derives(from: &Type, to: &Type) -> bool {
    if from == to || (*to == Type::Object && *from != Type::Void) {
        return true;
    }
    match (from, to) {
        (Type::Array(a), Type::Array(b)) if covariant(a, b) => return true,
        (Type::Named(a, from), Type::Named(b, to))
            if a == b
                && a.starts_with('I')
                && from
                    .iter()
                    .zip(to.iter())
                    .all(|(a, b)| a == b || covariant(a, b)) =>
        {
            return true;
        }
        // Walked queries are of objects: what they hold was checked before.
        _ => {}
    }
    registry().bases(from).iter().any(|base| derives(base, to))
}

fn covariant(from: &Type, to: &Type) -> bool {
    !registry().is_value(from) && derives(from, to)
}

/// The form of a type under a generic name: `IEnumerable<char>` of `string`.
pub(crate) fn as_base(kind: &Type, name: &str) -> Option<Type> {
    let own = match kind {
        Type::Named(own, _) => *own == name,
        _ => false,
    };
    if own {
        return Some(kind.clone());
    }
    registry()
        .bases(kind)
        .iter()
        .find_map(|base| as_base(base, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_can_be_read() {
        assert_eq!(registry().problems, Vec::<String>::new());
    }

    #[test]
    fn no_signature_stands_twice_in_a_table() {
        for table in super::super::TABLES.iter().flat_map(|file| file.iter()) {
            let mut signatures: Vec<&str> = table.members.iter().map(|member| member.0).collect();
            let all = signatures.len();
            signatures.sort_unstable();
            signatures.dedup();
            assert_eq!(signatures.len(), all, "{}", table.name);
        }
    }
}
