//! `new`.

use super::{Checker, Typed};
use crate::error::{Position, Refusal};
use crate::evaluate::{Code, Op, Target};
use crate::syntax::{Argument, Initializer, Node, Section, TypeName};
use crate::types::Type;

impl Checker {
    pub(super) fn creation(
        &mut self,
        at: Position,
        name: &TypeName,
        arguments: &[Argument],
        initializer: Option<&Initializer>,
    ) -> Result<Typed, Refusal> {
        let kind = Self::resolve(name)?;
        let made = self.construct(at, &kind, arguments)?;
        let Some(initializer) = initializer else {
            return Ok(Typed { code: made, kind });
        };
        let slot = self.temporary(at)?;
        let whole = || Typed::new(at, Op::Local(slot), kind.clone());
        let mut codes = vec![Code {
            at,
            op: Op::Set(Target::Local(slot), Box::new(made)),
        }];
        match initializer {
            Initializer::Items(items) => {
                for item in items {
                    let mut values = Vec::new();
                    for value in item {
                        values.push(self.value(value)?);
                    }
                    codes.push(self.method_of(at, whole(), &"Add".into(), values)?.code);
                }
            }
            Initializer::Members(members) => {
                for (section, value) in members {
                    let (setter, mut values) = match section {
                        Section::Name(name) => (format!("set_{name}"), Vec::new()),
                        Section::Index(index) => ("set_Item".to_owned(), vec![self.value(index)?]),
                    };
                    if Self::members(&kind, &setter).is_empty() {
                        return Err(Refusal::new(
                            value.at,
                            format!(
                                "'{kind}' has no such property to set, or it is not known here"
                            ),
                        ));
                    }
                    values.push(self.value(value)?);
                    codes.push(self.method_of(at, whole(), &setter.into(), values)?.code);
                }
            }
        }
        codes.push(whole().code);
        Ok(Typed::new(at, Op::Sequence(codes), kind))
    }

    pub(super) fn new_array(
        &mut self,
        at: Position,
        name: Option<&TypeName>,
        length: Option<&Node>,
        items: Option<&[Node]>,
    ) -> Result<Typed, Refusal> {
        let element = name.map(Self::resolve).transpose()?;
        if let (Some(element), Some(length)) = (&element, length) {
            let length = Self::convert(self.value(length)?, &Type::INT)?;
            let op = Op::NewArray(element.clone(), Box::new(length));
            return Ok(Typed::new(at, op, Type::array(element.clone())));
        }
        let mut values = Vec::new();
        for item in items.unwrap_or_default() {
            values.push(match &element {
                Some(element) => Typed {
                    code: self.value_for(item, element)?,
                    kind: element.clone(),
                },
                None => self.value(item)?,
            });
        }
        let element = match element {
            Some(element) => element,
            None => best(&values)
                .ok_or_else(|| Refusal::new(at, "No best type found for implicitly-typed array"))?,
        };
        let mut codes = Vec::new();
        for value in values {
            codes.push(Self::convert(value, &element)?);
        }
        let op = Op::ArrayOf(element.clone(), codes);
        Ok(Typed::new(at, op, Type::array(element)))
    }
}

/// The one of the values' types to which all others convert.
fn best(values: &[Typed]) -> Option<Type> {
    values
        .iter()
        .map(|value| &value.kind)
        .find(|kind| {
            **kind != Type::Null
                && values.iter().all(|value| {
                    super::conversions::implicit(&value.kind, kind, value.constant()).is_some()
                })
        })
        .cloned()
}
