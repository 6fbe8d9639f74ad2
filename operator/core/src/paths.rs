//! Who may have a path of an API Management instance: which of several objects
//! that ask for it, and which namespaces at all.
//!
//! API Management lets no two APIs hold one path. Which of them came first is
//! decided here, before anything is written, so that the answer does not
//! depend on who was reconciled first.

use crate::annotations::nearest::shown;
use crate::apim::same_path;
use crate::exposed_api::ApiPath;
use crate::instance::Instance;
use crate::names::ObjectKey;
use crate::problem::Problem;
use std::collections::BTreeMap;

/// An object that asks for a path of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathClaim {
    /// The object.
    pub key: ObjectKey,
    /// When it was created, as Kubernetes says it: RFC 3339 in UTC, so that
    /// earlier texts sort first.
    pub created: String,
    /// Whether its API holds the path in API Management already.
    pub holds: bool,
}

/// Who of those that ask for one path gets it: the one that holds it, else the
/// oldest object. One that is published keeps its path, also when an older
/// object asks for it later: nobody's API is taken down by somebody else's
/// change.
#[must_use]
pub fn winner(claims: impl IntoIterator<Item = PathClaim>) -> Option<PathClaim> {
    claims
        .into_iter()
        .min_by(|a, b| (!a.holds, &a.created, &a.key).cmp(&(!b.holds, &b.created, &b.key)))
}

/// What is said to an object whose path another one has.
#[must_use]
pub fn taken(path: &ApiPath, instance: &Instance, winner: &PathClaim) -> Problem {
    let why = if winner.holds {
        "which is published there".to_owned()
    } else {
        format!("which was created earlier ({})", winner.created)
    };
    Problem::new(
        "spec.path",
        format!(
            "`{path}` in instance `{}` belongs to ExposedAPI `{}`, {why}; choose another path. When that \
             object goes or moves, this one takes over",
            instance.name, winner.key
        ),
    )
}

/// Whether a namespace may use a path: the longest of the instance's prefixes
/// that covers it says whose it is; a path below none is anybody's.
pub fn may_use(
    instance: &Instance,
    path: &ApiPath,
    namespace: &str,
    namespace_labels: &BTreeMap<String, String>,
) -> Result<(), Problem> {
    let rules = instance.spec.path_ownership.iter();
    let covering = rules.filter(|rule| covers(&rule.prefix, path.as_api_management()));
    let longest = covering
        .clone()
        .map(|rule| rule.prefix.trim_matches('/').len())
        .max();
    let mut owners = covering.filter(|rule| Some(rule.prefix.trim_matches('/').len()) == longest);
    let owned = owners.clone().next().is_some();
    let may = owners.any(|rule| {
        rule.namespace_selector
            .as_ref()
            .is_some_and(|selector| selector.matches(namespace_labels))
    });
    if may || !owned {
        return Ok(());
    }
    let prefix = instance
        .spec
        .path_ownership
        .iter()
        .map(|rule| rule.prefix.trim_matches('/'))
        .find(|prefix| Some(prefix.len()) == longest && covers(prefix, path.as_api_management()))
        .unwrap_or_default();
    Err(Problem::new(
        "spec.path",
        format!(
            "`{path}` lies below `/{}`, which instance `{}` keeps for other namespaces than `{namespace}` \
             (`pathOwnership`); choose another path, or ask the platform team to extend its `namespaceSelector`",
            shown(prefix),
            instance.name
        ),
    ))
}

/// Whether a path is the prefix or lies below it, segment by segment.
fn covers(prefix: &str, path: &str) -> bool {
    let prefix = prefix.trim_matches('/');
    if prefix.is_empty() || same_path(prefix, path) {
        return true;
    }
    path.get(..prefix.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        && path.as_bytes().get(prefix.len()) == Some(&b'/')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::test_support::instance;

    fn claim(name: &str, created: &str, holds: bool) -> PathClaim {
        PathClaim {
            key: ObjectKey::new("team", name),
            created: created.into(),
            holds,
        }
    }

    fn won(claims: &[PathClaim]) -> String {
        winner(claims.iter().cloned()).unwrap().key.name.to_string()
    }

    #[test]
    fn the_oldest_gets_the_path_and_equal_ages_are_decided_by_name() {
        let old = "2026-01-01T00:00:00Z";
        let new = "2026-01-02T00:00:00Z";
        assert_eq!(won(&[claim("b", new, false), claim("c", old, false)]), "c");
        assert_eq!(won(&[claim("b", old, false), claim("a", old, false)]), "a");
    }

    #[test]
    fn one_that_is_published_keeps_its_path() {
        let old = "2026-01-01T00:00:00Z";
        let new = "2026-01-02T00:00:00Z";
        assert_eq!(
            won(&[claim("old", old, false), claim("new", new, true)]),
            "new"
        );
    }

    #[test]
    fn a_prefix_covers_whole_segments_in_any_case() {
        for (prefix, path, expected) in [
            ("/shop", "shop", true),
            ("shop/", "Shop/orders", true),
            ("shop", "shopping", false),
            ("shop/orders", "shop", false),
            ("/", "anything", true),
            ("", "", true),
        ] {
            assert_eq!(covers(prefix, path), expected, "{prefix} {path}");
        }
    }

    #[test]
    fn the_longest_prefix_says_whose_a_path_is() {
        let rules = json!({"pathOwnership": [
            {"prefix": "/shop", "namespaceSelector": {"matchLabels": {"team": "shop"}}},
            {"prefix": "/shop/orders", "namespaceSelector": {"matchLabels": {"team": "orders"}}},
            {"prefix": "/nobody"},
        ]});
        let instance = instance("default", &rules);
        let may = |path: &str, team: &str| {
            let labels = BTreeMap::from([("team".to_owned(), team.to_owned())]);
            may_use(&instance, &ApiPath::parse(path).unwrap(), "ns", &labels)
        };
        assert_eq!(may("/shop/catalog", "shop"), Ok(()));
        assert_eq!(may("/shop/orders/v1", "orders"), Ok(()));
        assert_eq!(may("/elsewhere", "anybody"), Ok(()));
        assert!(may("/nobody/x", "shop").is_err());
        insta::assert_snapshot!(may("/shop/orders", "shop").unwrap_err());
    }
}
