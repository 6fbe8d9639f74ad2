//! From an `ApimProduct` to the product that should exist.

use std::collections::BTreeSet;

use serde::Serialize;

use super::spec::ApimProductSpec;
use crate::desired::PolicyText;
use crate::instance::Instance;
use crate::mark::marked;
use crate::mark::{self, OwnershipMark};
use crate::names::{ContentHash, InvalidName, ObjectKey, ProductId};
use crate::policy::{Grants, ReferenceKind};
use crate::problem::Problem;
use crate::tier::Tier;

/// The longest display name and description (ARM specification 2024-05-01).
const MAX_DISPLAY_NAME: usize = 300;
const MAX_DESCRIPTION: usize = 1000;

/// The group that every product is in.
pub(super) const ADMINISTRATORS: &str = "administrators";
/// Groups that every service has.
const BUILT_IN: [&str; 3] = [ADMINISTRATORS, "developers", "guests"];

/// A product that should exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredProduct {
    /// `<prefix><namespace>.<name>`.
    pub id: ProductId,
    /// What marks it as this object's; it ends the description.
    pub mark: String,
    /// Its settings.
    pub settings: ProductSettings,
    /// The groups beside the administrators, in lower case.
    pub groups: BTreeSet<String>,
    /// Its policy document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyText>,
}

/// The settings of a product that the operator owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductSettings {
    /// 1 to 300 characters.
    pub display_name: String,
    /// At most 1,000 characters, with the mark.
    pub description: String,
    /// Empty: none.
    pub terms: String,
    /// Whether its APIs need a key.
    pub subscription_required: bool,
    /// Absent where none is required.
    pub approval_required: Option<bool>,
    /// Absent: any number.
    pub subscriptions_limit: Option<u32>,
    /// Whether keys open it.
    pub published: bool,
}

impl DesiredProduct {
    /// One hash for all of it.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        ContentHash::of_json(self)
    }
}

/// The id of the product of an object.
pub fn product_id(instance: &Instance, key: &ObjectKey) -> Result<ProductId, InvalidName> {
    let id = mark::api_id(&instance.spec.api_id_prefix, key)?;
    ProductId::parse(id.as_str())
}

/// The product of an object, or everything that is wrong with it. `sku` is the
/// instance's tier.
pub fn product(
    spec: &ApimProductSpec,
    key: &ObjectKey,
    instance: &Instance,
    sku: &str,
    grants: &Grants,
    cluster: &str,
) -> Result<DesiredProduct, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut wrong = |field: &str, message: String| {
        problems.push(Problem::new(format!("spec.{field}"), message));
    };
    let display_name = spec.display_name.as_deref().unwrap_or(&key.name).trim();
    if !(1..=MAX_DISPLAY_NAME).contains(&display_name.chars().count()) {
        wrong(
            "displayName",
            format!("has to have 1 to {MAX_DISPLAY_NAME} characters"),
        );
    }
    let mark = OwnershipMark::new(cluster, key);
    let text = spec.description.as_deref().unwrap_or_default().trim();
    if text.contains("<!--") {
        wrong(
            "description",
            "holds a comment (`<!--`), and the operator's mark is one; remove it".to_owned(),
        );
    }
    let description = marked(text, mark.as_str());
    let length = description.encode_utf16().count();
    if length > MAX_DESCRIPTION {
        let room = MAX_DESCRIPTION.saturating_sub(marked("", mark.as_str()).len() + 1);
        wrong(
            "description",
            format!("is too long: beside the operator's mark there is room for {room} characters"),
        );
    }
    if !spec.subscription_required {
        let given = [
            ("approvalRequired", spec.approval_required == Some(true)),
            ("subscriptionsLimit", spec.subscriptions_limit.is_some()),
        ];
        for (field, _) in given.into_iter().filter(|(_, given)| *given) {
            wrong(
                field,
                "has no meaning where `subscriptionRequired` is false; remove one of the two"
                    .to_owned(),
            );
        }
    }
    let mut groups = BTreeSet::new();
    for (i, group) in spec.groups.iter().enumerate() {
        if let Err(message) = may_see(group, instance, sku, grants) {
            wrong(&format!("groups[{i}]"), message);
        }
        groups.insert(group.to_ascii_lowercase());
    }
    groups.remove(ADMINISTRATORS);
    let id = product_id(instance, key)
        .map_err(|error| wrong("metadata.name", error.to_string()))
        .ok();
    match id {
        Some(id) if problems.is_empty() => Ok(DesiredProduct {
            id,
            mark: mark.to_string(),
            settings: ProductSettings {
                display_name: display_name.to_owned(),
                description,
                terms: spec.terms.clone().unwrap_or_default(),
                subscription_required: spec.subscription_required,
                approval_required: spec
                    .subscription_required
                    .then(|| spec.approval_required.unwrap_or_default()),
                subscriptions_limit: spec.subscriptions_limit,
                published: spec.published,
            },
            groups,
            policy: None,
        }),
        _ => Err(problems),
    }
}

fn may_see(group: &str, instance: &Instance, sku: &str, grants: &Grants) -> Result<(), String> {
    if Tier::from_sku(sku) == Tier::Consumption {
        return Err(format!(
            "instance `{}` has tier {sku}, in which there are no groups; remove them",
            instance.name
        ));
    }
    let known = BUILT_IN.iter().any(|one| one.eq_ignore_ascii_case(group));
    if known || grants.allow(ReferenceKind::Group, Some(group)) {
        return Ok(());
    }
    Err(format!(
        "instance `{}` does not grant group `{}` to this namespace; name `developers` or `guests`, or ask the \
         platform team for a grant of kind `group`",
        instance.name,
        crate::annotations::nearest::shown(group)
    ))
}
