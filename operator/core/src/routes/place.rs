//! Where routes take effect: as rules of the object that exposes the API, by
//! path, or in API Management, by operation, where nothing stands between its
//! gateway and the Services.

use std::collections::BTreeMap;

use super::{Destination, Route};
use crate::annotations::nearest::shown;
use crate::chain::{KnownOperations, operation_named};
use crate::desired::{DesiredRoute, Operation};
use crate::problem::Problem;

/// The routes of an object.
#[derive(Clone, Copy)]
pub(crate) struct Routing<'a> {
    /// The routes.
    pub(crate) routes: &'a [Route],
    /// Where they stand, as the path of a problem.
    pub(crate) place: &'a str,
    /// The operations of the document; absent where it is not known.
    pub(crate) operations: Option<KnownOperations<'a>>,
}

/// Where the routes lead.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// As rules of what exposes the API.
    pub(crate) rules: Vec<DesiredRoute>,
    /// By the id of the operation in API Management.
    pub(crate) operations: BTreeMap<String, Destination>,
    /// What the owner should know.
    pub(crate) warnings: Vec<Problem>,
}

/// Finds out where the routes lead: by path, or by operation.
pub(crate) fn place(routing: Routing<'_>, by_path: bool) -> Result<Placed, Vec<Problem>> {
    let mut placer = Placer {
        routing,
        by_path,
        named: BTreeMap::new(),
        problems: Vec::new(),
        placed: Placed::default(),
    };
    placer.name();
    if by_path {
        placer.rules();
    } else {
        placer.operations();
    }
    placer.idle();
    if placer.problems.is_empty() {
        Ok(placer.placed)
    } else {
        Err(placer.problems)
    }
}

/// What of a URL template is the same in every request.
struct Template<'a> {
    literal: Vec<&'a str>,
    /// Whether that is all of it.
    whole: bool,
    /// Whether its last part takes any number of segments.
    wild: bool,
    /// How many segments it has.
    length: usize,
}

impl<'a> Template<'a> {
    fn of(operation: &'a Operation) -> Self {
        let path = operation.url_template.split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.split('/').filter(|one| !one.is_empty()).collect();
        let literal: Vec<&str> = segments
            .iter()
            .copied()
            .take_while(|one| !one.contains(['{', '*']))
            .collect();
        Self {
            length: segments.len(),
            whole: literal.len() == segments.len(),
            wild: segments.last().is_some_and(|one| one.contains('*')),
            literal,
        }
    }

    /// Whether every request of it is at or below a path.
    fn is_below(&self, path: &str) -> bool {
        let mut literal = self.literal.iter();
        segments(path).all(|one| literal.next() == Some(&one))
    }

    /// Whether some request of it may be.
    fn may_be_below(&self, path: &str) -> bool {
        let long_enough = self.wild || self.length >= segments(path).count();
        let mut path_of = segments(path);
        self.is_below(path)
            || (!self.whole
                && long_enough
                && self.literal.iter().all(|one| path_of.next() == Some(one)))
    }

    fn path(&self) -> String {
        format!("/{}", self.literal.join("/"))
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> + Clone {
    path.split('/').filter(|one| !one.is_empty())
}

struct Placer<'a> {
    routing: Routing<'a>,
    by_path: bool,
    /// The operations that routes name, by their ids in API Management: the
    /// route, and where it names them.
    named: BTreeMap<&'a str, (usize, String)>,
    problems: Vec<Problem>,
    placed: Placed,
}

impl<'a> Placer<'a> {
    fn say(&mut self, pointer: &str, message: impl Into<String>) {
        let path = format!("{} {pointer}", self.routing.place);
        self.problems.push(Problem::new(path, message));
    }

    fn destination(&self, route: usize) -> Option<&'a Destination> {
        self.routing.routes.get(route).map(|one| &one.destination)
    }

