//! Which request goes to which Service, as the objects that route by path have
//! it.

use std::collections::BTreeSet;

use crate::desired::DesiredRoute;

/// Requests at a path, and where they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct To<'a> {
    pub(super) service: &'a str,
    pub(super) port: u16,
}

/// A path, and where its requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule<'a> {
    pub(super) path: String,
    /// Whether it is that path alone, and not what is below it.
    pub(super) exact: bool,
    pub(super) to: To<'a>,
}

/// The rules of an API, and of earlier paths of it: the API's own first, and
/// none twice.
pub(super) fn rules<'a>(
    path: &str,
    to: To<'a>,
    routes: &'a [DesiredRoute],
    also: &BTreeSet<String>,
) -> Vec<Rule<'a>> {
    let mut rules: Vec<Rule<'a>> = Vec::new();
    let whole = std::iter::once(path).chain(also.iter().map(String::as_str));
    for base in whole {
        let own = Rule {
            path: base.to_owned(),
            exact: false,
            to,
        };
        let others = routes.iter().map(|route| Rule {
            path: format!("{}{}", base.trim_end_matches('/'), route.path),
            exact: route.exact,
            to: To {
                service: &route.service,
                port: route.port,
            },
        });
        for rule in std::iter::once(own).chain(others) {
            let same = |one: &Rule<'_>| one.path == rule.path && one.exact == rule.exact;
            if !rules.iter().any(same) {
                rules.push(rule);
            }
        }
    }
    rules
}

/// The rules that go to one place together, in their order.
pub(super) fn by_destination<'r, 'a>(rules: &'r [Rule<'a>]) -> Vec<(To<'a>, Vec<&'r Rule<'a>>)> {
    let mut all: Vec<(To<'a>, Vec<&'r Rule<'a>>)> = Vec::new();
    for rule in rules {
        match all.iter_mut().find(|(to, _)| *to == rule.to) {
            Some((_, of)) => of.push(rule),
            None => all.push((rule.to, vec![rule])),
        }
    }
    all
}

/// Of the prefixes of an object with where they lead, those of whole APIs: what
/// is below another and leads elsewhere is a route's, and all below that.
pub(super) fn whole(mut paths: Vec<(String, String)>) -> Vec<String> {
    let order: Vec<String> = paths.iter().map(|(path, _)| path.clone()).collect();
    paths.sort_by_key(|(path, _)| path.len());
    // By path: where it leads, and whether it is an API's.
    let mut known: Vec<(&str, &str, bool)> = Vec::new();
    for (path, to) in &paths {
        let above = known.iter().rev().find(|(one, ..)| {
            let below = path.strip_prefix(one.trim_end_matches('/'));
            one != path && below.is_some_and(|below| below.starts_with('/'))
        });
        let is_whole = above.is_none_or(|(_, other, is_whole)| *is_whole && other == to);
        known.push((path, to, is_whole));
    }
    let mut found: Vec<String> = Vec::new();
    for path in order {
        let is_whole = known
            .iter()
            .any(|(one, _, is_whole)| *one == path && *is_whole);
        if is_whole && !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str, exact: bool, service: &str) -> DesiredRoute {
        DesiredRoute {
            path: path.into(),
            exact,
            service: service.into(),
            port: 80,
        }
    }

    #[test]
    fn earlier_paths_have_the_same_routes_and_no_rule_is_there_twice() {
        let routes = [route("/a", true, "x"), route("/a", false, "y")];
        let to = To {
            service: "shop",
            port: 80,
        };
        let also = ["/old".to_owned(), "/new/a".to_owned()].into();
        let all = rules("/new", to, &routes, &also);
        let all: Vec<_> = all
            .iter()
            .map(|rule| (rule.path.as_str(), rule.exact, rule.to.service))
            .collect();
        assert_eq!(
            all,
            [
                ("/new", false, "shop"),
                ("/new/a", true, "x"),
                ("/new/a", false, "y"),
                ("/new/a/a", true, "x"),
                ("/new/a/a", false, "y"),
                ("/old", false, "shop"),
                ("/old/a", true, "x"),
                ("/old/a", false, "y"),
            ]
        );
        // The root adds no second `/`.
        let all = rules("/", to, &routes, &BTreeSet::new());
        assert_eq!((all[0].path.as_str(), all[1].path.as_str()), ("/", "/a"));
    }

    #[test]
    fn a_path_below_another_that_leads_elsewhere_is_a_routes() {
        let paths = |all: &[(&str, &str)]| {
            let all = all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            whole(all.collect())
        };
        assert_eq!(
            paths(&[
                ("/new", "shop"),
                ("/new/a", "x"),
                ("/old", "shop"),
                ("/old/a", "x")
            ]),
            ["/new", "/old"]
        );
        // An API that moved below its former path.
        assert_eq!(paths(&[("/a/b", "x"), ("/a", "x")]), ["/a/b", "/a"]);
        assert_eq!(
            paths(&[("/", "x"), ("/a", "y"), ("/ab", "x")]),
            ["/", "/ab"]
        );
        // A route below a route.
        assert_eq!(
            paths(&[("/s", "x"), ("/s/a/b", "y"), ("/s/a", "y"), ("/s/a/c", "x")]),
            ["/s"]
        );
    }
}
