//! Compiled documents and how those of several scopes become one chain.

use super::{CompileError, Compiler, Scope, Section};
use crate::policies::{Broken, Policy};
use policy_document::{Element, PolicyFormat};
use smallvec::SmallVec;
use std::sync::Arc;

/// One policy of a document.
pub(crate) struct Step {
    pub(crate) name: String,
    /// The element's `id`.
    pub(crate) id: Option<String>,
    pub(crate) scope: Scope,
    pub(crate) section: Section,
    /// Its place in the section, as `choose[3]/when[2]/set-header[1]`.
    pub(crate) path: String,
    pub(crate) policy: Box<dyn Policy>,
    /// As it is written, where it stands directly in a section.
    pub(crate) written: Option<Arc<Element>>,
}

/// What stands in a section.
pub(crate) enum Item {
    /// `<base/>`: what the next outer scope has in this section.
    Base,
    Step(Step),
}

/// The sections of one document. A section that is not written is inherited,
/// as if it held `<base/>` alone (inferred: documents without `<backend>`
/// forward requests).
#[derive(Default)]
pub(crate) struct Document {
    sections: [Option<Vec<Item>>; 4],
}

pub(crate) const SECTIONS: [Section; 4] = [
    Section::Inbound,
    Section::Backend,
    Section::Outbound,
    Section::OnError,
];

pub(crate) fn parse(text: &str) -> Result<policy_document::Document, CompileError> {
    policy_document::parse(text, PolicyFormat::RawXml).map_err(|error| CompileError {
        element: "representation".to_owned(),
        line: 0,
        column: 0,
        message: error.to_string(),
    })
}

impl Document {
    pub(crate) fn compile(text: &str, compiler: &mut Compiler<'_>) -> Result<Self, CompileError> {
        Self::of(&parse(text)?, compiler)
    }

    pub(crate) fn of(
        parsed: &policy_document::Document,
        compiler: &mut Compiler<'_>,
    ) -> Result<Self, CompileError> {
        let mut document = Self::default();
        for element in parsed.root.elements() {
            let Some(place) = SECTIONS
                .iter()
                .position(|section| section.name() == element.name)
            else {
                return Err(CompileError::new(
                    element,
                    "Policy section is not allowed in the specified scope",
                ));
            };
            // The last of two would take the place of the first, and of what
            // that protects.
            if document.sections[place].is_some() {
                return Err(CompileError::new(
                    element,
                    "Policy section must not be specified more than once",
                ));
            }
            compiler.section = SECTIONS[place];
            document.sections[place] = Some(Self::section(element, compiler)?);
        }
        Ok(document)
    }

    fn section(element: &Element, compiler: &mut Compiler<'_>) -> Result<Vec<Item>, CompileError> {
        let mut items = Vec::new();
        for (index, child) in element.elements().enumerate() {
            items.push(if child.name == "base" {
                Item::Base
            } else {
                let mut step = compiler.step(child, index)?;
                step.written = Some(Arc::new(child.clone()));
                Item::Step(step)
            });
        }
        Ok(items)
    }

    /// The document that stands for one that cannot be compiled: whatever
    /// comes is refused, so nothing passes unprotected.
    pub(crate) fn broken(error: &CompileError, scope: Scope) -> Self {
        let step = Step {
            name: error.element.clone(),
            id: None,
            scope,
            section: Section::Inbound,
            path: error.element.clone(),
            policy: Box::new(Broken(error.to_string())),
            written: None,
        };
        Self {
            sections: [Some(vec![Item::Step(step)]), None, None, None],
        }
    }
}

/// The documents that hold for a request, from the outermost scope to the
/// innermost.
#[derive(Default, Clone)]
pub(crate) struct Chain(pub(crate) SmallVec<[Arc<Document>; 4]>);

/// Policies in the order in which they run: few enough, nearly always, to take
/// no memory of their own.
pub(crate) type Steps<'c> = SmallVec<[&'c Step; 12]>;

impl Chain {
    /// The policies of a section in the order in which they run.
    pub(crate) fn steps(&self, section: Section) -> Steps<'_> {
        let place = SECTIONS
            .iter()
            .position(|known| *known == section)
            .unwrap_or_default();
        let mut steps = Steps::new();
        expand(&self.0, place, &mut steps);
        steps
    }
}

fn expand<'c>(documents: &'c [Arc<Document>], place: usize, steps: &mut Steps<'c>) {
    let Some((inner, outer)) = documents.split_last() else {
        return;
    };
    match &inner.sections[place] {
        None => expand(outer, place, steps),
        Some(items) => {
            for item in items {
                match item {
                    Item::Base => expand(outer, place, steps),
                    Item::Step(step) => steps.push(step),
                }
            }
        }
    }
}
