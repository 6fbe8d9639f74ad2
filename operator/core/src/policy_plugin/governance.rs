//! What the platform decides about a plugin, whatever its code: its config,
//! who may use it, and for whom it is mandatory.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::spec::{Capabilities, MandatorySpec};
use crate::instance::selector::LabelSelector;

/// The platform's decisions about one plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Governance {
    /// The lowest layer of its config: an object.
    pub defaults: Value,
    /// Its place among the plugins of its phase; lower runs first.
    pub order: i32,
    /// The namespaces whose APIs may use it; absent: none.
    pub namespace_selector: Option<LabelSelector>,
    /// The APIs for which it is mandatory.
    pub mandatory: Option<MandatorySpec>,
    /// What owners may set of the config of a mandatory plugin.
    pub unlocked: Vec<Pointer>,
    /// What it may do beyond writing known policies in their usual places.
    pub capabilities: Capabilities,
}

impl Governance {
    /// Whether the APIs of a namespace with these labels may use the plugin.
    #[must_use]
    pub fn admits(&self, namespace_labels: &BTreeMap<String, String>) -> bool {
        self.namespace_selector
            .as_ref()
            .is_some_and(|selector| selector.matches(namespace_labels))
    }

    /// Whether the plugin is mandatory for an API with these labels in a
    /// namespace with those. An API's own labels only ever widen that: its
    /// owner writes them.
    #[must_use]
    pub fn is_mandatory(
        &self,
        namespace_labels: &BTreeMap<String, String>,
        labels: &BTreeMap<String, String>,
    ) -> bool {
        let Some(mandatory) = &self.mandatory else {
            return false;
        };
        let matches = |selector: &Option<LabelSelector>, labels| {
            selector.as_ref().is_some_and(|s| s.matches(labels))
        };
        matches(&mandatory.namespace_selector, namespace_labels)
            || matches(&mandatory.selector, labels)
    }

    /// What `config` sets and owners may not: pointers. `platform` is the
    /// config that the platform's layers make.
    #[must_use]
    pub fn locked(&self, config: &Value, platform: &Value) -> Vec<String> {
        let mut locked = Vec::new();
        self.divide("", config, Some(platform), &mut locked);
        locked
    }

    /// The part of `config` that owners may set, and pointers to what was left
    /// out of it although it says something other than `platform`.
    #[must_use]
    pub fn unlocked_part(&self, config: &Value, platform: &Value) -> (Value, Vec<String>) {
        let mut locked = Vec::new();
        let part = self
            .divide("", config, Some(platform), &mut locked)
            .unwrap_or_else(|| Value::Object(Map::new()));
        locked.retain(|pointer| config.pointer(pointer) != platform.pointer(pointer));
        (part, locked)
    }

    /// Keeps of `value` what is unlocked and lists the rest.
    fn divide(
        &self,
        pointer: &str,
        value: &Value,
        platform: Option<&Value>,
        locked: &mut Vec<String>,
    ) -> Option<Value> {
        if self.unlocked.iter().any(|open| open.covers(pointer)) {
            return Some(value.clone());
        }
        // Where the platform wrote something that is no object, an object takes
        // its place as a whole, however little it holds.
        let replaces = platform.is_some_and(|platform| !platform.is_object());
        match value {
            Value::Object(fields) if !replaces && (!fields.is_empty() || pointer.is_empty()) => {
                let kept: Map<String, Value> = fields
                    .iter()
                    .filter_map(|(key, value)| {
                        let inner = format!("{pointer}/{}", crate::config::escape(key));
                        let platform = platform.and_then(|platform| platform.get(key));
                        Some((key.clone(), self.divide(&inner, value, platform, locked)?))
                    })
                    .collect();
                (!kept.is_empty()).then_some(Value::Object(kept))
            }
            _ => {
                locked.push(pointer.to_owned());
                None
            }
        }
    }
}

/// A JSON pointer (RFC 6901) other than the empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(String);

