//! Which APIs a gateway serves, and which gateway an API is reached at.

use std::collections::BTreeMap;

use super::spec::ApisSpec;
use crate::names::{InstanceName, ObjectKey};

/// An API, as far as it matters for that.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The ExposedAPI.
    pub key: &'a ObjectKey,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Those of its namespace.
    pub namespace_labels: &'a BTreeMap<String, String>,
}

/// A gateway, as far as it matters to the APIs that it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosted {
    /// The SelfHostedGateway.
    pub key: ObjectKey,
    /// Which APIs it serves.
    pub apis: ApisSpec,
    /// The instance that it belongs to, once it is known.
    pub instance: Option<InstanceName>,
    /// The host at which callers reach it; none while there is none.
    pub host: Option<String>,
    /// The APIs that API Management has it serve, by their ids.
    pub linked: Vec<String>,
    /// Why it does not work, if it does not.
    pub trouble: Option<String>,
}

/// How close an API is to a gateway that serves it: its own, one of the
/// namespace, one of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Own,
    Namespace,
    Elsewhere,
}

/// Whether a gateway of a namespace serves an API.
#[must_use]
pub fn selects(apis: &ApisSpec, namespace: &str, api: Candidate<'_>) -> bool {
    closeness(apis, namespace, api).is_some()
}

fn closeness(apis: &ApisSpec, namespace: &str, api: Candidate<'_>) -> Option<Closeness> {
    let beside = api.key.namespace == namespace;
    if let Some(name) = &apis.name {
        return (beside && api.key.name == *name).then_some(Closeness::Own);
    }
    let labelled = apis.selector.as_ref()?.matches(api.labels);
    if beside {
        return labelled.then_some(Closeness::Namespace);
    }
    let near = apis.namespace_selector.as_ref()?;
    (labelled && near.matches(api.namespace_labels)).then_some(Closeness::Elsewhere)
}

/// The gateway at which an API of an instance is reached: its own before one of
/// its namespace before one of another, of several the first by name.
#[must_use]
pub fn serving<'a>(
    gateways: impl IntoIterator<Item = &'a Hosted>,
    api: Candidate<'_>,
    instance: &InstanceName,
) -> Option<&'a Hosted> {
    gateways
        .into_iter()
        .filter(|one| one.instance.as_ref().is_none_or(|of| of == instance))
        .filter_map(|one| Some((closeness(&one.apis, &one.key.namespace, api)?, one)))
        .min_by(|(a, one), (b, other)| a.cmp(b).then_with(|| one.key.cmp(&other.key)))
        .map(|(_, one)| one)
}

/// What an API that is reached at a gateway must know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The SelfHostedGateway.
    pub key: ObjectKey,
    /// The host at which callers reach it; none while there is none.
    pub host: Option<String>,
    /// Why callers do not reach the API there, if they do not.
    pub trouble: Option<String>,
}

impl Hosted {
    /// Whether it may serve APIs of a namespace.
    #[must_use]
    pub fn concerns(&self, namespace: &str) -> bool {
        self.key.namespace == namespace || self.apis.namespace_selector.is_some()
    }

    /// What an API of this id must know of it.
    #[must_use]
    pub fn reach(&self, api: Option<&str>) -> Reach {
        let linked = api.is_some_and(|api| {
            let mut linked = self.linked.iter();
            linked.any(|one| one.eq_ignore_ascii_case(api))
        });
        let not_yet = || {
            format!(
                "SelfHostedGateway `{}` does not serve the API yet; its conditions say why",
                self.key
            )
        };
        Reach {
            key: self.key.clone(),
            host: self.host.clone(),
            trouble: self.trouble.clone().or_else(|| (!linked).then(not_yet)),
        }
    }
}

/// Scheme and host of a gateway: without TLS where its APIs allow that, since
/// the certificate that the container has from the start is its own.
#[must_use]
pub fn origin(host: &str, protocols: &[String]) -> String {
    let plain = protocols.iter().any(|one| one == "http");
    let scheme = if plain { "http" } else { "https" };
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hosted(namespace: &str, name: &str, apis: Value) -> Hosted {
        Hosted {
            key: ObjectKey::new(namespace, name),
            apis: serde_json::from_value(apis).unwrap(),
            instance: None,
            host: None,
            linked: Vec::new(),
            trouble: None,
        }
    }

    fn labels(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        all.iter().map(own).collect()
    }

    #[test]
    fn an_api_is_served_by_the_closest_gateway_that_selects_it() {
        let all = [
            hosted(
                "edge",
                "far",
                json!({"selector": {}, "namespaceSelector": {"matchLabels": {"edge": "yes"}}}),
            ),
            hosted("shop", "b", json!({"selector": {}})),
            hosted(
                "shop",
                "a",
                json!({"selector": {"matchLabels": {"tier": "front"}}}),
            ),
            hosted("shop", "z", json!({"name": "catalog"})),
            hosted("shop", "none", json!({})),
        ];
        let instance = InstanceName::parse("default").unwrap();
        let served = |namespace: &str, name: &str, own: &[(&str, &str)], of: &[(&str, &str)]| {
            let (key, own, of) = (ObjectKey::new(namespace, name), labels(own), labels(of));
            let api = Candidate {
                key: &key,
                labels: &own,
                namespace_labels: &of,
            };
            serving(&all, api, &instance).map(|one| one.key.to_string())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(served("shop", "catalog", &[], &[]), some("shop/z"));
        assert_eq!(served("shop", "orders", &[], &[]), some("shop/b"));
        assert_eq!(
            served("shop", "orders", &[("tier", "front")], &[]),
            some("shop/a")
        );
        assert_eq!(
            served("office", "catalog", &[], &[("edge", "yes")]),
            some("edge/far")
        );
        assert_eq!(served("office", "catalog", &[], &[]), None);
    }

    #[test]
    fn a_gateway_of_another_instance_serves_nothing_of_this_one() {
        let name = |text| InstanceName::parse(text).unwrap();
        let other = Hosted {
            instance: Some(name("other")),
            ..hosted("shop", "a", json!({"selector": {}}))
        };
        let (key, none) = (ObjectKey::new("shop", "catalog"), BTreeMap::new());
        let api = Candidate {
            key: &key,
            labels: &none,
            namespace_labels: &none,
        };
        assert_eq!(serving([&other], api, &name("default")), None);
        assert_eq!(serving([&other], api, &name("other")), Some(&other));
    }
}
