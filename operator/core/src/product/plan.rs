//! From the product that is there to the one that should be.
//!
//! A product is made unpublished, so that no key opens anything before all of
//! it is in place, and published last.

use std::collections::BTreeSet;
use std::fmt;

use super::desired::{ADMINISTRATORS, DesiredProduct, ProductSettings};
use crate::apim::{ObservedPolicy, same_document};
use crate::desired::PolicyText;
use crate::mark::mark_in;

/// A product as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedProduct {
    /// For `If-Match`.
    pub etag: Option<String>,
    /// Its settings.
    pub settings: ProductSettings,
    /// Its groups, in lower case.
    pub groups: BTreeSet<String>,
    /// Its policy document.
    pub policy: Option<ObservedPolicy>,
}

/// One step; each is one ARM write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductStep {
    /// Makes it, unpublished.
    Create(ProductSettings),
    /// Lets a group see it.
    EnterGroup(String),
    /// Hides it from a group.
    LeaveGroup(String),
    /// Its policy document.
    PutPolicy(PolicyText),
    /// Removes its policy document.
    DeletePolicy,
    /// Sets all settings.
    Change(ProductSettings),
}

/// A product that is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "product `{id}` exists in API Management and is not this object's: {}; it is left alone. Choose another name for the object, or delete that product",
    whose.as_deref().map_or_else(|| "its description does not end with a mark of this operator".to_owned(), |mark| format!("it carries the mark `{mark}`"))
)]
pub struct Refused {
    /// Its id.
    pub id: String,
    /// The mark that it carries, if any.
    pub whose: Option<String>,
}

impl ObservedProduct {
    /// Whether it carries this mark.
    #[must_use]
    pub fn carries(&self, mark: &str) -> bool {
        mark_in(&self.settings.description).1 == Some(mark)
    }
}

/// The steps from what is there to what should be, in their order.
pub fn steps(
    desired: &DesiredProduct,
    observed: Option<&ObservedProduct>,
) -> Result<Vec<ProductStep>, Refused> {
    let wanted = &desired.settings;
    let Some(found) = observed else {
        let mut steps = vec![ProductStep::Create(ProductSettings {
            published: false,
            ..wanted.clone()
        })];
        let groups = desired.groups.iter().cloned();
        steps.extend(groups.map(ProductStep::EnterGroup));
        steps.extend(desired.policy.clone().map(ProductStep::PutPolicy));
        if wanted.published {
            steps.push(ProductStep::Change(wanted.clone()));
        }
        return Ok(steps);
    };
    if !found.carries(&desired.mark) {
        return Err(Refused {
            id: desired.id.to_string(),
            whose: mark_in(&found.settings.description).1.map(str::to_owned),
        });
    }
    let enter = desired.groups.difference(&found.groups).cloned();
    let leave = found
        .groups
        .iter()
        .filter(|group| *group != ADMINISTRATORS && !desired.groups.contains(*group))
        .cloned();
    let change = (found.settings != *wanted).then(|| ProductStep::Change(wanted.clone()));
    let in_place = match (&desired.policy, &found.policy) {
        (Some(wanted), Some(there)) => same_document(&there.text, &wanted.text),
        (wanted, there) => wanted.is_none() && there.is_none(),
    };
    let put = desired.policy.clone().filter(|_| !in_place);
    let delete = desired.policy.is_none() && !in_place;
    // What closes something comes before what opens something.
    Ok(leave
        .map(ProductStep::LeaveGroup)
        .chain(put.map(ProductStep::PutPolicy))
        .chain(change)
        .chain(delete.then_some(ProductStep::DeletePolicy))
        .chain(enter.map(ProductStep::EnterGroup))
        .collect())
}

/// The description without the mark, for a product that stays behind.
#[must_use]
pub fn released(found: &ObservedProduct) -> String {
    mark_in(&found.settings.description).0.to_owned()
}