impl Pointer {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty; write JSON pointers such as `/requiredRoles`".to_owned());
        }
        if !text.starts_with('/') {
            return Err(format!(
                "`{}` is not a JSON pointer; write `/{}`",
                crate::annotations::nearest::shown(text),
                crate::annotations::nearest::shown(text)
            ));
        }
        let broken = text
            .split('~')
            .skip(1)
            .any(|after| !after.starts_with(['0', '1']));
        if broken {
            return Err(format!(
                "`{}` is not a JSON pointer: write `~0` for `~` and `~1` for `/` in a key",
                crate::annotations::nearest::shown(text)
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it points to a value or to something that holds it.
    fn covers(&self, pointer: &str) -> bool {
        pointer
            .strip_prefix(self.0.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn governance(unlocked: &[&str]) -> Governance {
        Governance {
            defaults: json!({}),
            order: 0,
            namespace_selector: None,
            mandatory: None,
            unlocked: unlocked
                .iter()
                .map(|text| Pointer::parse(text).unwrap())
                .collect(),
            capabilities: Capabilities::default(),
        }
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn an_absent_selector_selects_nothing_and_an_empty_one_everything() {
        let mut governance = governance(&[]);
        let (namespace, own) = (labels(&[("tier", "gold")]), labels(&[]));
        assert!(!governance.admits(&namespace));
        assert!(!governance.is_mandatory(&namespace, &own));
        governance.namespace_selector = Some(LabelSelector::everything());
        governance.mandatory = Some(MandatorySpec::default());
        assert!(governance.admits(&namespace));
        assert!(!governance.is_mandatory(&namespace, &own));
        governance.mandatory = Some(MandatorySpec {
            namespace_selector: Some(LabelSelector::everything()),
            selector: None,
        });
        assert!(governance.is_mandatory(&namespace, &own));
    }

    #[test]
    fn labels_of_an_api_only_widen_for_whom_a_plugin_is_mandatory() {
        let selector = |key: &str, value: &str| {
            Some(LabelSelector {
                match_labels: labels(&[(key, value)]),
                ..LabelSelector::default()
            })
        };
        let mut governance = governance(&[]);
        governance.mandatory = Some(MandatorySpec {
            namespace_selector: selector("tier", "gold"),
            selector: selector("public", "true"),
        });
        for (namespace, own, expected) in [
            (&[("tier", "gold")][..], &[][..], true),
            (&[("tier", "gold")], &[("public", "false")], true),
            (&[], &[("public", "true")], true),
            (&[], &[("public", "false")], false),
        ] {
            assert_eq!(
                governance.is_mandatory(&labels(namespace), &labels(own)),
                expected,
                "{namespace:?} {own:?}"
            );
        }
    }

    #[test]
    fn an_unlocked_pointer_opens_what_is_below_it_and_no_longer_key() {
        let governance = governance(&["/roles", "/limits/calls"]);
        let config = json!({"roles": {"a": 1}, "rolesX": 2, "limits": {"calls": 5, "period": 60}});
        assert_eq!(
            governance.locked(&config, &json!({})),
            ["/rolesX", "/limits/period"]
        );
        assert_eq!(
            governance.unlocked_part(&config, &json!({"rolesX": 2})),
            (
                json!({"roles": {"a": 1}, "limits": {"calls": 5}}),
                vec!["/limits/period".to_owned()]
            )
        );
    }

    #[test]
    fn deleting_and_emptying_are_setting() {
        let governance = governance(&["/a/b"]);
        assert_eq!(
            governance.locked(&json!({"x": null}), &json!({"x": 1})),
            ["/x"]
        );
        assert_eq!(
            governance.locked(&json!({"x": {}}), &json!({"x": 1})),
            ["/x"]
        );
        // An object where the platform wrote a text would delete the text.
        assert_eq!(
            governance.locked(&json!({"a": {"b": 1}}), &json!({"a": "text"})),
            ["/a"]
        );
        assert_eq!(
            governance.locked(&json!({"a": {"b": 1}}), &json!({"a": {"c": 1}})),
            [""; 0]
        );
        assert_eq!(governance.locked(&json!({}), &json!({"x": 1})), [""; 0]);
    }

    #[test]
    fn a_pointer_that_is_none_is_refused_with_the_way_out() {
        assert_eq!(
            Pointer::parse("roles").unwrap_err(),
            "`roles` is not a JSON pointer; write `/roles`"
        );
        assert!(Pointer::parse("/a~2").unwrap_err().contains("`~0`"));
        assert!(Pointer::parse("").is_err());
    }
}
