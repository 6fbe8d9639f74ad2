//! What a composed document must keep before anything is sent.

use super::document::{PolicyDocument, PolicyError, Statement, Tier};
use super::literal;
use super::model::{Element, Node, Section, Target};

/// Everything that is wrong with the document.
#[must_use]
pub fn check(document: &PolicyDocument, target: &Target, tier: Tier) -> Vec<PolicyError> {
    let mut errors = Vec::new();
    for (section, statements) in &document.sections {
        for statement in statements {
            let mut walk = Walk {
                statement,
                section: *section,
                target,
                errors: &mut errors,
            };
            if let Some(element) = statement.element() {
                walk.element(element, None);
            }
        }
    }
    let _ = tier;
    errors
}

struct Walk<'a> {
    statement: &'a Statement,
    section: Section,
    target: &'a Target,
    errors: &'a mut Vec<PolicyError>,
}

impl Walk<'_> {
    fn error(&mut self, pointer: Option<&str>, message: String) {
        self.errors.push(PolicyError {
            plugin: self.statement.plugin.clone(),
            pointer: pointer.map(str::to_owned),
            document: self.target.clone(),
            section: Some(self.section),
            message,
        });
    }

    fn element(&mut self, element: &Element, pointer: Option<&str>) {
        let pointer = element.pointer.as_deref().or(pointer);
        for attribute in &element.attributes {
            let pointer = attribute.value.pointer.as_deref().or(pointer);
            for problem in literal::problems(&attribute.value) {
                self.error(
                    pointer,
                    format!(
                        "attribute '{}' of '{}': {problem}",
                        attribute.name, element.name
                    ),
                );
            }
        }
        for child in &element.children {
            match child {
                Node::Element(child) => self.element(child, pointer),
                Node::Text(value) => {
                    let pointer = value.pointer.as_deref().or(pointer);
                    for problem in literal::problems(value) {
                        self.error(pointer, format!("text of '{}': {problem}", element.name));
                    }
                }
                Node::Comment(_) => {}
            }
        }
        for problem in literal::run_problems(&element.children) {
            self.error(pointer, format!("text of '{}': {problem}", element.name));
        }
    }
}