/// What keeps a product from being deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Use {
    /// The ids of APIs that are in it.
    pub apis: Vec<String>,
    /// The ids of subscriptions to it.
    pub subscriptions: Vec<String>,
}

impl Use {
    /// Whether nobody uses it.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.apis.is_empty() && self.subscriptions.is_empty()
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// How many are named.
        const NAMED: usize = 5;
        let mut first = true;
        for (what, ids) in [("API", &self.apis), ("subscription", &self.subscriptions)] {
            if ids.is_empty() {
                continue;
            }
            let named: Vec<&str> = ids.iter().take(NAMED).map(String::as_str).collect();
            let more = match ids.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let comma = if first { "" } else { "; " };
            write!(f, "{comma}{what} {}{more}", named.join(", "))?;
            first = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mark::marked;
    use crate::names::ProductId;

    const MARK: &str = "apim-operator/1 01234567 shop/gold";

    fn settings(name: &str, published: bool) -> ProductSettings {
        ProductSettings {
            display_name: name.to_owned(),
            description: marked("For partners", MARK),
            terms: String::new(),
            subscription_required: true,
            approval_required: Some(false),
            subscriptions_limit: None,
            published,
        }
    }

    fn desired(name: &str, groups: &[&str], published: bool) -> DesiredProduct {
        DesiredProduct {
            id: ProductId::parse("shop.gold").unwrap(),
            mark: MARK.to_owned(),
            settings: settings(name, published),
            groups: groups.iter().map(ToString::to_string).collect(),
            policy: None,
        }
    }

    fn observed(name: &str, groups: &[&str], published: bool) -> ObservedProduct {
        ObservedProduct {
            etag: None,
            settings: settings(name, published),
            groups: groups.iter().map(ToString::to_string).collect(),
            policy: None,
        }
    }

    fn text(name: &str) -> PolicyText {
        PolicyText::new(format!(
            "<policies><inbound><base /><{name} /></inbound></policies>"
        ))
    }

    #[test]
    fn a_policy_is_there_before_keys_open_anything_and_goes_last() {
        let mut wanted = desired("Gold", &[], true);
        wanted.policy = Some(text("a"));
        assert_eq!(
            steps(&wanted, None).unwrap(),
            [
                ProductStep::Create(settings("Gold", false)),
                ProductStep::PutPolicy(text("a")),
                ProductStep::Change(settings("Gold", true)),
            ]
        );
        let mut there = observed("Gold", &[], false);
        assert_eq!(
            steps(&wanted, Some(&there)).unwrap(),
            [
                ProductStep::PutPolicy(text("a")),
                ProductStep::Change(settings("Gold", true)),
            ]
        );
        let read = |text: &str| {
            Some(ObservedPolicy {
                text: text.to_owned(),
                etag: None,
            })
        };
        there.settings.published = true;
        there.policy = read(
            "<policies>\r\n\t<inbound>\r\n\t\t<base />\r\n\t\t<a />\r\n\t</inbound>\r\n</policies>",
        );
        assert_eq!(steps(&wanted, Some(&there)).unwrap(), []);
        there.policy = read(&text("b").text);
        assert_eq!(
            steps(&wanted, Some(&there)).unwrap(),
            [ProductStep::PutPolicy(text("a"))]
        );
        wanted.policy = None;
        wanted.settings.published = false;
        assert_eq!(
            steps(&wanted, Some(&there)).unwrap(),
            [
                ProductStep::Change(settings("Gold", false)),
                ProductStep::DeletePolicy,
            ]
        );
    }

    #[test]
    fn a_product_is_published_when_all_of_it_is_there() {
        assert_eq!(
            steps(&desired("Gold", &["developers"], true), None).unwrap(),
            [
                ProductStep::Create(settings("Gold", false)),
                ProductStep::EnterGroup("developers".into()),
                ProductStep::Change(settings("Gold", true)),
            ]
        );
        assert_eq!(
            steps(&desired("Gold", &[], false), None).unwrap(),
            [ProductStep::Create(settings("Gold", false))]
        );
    }

    #[test]
    fn only_what_differs_is_written_and_the_administrators_stay() {
        let there = observed("Gold", &["administrators", "guests"], true);
        assert_eq!(
            steps(&desired("Gold", &["guests"], true), Some(&there)).unwrap(),
            []
        );
        assert_eq!(
            steps(&desired("Golden", &["developers"], true), Some(&there)).unwrap(),
            [
                ProductStep::LeaveGroup("guests".into()),
                ProductStep::Change(settings("Golden", true)),
                ProductStep::EnterGroup("developers".into()),
            ]
        );
    }

    #[test]
    fn a_product_of_somebody_else_is_left_alone_and_said_whose_it_is() {
        let mut there = observed("Gold", &[], true);
        there.settings.description = "The platform's own".into();
        let wanted = desired("Gold", &[], true);
        assert_eq!(
            steps(&wanted, Some(&there)).unwrap_err().to_string(),
            "product `shop.gold` exists in API Management and is not this object's: its description does not end \
             with a mark of this operator; it is left alone. Choose another name for the object, or delete that \
             product"
        );
        there.settings.description = marked("", "apim-operator/1 76543210 shop/gold");
        let refused = steps(&wanted, Some(&there)).unwrap_err();
        assert_eq!(
            refused.whose.as_deref(),
            Some("apim-operator/1 76543210 shop/gold")
        );
    }

    #[test]
    fn who_uses_a_product_is_named() {
        let all = Use {
            apis: ["a", "b", "c", "d", "e", "f", "g"]
                .map(str::to_owned)
                .to_vec(),
            subscriptions: vec!["s".into()],
        };
        assert_eq!(
            all.to_string(),
            "API a, b, c, d, e and 2 more; subscription s"
        );
        assert!(Use::default().is_none());
    }

    proptest! {
        /// Whatever was there and wherever it stopped: the next plan leads to
        /// what is wanted, and it was not published before it was whole.
        #[test]
        fn every_plan_ends_in_what_is_wanted(
            name in "[ab]",
            groups in prop::collection::btree_set("[xyz]", 0..3),
            published: bool,
            there in prop::option::of(("[ab]", prop::collection::btree_set("[xyz]", 0..3), any::<bool>())),
            stop in 0_usize..6,
        ) {
            let listed: Vec<&str> = groups.iter().map(String::as_str).collect();
            let wanted = desired(&name, &listed, published);
            let mut now = there.map(|(name, groups, published)| {
                let listed: Vec<&str> = groups.iter().map(String::as_str).collect();
                observed(&name, &listed, published)
            });
            let is_new = now.is_none();
            for stop in [stop, usize::MAX] {
                for step in steps(&wanted, now.as_ref()).unwrap().into_iter().take(stop) {
                    match step {
                        ProductStep::Create(settings) => {
                            prop_assert!(now.is_none() && !settings.published);
                            now = Some(ObservedProduct {
                                etag: None, settings, groups: [ADMINISTRATORS.to_owned()].into(), policy: None,
                            });
                        }
                        ProductStep::EnterGroup(group) => {
                            prop_assert!(now.as_mut().unwrap().groups.insert(group));
                        }
                        ProductStep::LeaveGroup(group) => {
                            prop_assert!(now.as_mut().unwrap().groups.remove(&group));
                        }
                        ProductStep::PutPolicy(_) | ProductStep::DeletePolicy => prop_assert!(false),
                        ProductStep::Change(settings) => now.as_mut().unwrap().settings = settings,
                    }
                }
            }
            let now = now.unwrap();
            prop_assert_eq!(&now.settings, &wanted.settings);
            let mut found = now.groups.clone();
            prop_assert!(found.remove(ADMINISTRATORS) || !is_new);
            prop_assert_eq!(found, wanted.groups.clone());
            prop_assert_eq!(steps(&wanted, Some(&now)).unwrap(), []);
        }
    }
}