    fn known(&self) -> &'a [Operation] {
        self.routing.operations.map_or(&[], |known| known.list)
    }

    /// An operation for a message.
    fn told(&self, operation: &Operation) -> String {
        if self.routing.operations.is_some_and(|known| known.told) {
            format!(
                "`{}` (`{} {}`)",
                shown(operation.operation_id.as_deref().unwrap_or(&operation.id)),
                operation.method,
                shown(&operation.url_template)
            )
        } else {
            "another operation".to_owned()
        }
    }

    /// Finds the operations that routes name.
    fn name(&mut self) {
        let Some(known) = self.routing.operations else {
            return;
        };
        for (index, route) in self.routing.routes.iter().enumerate() {
            for (number, name) in route.operations.iter().enumerate() {
                let pointer = format!("/{index}/operations/{number}");
                match operation_named(name, known) {
                    Ok(found) => {
                        if let Some((_, first)) = self.named.get(found.id.as_str()) {
                            let message = format!(
                                "`{}` is the operation that `{first}` names, too; remove one of the two",
                                shown(name)
                            );
                            self.say(&pointer, message);
                        } else {
                            self.named.insert(&found.id, (index, pointer));
                        }
                    }
                    Err(message) => self.say(&pointer, message),
                }
            }
        }
    }

    /// All paths, with their routes and where they stand.
    fn paths(&self) -> impl Iterator<Item = (String, usize, String)> + use<'a> {
        let routes = self.routing.routes.iter().enumerate();
        routes.flat_map(|(index, route)| {
            let paths = route.paths.iter().enumerate();
            paths.map(move |(number, path)| {
                (path.to_string(), index, format!("/{index}/paths/{number}"))
            })
        })
    }

    /// The route whose path is the nearest above an operation.
    fn above(&self, template: &Template<'_>) -> Option<usize> {
        let above = self.paths().filter(|(path, ..)| template.is_below(path));
        let nearest = above.max_by_key(|(path, ..)| path.len());
        nearest.map(|(_, route, _)| route)
    }

    fn operations(&mut self) {
        for operation in self.known() {
            let template = Template::of(operation);
            let named = self
                .named
                .get(operation.id.as_str())
                .map(|(route, _)| *route);
            let route = named.or_else(|| self.above(&template));
            if let Some(destination) = route.and_then(|route| self.destination(route)) {
                let (id, to) = (operation.id.clone(), destination.clone());
                self.placed.operations.insert(id, to);
            }
            if named.is_some() {
                continue;
            }
            let split = self.paths().find(|(path, ..)| {
                let sure = template.is_below(path);
                let nothing_else = || !self.known().iter().any(|o| Template::of(o).is_below(path));
                !sure && template.may_be_below(path) && (template.wild || nothing_else())
            });
            if let Some((path, _, pointer)) = split {
                let message = format!(
                    "{} takes requests at `{path}` and at other paths, and where API Management's gateway calls \
                     the Services itself (exposure `in-cluster`), an operation goes to one of them: give the requests at \
                     `{path}` operations of their own, or choose exposure `ingress`, `http-route` or `istio`",
                    self.told(operation)
                );
                self.say(&pointer, message);
            }
        }
    }

    fn rules(&mut self) {
        // By path, and whether it is meant exactly: the route, and what asks
        // for it.
        let mut rules: BTreeMap<(String, bool), (usize, String)> = BTreeMap::new();
        for (path, route, pointer) in self.paths() {
            rules.insert((path, false), (route, pointer));
        }
        for operation in self.known() {
            let Some((route, pointer)) = self.named.get(operation.id.as_str()).cloned() else {
                continue;
            };
            let template = Template::of(operation);
            let rule = (template.path(), template.whole);
            let taken = match rules.get(&rule) {
                _ if template.literal.is_empty() => Some("`spec.implementation`".to_owned()),
                Some((other, first)) if *other != route => Some(format!("`{first}`")),
                _ => None,
            };
            if let Some(first) = taken {
                let message = format!(
                    "{} cannot be told apart by its path from what {first} takes{APART}",
                    self.told_named(operation)
                );
                self.say(&pointer, message);
                continue;
            }
            rules.entry(rule).or_insert((route, pointer));
        }
        self.strays(&rules);
        for ((path, exact), (route, _)) in rules {
            if let Some(to) = self.destination(route) {
                self.placed.rules.push(DesiredRoute {
                    path,
                    exact,
                    service: to.service.clone(),
                    port: to.port,
                });
            }
        }
    }

    /// What its owner named may be told in any case.
    fn told_named(&self, operation: &Operation) -> String {
        if self.routing.operations.is_some_and(|known| known.told) {
            self.told(operation)
        } else {
            "the operation".to_owned()
        }
    }

    /// Operations that would go where another one is sent.
    fn strays(&mut self, rules: &BTreeMap<(String, bool), (usize, String)>) {
        for operation in self.known() {
            if self.named.contains_key(operation.id.as_str()) {
                continue;
            }
            let template = Template::of(operation);
            let exact = rules
                .get(&(template.path(), true))
                .filter(|_| template.whole);
            let below = rules
                .iter()
                .filter(|((path, exact), _)| !exact && template.is_below(path))
                .max_by_key(|((path, _), _)| path.len())
                .map(|(_, rule)| rule);
            let Some((route, pointer)) = exact.or(below) else {
                continue;
            };
            if Some(*route) != self.above(&template) {
                let message = format!(
                    "by its path, {} would go to `{}`, too{APART}",
                    self.told(operation),
                    self.destination(*route)
                        .map_or_else(String::new, ToString::to_string),
                );
                self.say(pointer, message);
            }
        }
    }

    /// Paths at which the document has nothing.
    fn idle(&mut self) {
        if self.routing.operations.is_none() {
            return;
        }
        let known = self.known();
        for (path, _, pointer) in self.paths() {
            let used = known.iter().any(|one| {
                let template = Template::of(one);
                if self.by_path {
                    template.may_be_below(&path)
                } else {
                    template.is_below(&path)
                }
            });
            let told = format!("{} {pointer}", self.routing.place);
            if !used && !self.problems.iter().any(|problem| problem.path == told) {
                let message = format!(
                    "`{path}` takes no request: the document has no operation there, and a route's path is below the API's own (`spec.path`)"
                );
                self.placed.warnings.push(Problem::new(told, message));
            }
        }
    }
}

/// What can be done about operations with one path.
const APART: &str = "; what exposes the API routes by path: name both in one route, or choose exposure `in-cluster`, \
                     where API Management's gateway calls the Services itself and tells operations apart";
