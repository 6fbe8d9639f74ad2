//! Changes to named things, such as headers, as configs write them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::config::push;
use crate::elements::ExistsAction;
use crate::{Diagnostic, TextOrSecret};

/// Changes to headers or parameters: `set` overrides, `setIfAbsent` leaves
/// what is there, `append` adds, `delete` removes.
///
/// ```
/// # use policy_sdk::Changes;
/// # use serde_json::json;
/// let changes: Changes =
///     serde_json::from_value(json!({"set": {"X-Team": "catalog"}, "delete": ["X-Debug"]})).unwrap();
/// let names: Vec<_> = changes.list("/request").iter().map(|change| change.name.clone()).collect();
/// assert_eq!(names, ["X-Debug", "X-Team"]);
/// ```
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Changes {
    set: BTreeMap<String, TextOrSecret>,
    set_if_absent: BTreeMap<String, TextOrSecret>,
    append: BTreeMap<String, Vec<TextOrSecret>>,
    delete: Vec<String>,
}

/// One of the [`Changes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'c> {
    /// What is changed.
    pub name: String,
    /// How.
    pub action: ExistsAction,
    /// The new values, each with the pointer of its config value.
    pub values: Vec<(&'c TextOrSecret, String)>,
    /// The pointer of the change.
    pub pointer: String,
}

impl Changes {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
            && self.set_if_absent.is_empty()
            && self.append.is_empty()
            && self.delete.is_empty()
    }

    /// The changes, removals first, with pointers that begin with `pointer`.
    #[must_use]
    pub fn list(&self, pointer: &str) -> Vec<Change<'_>> {
        let deleted = self.delete.iter().enumerate().map(|(index, name)| Change {
            name: name.clone(),
            action: ExistsAction::Delete,
            values: Vec::new(),
            pointer: format!("{pointer}/delete/{index}"),
        });
        let single = [
            ("set", ExistsAction::Override, &self.set),
            ("setIfAbsent", ExistsAction::Skip, &self.set_if_absent),
        ]
        .into_iter()
        .flat_map(|(field, action, map)| {
            map.iter().map(move |(name, value)| {
                let mut at = format!("{pointer}/{field}");
                push(&mut at, name);
                Change {
                    name: name.clone(),
                    action,
                    values: vec![(value, at.clone())],
                    pointer: at,
                }
            })
        });
        let appended = self.append.iter().map(|(name, values)| {
            let mut at = format!("{pointer}/append");
            push(&mut at, name);
            Change {
                name: name.clone(),
                action: ExistsAction::Append,
                values: values
                    .iter()
                    .enumerate()
                    .map(|(index, value)| (value, format!("{at}/{index}")))
                    .collect(),
                pointer: at,
            }
        });
        deleted.chain(single).chain(appended).collect()
    }

    /// What contradicts itself: one name in two places, in any case where
    /// `ignore_case`.
    #[must_use]
    pub fn contradictions(&self, pointer: &str, ignore_case: bool) -> Vec<Diagnostic> {
        let mut seen = BTreeSet::new();
        self.list(pointer)
            .into_iter()
            .filter_map(|change| {
                let key = if ignore_case {
                    change.name.to_ascii_lowercase()
                } else {
                    change.name.clone()
                };
                (!seen.insert(key)).then(|| {
                    Diagnostic::error(
                        change.pointer,
                        format!(
                            "`{}` is changed twice: keep one of the changes",
                            change.name
                        ),
                    )
                })
            })
            .collect()
    }
}
