//! Whose an entity in API Management is, and how its id is made.
//!
//! An API is ours only where it carries our mark; the mark is read before the
//! first write and before every delete.

mod text;

pub use text::{mark_in, marked};

use std::fmt;

use crate::names::{ApiId, ContentHash, InvalidName, ObjectKey};

/// The most characters of an API id and of `apiRevisionDescription`, which
/// holds the mark (ARM specification 2024-05-01).
const MAX_ID: usize = 256;

/// The most characters of the name of a Kubernetes object.
const MAX_OBJECT_NAME: usize = 253;

/// What every mark begins with: the operator and the version of the format.
const MARK: &str = "apim-operator/1";

/// Says that an entity belongs to one ExposedAPI of one cluster, or to the
/// operator of that cluster as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OwnershipMark {
    text: String,
    cluster: String,
    owner: String,
}

impl OwnershipMark {
    /// The mark of what belongs to one object. `cluster` is the UID of the
    /// `kube-system` namespace; its first 8 characters count.
    #[must_use]
    pub fn new(cluster: &str, key: &ObjectKey) -> Self {
        let cluster = first_eight(cluster);
        let prefix = format!("{MARK} {cluster} ");
        let text = fit(
            &format!("{prefix}{}/", key.namespace),
            &key.name,
            MAX_ID,
            key,
        );
        let owner = text[prefix.len()..].to_owned();
        Self {
            text,
            cluster,
            owner,
        }
    }

    /// The mark of what belongs to an instance and not to one object.
    #[must_use]
    pub fn of_instance(cluster: &str) -> Self {
        let cluster = first_eight(cluster);
        Self {
            text: format!("{MARK} {cluster} -"),
            cluster,
            owner: "-".to_owned(),
        }
    }

    /// Reads a mark; none where the text is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(MARK)?.strip_prefix(' ')?;
        let (cluster, owner) = rest.split_once(' ')?;
        let whole = owner == "-"
            || owner
                .split_once('/')
                .is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
        if cluster.is_empty() || owner.contains(' ') || !whole {
            return None;
        }
        Some(Self {
            text: text.to_owned(),
            cluster: cluster.to_owned(),
            owner: owner.to_owned(),
        })
    }

    /// The mark as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first characters of the cluster's id.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// `<namespace>/<name>`, the name possibly shortened; `-` for what belongs
    /// to an instance.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }
}

impl fmt::Display for OwnershipMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The id of an object's API where no annotation names another:
/// `<prefix><namespace>.<name>`.
pub fn api_id(prefix: &str, key: &ObjectKey) -> Result<ApiId, InvalidName> {
    ApiId::parse(&fit(
        &format!("{prefix}{}.", key.namespace),
        &key.name,
        MAX_ID,
        key,
    ))
}

/// The id of an object's self-hosted gateway: the same, of at most 80
/// characters.
#[must_use]
pub fn gateway_id(prefix: &str, key: &ObjectKey) -> String {
    const MAX_GATEWAY_ID: usize = 80;
    fit(
        &format!("{prefix}{}.", key.namespace),
        &key.name,
        MAX_GATEWAY_ID,
        key,
    )
}

/// The id of an object's backend, of at most 80 characters: the same, and with
/// ten digits of a hash of where it leads where the object has several.
#[must_use]
pub fn backend_id(prefix: &str, key: &ObjectKey, to: Option<String>) -> String {
    const MAX_BACKEND_ID: usize = 80;
    const DIGITS: usize = 10;
    let all = format!("{prefix}{}.", key.namespace);
    match to {
        None => fit(&all, &key.name, MAX_BACKEND_ID, key),
        Some(to) => {
            let hash = ContentHash::of(&to).to_string();
            let digits: String = hash.chars().rev().take(DIGITS).collect();
            let whole = fit(&all, &key.name, MAX_BACKEND_ID - DIGITS - 1, key);
            format!("{whole}.{digits}")
        }
    }
}

/// The name of a Kubernetes object that belongs to an ExposedAPI:
/// `<prefix><name>`, at most 253 characters.
#[must_use]
pub fn object_name(prefix: &str, key: &ObjectKey) -> String {
    fit(prefix, &key.name, MAX_OBJECT_NAME, key)
}

