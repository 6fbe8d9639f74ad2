//! From the plugins' fragments to the documents of one API.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Documents, PolicyDocument, PolicyError, Statement};
use super::literal::shown;
use super::model::{Attribute, Element, Fragment, Generated, Node, Phase, Section, Target, Value};
use super::references::{Grants, OwnValues, ReferenceKind, check_references};
use super::{check, depth};
use crate::policy_plugin::Capabilities;
use crate::tier::Tier;

/// What one plugin of the chain brings.
#[derive(Debug, Clone)]
pub struct Contribution<'a> {
    /// The plugin's name in the cluster; errors name it.
    pub plugin: &'a str,
    /// Where its fragments stand in a section.
    pub phase: Phase,
    /// Mandatory plugins come first in their phase.
    pub mandatory: bool,
    /// The order among equals: what the platform set, then the position in the
    /// chain.
    pub order: (i64, usize),
    /// The sections that its descriptor declares.
    pub sections: &'a [Section],
    /// What the platform lets it do beyond writing known policies in their
    /// usual places.
    pub capabilities: &'a Capabilities,
    /// What it returned.
    pub generated: Generated,
}

/// The only element that every preflight plugin may write.
const PREFLIGHT: &str = "cors";

/// Puts the fragments of all plugins in their places and checks the result.
///
/// All problems are reported, not only the first. Nothing of the instance may
/// be used (named values, certificates, …); where something is granted, use
/// [`compose_granted`].
pub fn compose(
    contributions: &[Contribution<'_>],
    tier: Tier,
) -> Result<Documents, Vec<PolicyError>> {
    compose_granted(contributions, tier, &Grants::default())
}

/// As [`compose`], for an object to which the instance grants something.
pub fn compose_granted(
    contributions: &[Contribution<'_>],
    tier: Tier,
    grants: &Grants,
) -> Result<Documents, Vec<PolicyError>> {
    compose_with(
        contributions,
        tier,
        grants,
        &OwnValues::new(),
        &Sends::default(),
    )
}

/// As [`compose_granted`], for an object whose profiles give single plugins
/// something besides, and of which `sends` says where its requests go.
pub fn compose_with(
    contributions: &[Contribution<'_>],
    tier: Tier,
    grants: &Grants,
    own: &OwnValues<'_>,
    sends: &Sends,
) -> Result<Documents, Vec<PolicyError>> {
    let errors: Vec<PolicyError> = contributions
        .iter()
        .flat_map(|contribution| {
            contribution
                .generated
                .fragments
                .iter()
                .filter_map(|fragment| misplaced(contribution, fragment))
        })
        .chain(contested_backends(contributions))
        .collect();
    // A tree that is too deep must not reach anything that recurses.
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut ordered: Vec<_> = contributions.iter().collect();
    ordered.sort_by_key(|c| (c.phase, !c.mandatory, c.order));
    let operations: BTreeSet<&str> = fragments(contributions)
        .filter_map(|(_, fragment)| match &fragment.target {
            Target::Operation(id) if !fragment.elements.is_empty() => Some(id.as_str()),
            _ => None,
        })
        .chain(sends.operations.keys().map(String::as_str))
        .collect();
    let mut documents = Documents {
        api: document(&ordered, &Target::Api),
        operations: operations
            .into_iter()
            .map(|id| {
                let target = Target::Operation(id.to_owned());
                (id.to_owned(), document(&ordered, &target))
            })
            .collect(),
    };
    if let Some(to) = &sends.api {
        send(&mut documents.api, to);
    }
    for (id, to) in &sends.operations {
        if let Some(document) = documents.operations.get_mut(id) {
            send(document, to);
        }
    }
    let grants = &sends.granted(grants);
    let passthrough: BTreeMap<&str, &[String]> = contributions
        .iter()
        .map(|c| (c.plugin, c.capabilities.passthrough_elements.as_slice()))
        .collect();
    let errors: Vec<_> = documents
        .iter()
        .flat_map(|(target, document)| {
            let mut errors = check::check_granted(document, &target, tier, &passthrough);
            errors.extend(check_references(document, &target, grants, own));
            errors
        })
        .collect();
    if errors.is_empty() {
        Ok(documents)
    } else {
        Err(errors)
    }
}

fn fragments<'c>(
    contributions: &'c [Contribution<'_>],
) -> impl Iterator<Item = (&'c str, &'c Fragment)> {
    contributions
        .iter()
        .flat_map(|c| c.generated.fragments.iter().map(move |f| (c.plugin, f)))
}

fn document(ordered: &[&Contribution<'_>], target: &Target) -> PolicyDocument {
    let sections = Section::ALL.into_iter().map(|section| {
        let statements = |before_base: bool| {
            ordered
                .iter()
                .filter(move |c| (c.phase == Phase::Preflight) == before_base)
                .flat_map(move |c| {
                    c.generated
                        .fragments
                        .iter()
                        .filter(move |f| f.section == section && f.target == *target)
                        .flat_map(move |f| {
                            f.elements.iter().map(move |element| Statement {
                                plugin: Some(c.plugin.to_owned()),
                                node: Node::Element(element.clone()),
                            })
                        })
                })
        };
        let mut all: Vec<_> = statements(true).collect();
        let own = statements(false).collect::<Vec<_>>();
        // Whoever fills `backend` says how the request is forwarded; `<base/>`
        // beside it would forward it twice.
        if section != Section::Backend || (all.is_empty() && own.is_empty()) {
            all.push(Statement::base());
        }
        all.extend(own);
        (section, all)
    });
    PolicyDocument {
        sections: sections.collect(),
        comments: Vec::new(),
    }
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendTo {
    /// To this URL.
    Url(String),
    /// To the backend of this id, which is the object's own.
    Backend(String),
}

/// Where the requests of an API go, besides to its service URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sends {
    /// Those of the API.
    pub api: Option<SendTo>,
    /// Those of single operations, by id.
    pub operations: BTreeMap<String, SendTo>,
}

impl Sends {
    /// What is granted, and the object's own backends.
    fn granted(&self, grants: &Grants) -> Grants {
        let mut grants = grants.clone();
        for to in self.api.iter().chain(self.operations.values()) {
            if let SendTo::Backend(id) = to {
                let backends = grants.0.entry(ReferenceKind::Backend).or_default();
                if !backends.contains(id) {
                    backends.push(id.clone());
                }
            }
        }
        grants
    }
}

/// Sends requests elsewhere than to the API's service URL. Plugins come later,
/// and may decide otherwise.
fn send(document: &mut PolicyDocument, to: &SendTo) {
    let (name, value) = match to {
        SendTo::Url(url) => ("base-url", url),
        SendTo::Backend(id) => ("backend-id", id),
    };
    let mut element = Element::new("set-backend-service");
    element.attributes.push(Attribute {
        name: name.to_owned(),
        value: Value::literal(value),
    });
    let statement = Statement {
        plugin: None,
        node: Node::Element(element),
    };
    let base = Statement::base();
    let inbound = document.sections.entry(Section::Inbound).or_default();
    let after = inbound.iter().position(|one| *one == base);
    inbound.insert(after.map_or(0, |base| base + 1), statement);
}

/// A fragment that may not be where it wants to be, or is too deep to look at.
fn misplaced(contribution: &Contribution<'_>, fragment: &Fragment) -> Option<PolicyError> {
    let error = |element: Option<&Element>, message: String| {
        Some(PolicyError {
            plugin: Some(contribution.plugin.to_owned()),
            pointer: element.and_then(|e| e.pointer.clone()),
            document: fragment.target.clone(),
            section: Some(fragment.section),
            message,
        })
    };
    if !contribution.sections.contains(&fragment.section) {
        let declared: Vec<_> = contribution.sections.iter().map(|s| s.as_str()).collect();
        return error(
            None,
            format!(
                "the plugin returned a fragment for section '{}', but its descriptor declares [{}]; \
                 add the section to the descriptor or leave the fragment out",
                fragment.section,
                declared.join(", ")
            ),
        );
    }
    if let Some(element) = fragment
        .elements
        .iter()
        .find(|e| depth(e) > super::MAX_DEPTH)
    {
        return error(
            Some(element),
            format!(
                "element '{}' holds elements nested more than {} deep; make the policy flatter",
                element.name,
                super::MAX_DEPTH
            ),
        );
    }
    if contribution.phase != Phase::Preflight {
        return None;
    }
    let granted = &contribution.capabilities.preflight_elements;
    let element = fragment
        .elements
        .iter()
        .find(|e| e.name != PREFLIGHT && !granted.contains(&e.name))?;
    error(
        Some(element),
        format!(
            "phase 'preflight' stands before <base/> and may hold '{PREFLIGHT}' only, not '{}'; \
             choose a later phase in the plugin's descriptor, or have the platform list the policy in \
             `spec.capabilities.preflightElements` of the PolicyPlugin",
            shown(&element.name)
        ),
    )
}

/// Pairs of plugins that both say how requests are forwarded.
fn contested_backends(contributions: &[Contribution<'_>]) -> Vec<PolicyError> {
    let mut fillers: BTreeMap<&Target, Vec<&str>> = BTreeMap::new();
    for (plugin, fragment) in fragments(contributions) {
        if fragment.section == Section::Backend && !fragment.elements.is_empty() {
            let plugins = fillers.entry(&fragment.target).or_default();
            if !plugins.contains(&plugin) {
                plugins.push(plugin);
            }
        }
    }
    let of_api = fillers.get(&Target::Api).cloned().unwrap_or_default();
    let mut errors = Vec::new();
    for (target, plugins) in fillers {
        let inherited = if *target == Target::Api {
            &[][..]
        } else {
            &of_api
        };
        let mut rivals = inherited.to_vec();
        rivals.extend(plugins.iter().filter(|p| !inherited.contains(p)));
        if let [first, .., second] = rivals[..]
            && (*target == Target::Api
                || plugins.len() > 1
                || !plugins.iter().all(|p| inherited.contains(p)))
        {
            errors.push(PolicyError {
                plugin: Some(second.to_owned()),
                pointer: None,
                document: target.clone(),
                section: Some(Section::Backend),
                message: format!(
                    "plugins '{first}' and '{second}' both fill section 'backend', which decides how the \
                     request is forwarded; remove one of them from the chain"
                ),
            });
        }
    }
    errors
}

#[cfg(test)]
mod tests;
