//! The form of the schema table: what `table.rs` is written with. Everything
//! is `const`, so that a table that does not hold together does not compile.

use super::datatype::{Base, Datatype};

/// A section of a policy document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Inbound,
    Backend,
    Outbound,
    OnError,
}

impl Section {
    pub(super) fn of_element(name: &str) -> Option<Self> {
        match name {
            "inbound" => Some(Self::Inbound),
            "backend" => Some(Self::Backend),
            "outbound" => Some(Self::Outbound),
            "on-error" => Some(Self::OnError),
            _ => None,
        }
    }
}

/// One policy: a global element of the published schemas.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) name: &'static str,
    /// Where it may stand; empty where only other policies may hold it.
    pub(super) sections: &'static [Section],
    pub(super) definition: Definition,
}

/// What an element may carry.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) attributes: &'static [AttributeShape],
    pub(super) content: Content,
}

/// One declared attribute.
#[derive(Debug)]
pub(super) struct AttributeShape {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) datatype: Datatype,
}

/// What may stand between an element's tags.
#[derive(Debug)]
pub(super) enum Content {
    /// Nothing.
    Empty,
    /// Text of a type.
    Text(Datatype),
    /// Child elements, and text between them if `mixed`.
    Children {
        mixed: bool,
        particle: &'static Particle,
    },
    /// `xs:anyType`: whatever the policy of the same name may hold, else all.
    Anything,
}

/// A part of a content model with how often it may occur.
#[derive(Debug)]
pub(super) struct Particle {
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) term: Term,
}

/// What a particle is.
#[derive(Debug)]
pub(super) enum Term {
    Element(&'static str, Definition),
    Sequence(&'static [Particle]),
    Choice(&'static [Particle]),
    All(&'static [Particle]),
    Any,
}

/// `maxOccurs="unbounded"`.
pub(super) const MANY: u32 = u32::MAX;

pub(super) const fn policy(
    name: &'static str,
    sections: &'static [Section],
    definition: Definition,
) -> Policy {
    Policy {
        name,
        sections,
        definition,
    }
}

pub(super) const fn of(attributes: &'static [AttributeShape], content: Content) -> Definition {
    Definition {
        attributes,
        content,
    }
}

pub(super) const fn required(name: &'static str, datatype: Datatype) -> AttributeShape {
    AttributeShape {
        name,
        required: true,
        datatype,
    }
}

pub(super) const fn optional(name: &'static str, datatype: Datatype) -> AttributeShape {
    AttributeShape {
        name,
        required: false,
        datatype,
    }
}

pub(super) const fn children(particle: &'static Particle) -> Content {
    Content::Children {
        mixed: false,
        particle,
    }
}

pub(super) const fn mixed(particle: &'static Particle) -> Content {
    Content::Children {
        mixed: true,
        particle,
    }
}

pub(super) const fn element(
    name: &'static str,
    min: u32,
    max: u32,
    definition: Definition,
) -> Particle {
    Particle {
        min,
        max,
        term: Term::Element(name, definition),
    }
}

pub(super) const fn sequence(min: u32, max: u32, items: &'static [Particle]) -> Particle {
    Particle {
        min,
        max,
        term: Term::Sequence(items),
    }
}

pub(super) const fn choice(min: u32, max: u32, items: &'static [Particle]) -> Particle {
    Particle {
        min,
        max,
        term: Term::Choice(items),
    }
}

pub(super) const fn all(min: u32, max: u32, items: &'static [Particle]) -> Particle {
    Particle {
        min,
        max,
        term: Term::All(items),
    }
}

pub(super) const fn any(min: u32, max: u32) -> Particle {
    Particle {
        min,
        max,
        term: Term::Any,
    }
}

/// A type that takes no expression.
pub(super) const fn plain(name: &'static str, base: Base) -> Datatype {
    Datatype {
        name,
        base,
        expression: false,
    }
}

/// A union of a type with the schemas' `expression`.
pub(super) const fn or_expression(base: Base) -> Datatype {
    Datatype {
        name: "",
        base,
        expression: true,
    }
}