/// `<prefix><name>`, where it is longer than `limit` characters with as much
/// of the name as leaves room for `-` and ten digits of a hash of the key.
fn fit(prefix: &str, name: &str, limit: usize, key: &ObjectKey) -> String {
    const DIGITS: usize = 10;
    let whole = format!("{prefix}{name}");
    if whole.chars().count() <= limit {
        return whole;
    }
    let room = limit.saturating_sub(prefix.chars().count() + 1 + DIGITS);
    let kept: String = name.chars().take(room).collect();
    let hash = ContentHash::of(key.to_string());
    format!(
        "{prefix}{}-{}",
        kept.trim_end_matches(['.', '-']),
        &hash.to_string()[..DIGITS]
    )
}

fn first_eight(cluster: &str) -> String {
    cluster.chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_mark_names_cluster_namespace_and_name() {
        let mark = OwnershipMark::new(
            "0f3c1a2b-77aa-4cce-9f84-f747471063c4",
            &ObjectKey::new("components", "catalog"),
        );
        assert_eq!(mark.as_str(), "apim-operator/1 0f3c1a2b components/catalog");
        assert_eq!(mark.owner(), "components/catalog");
        assert_eq!(OwnershipMark::parse(mark.as_str()), Some(mark));
    }

    #[test]
    fn what_belongs_to_an_instance_has_a_dash() {
        let mark = OwnershipMark::of_instance("0f3c1a2b-77aa");
        assert_eq!(mark.as_str(), "apim-operator/1 0f3c1a2b -");
        assert_eq!(OwnershipMark::parse(mark.as_str()), Some(mark));
    }

    #[test]
    fn other_texts_are_not_marks() {
        for text in [
            "",
            "apim-operator/1",
            "apim-operator/1 0f3c1a2b",
            "apim-operator/10 0f3c1a2b a/b",
            "apim-operator/1 0f3c1a2b a/",
            "apim-operator/1 0f3c1a2b a/b and more",
            "Initial revision",
        ] {
            assert_eq!(OwnershipMark::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_head_and_gains_a_hash() {
        let key = ObjectKey::new("n".repeat(63), format!("{}.b", "a".repeat(251)));
        let id = api_id("", &key).unwrap();
        let hash = ContentHash::of(format!("{}/{}", key.namespace, key.name));
        assert_eq!(
            id.as_str(),
            format!(
                "{}.{}-{}",
                "n".repeat(63),
                "a".repeat(181),
                &hash.to_string()[..10]
            )
        );
        assert_eq!(id.as_str().len(), 256);
        assert_eq!(
            object_name("apim-api-ingress-", &ObjectKey::new("n", "catalog")),
            "apim-api-ingress-catalog"
        );
        assert_eq!(object_name("apim-api-ingress-", &key).len(), 253);
    }

    #[test]
    fn a_dot_or_dash_at_the_cut_is_dropped() {
        let room = 256 - "ns.".len() - 11;
        let name = format!("{}.-{}", "a".repeat(room - 2), "b".repeat(40));
        let id = api_id("", &ObjectKey::new("ns", name)).unwrap();
        assert!(
            id.as_str()
                .starts_with(&format!("ns.{}-", "a".repeat(room - 2)))
        );
        assert_eq!(id.as_str().len(), 254);
    }

    proptest! {
        #[test]
        fn ids_fit_and_differ_where_names_differ(
            a in "[a-z0-9][a-z0-9.-]{240,251}[a-z0-9]",
            b in "[a-z0-9][a-z0-9.-]{240,251}[a-z0-9]",
        ) {
            let (a, b) = (ObjectKey::new("components", a), ObjectKey::new("components", b));
            let (left, right) = (api_id("p-", &a).unwrap(), api_id("p-", &b).unwrap());
            prop_assert!(left.as_str().len() <= 256 && right.as_str().len() <= 256);
            prop_assert_eq!(left == right, a == b);
            let mark = OwnershipMark::new("01234567", &a);
            prop_assert!(mark.as_str().len() <= 256);
            prop_assert_eq!(OwnershipMark::parse(mark.as_str()), Some(mark));
        }
    }
}
