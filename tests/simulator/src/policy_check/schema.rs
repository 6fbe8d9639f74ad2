//! Matches child elements against a content model, as .NET's schema validator
//! does. The models of the policy schemas are deterministic, so the first
//! alternative that can take an element is the only one.

use super::shape::{Definition, Particle, Term};

/// What a child element was recognised as.
#[derive(Debug, Clone, Copy)]
pub(super) enum Match {
    /// A declared child.
    Declared(&'static Definition),
    /// Any element may stand there.
    Wildcard,
}

/// The outcome of matching the children of one element.
pub(super) struct Matched {
    /// What each child was, up to the first that does not fit.
    pub(super) matches: Vec<Match>,
    pub(super) problem: Option<ContentProblem>,
}

/// How the children of an element break its content model.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ContentProblem {
    /// The child at this index does not fit; these would.
    Invalid(usize, Vec<&'static str>),
    /// The children are all right but not enough; these would come next.
    Incomplete(Vec<&'static str>),
}

/// Matches the names of an element's children against its content model.
pub(super) fn match_children(particle: &'static Particle, names: &[&str]) -> Matched {
    let mut matcher = Matcher::new(names);
    let problem = match matcher.occurrences(particle, 0) {
        Ok(at) if at == names.len() => None,
        _ if matcher.furthest < names.len() => {
            Some(ContentProblem::Invalid(matcher.furthest, matcher.expected))
        }
        _ => Some(ContentProblem::Incomplete(matcher.expected)),
    };
    Matched {
        matches: matcher.matches,
        problem,
    }
}

/// What could follow the given children: for the message about stray text.
pub(super) fn expected_after(particle: &'static Particle, names: &[&str]) -> Vec<&'static str> {
    let mut matcher = Matcher::new(names);
    let _ = matcher.occurrences(particle, 0);
    if matcher.furthest == names.len() {
        matcher.expected
    } else {
        Vec::new()
    }
}

/// A particle that did not fit. `consumed`: some children had been taken, so
/// that no other alternative can fit either.
struct Misfit {
    consumed: bool,
}

struct Matcher<'a> {
    names: &'a [&'a str],
    matches: Vec<Match>,
    furthest: usize,
    expected: Vec<&'static str>,
}

impl<'a> Matcher<'a> {
    fn new(names: &'a [&'a str]) -> Self {
        Self {
            names,
            matches: Vec::new(),
            furthest: 0,
            expected: Vec::new(),
        }
    }

    fn occurrences(&mut self, particle: &'static Particle, start: usize) -> Result<usize, Misfit> {
        let mut at = start;
        let mut count = 0;
        while count < particle.max {
            match self.once(&particle.term, at) {
                Ok(next) if next > at => {
                    at = next;
                    count += 1;
                }
                // An empty occurrence stands for as many as are asked for.
                Ok(_) => return Ok(at),
                Err(Misfit { consumed: false }) => break,
                Err(misfit) => return Err(misfit),
            }
        }
        if count < particle.min {
            return Err(Misfit {
                consumed: at > start,
            });
        }
        Ok(at)
    }

    fn once(&mut self, term: &'static Term, start: usize) -> Result<usize, Misfit> {
        match term {
            Term::Element(name, definition) => {
                if self.names.get(start) == Some(name) {
                    return Ok(self.take(start, Match::Declared(definition)));
                }
                self.expect(start, name);
                Err(Misfit { consumed: false })
            }
            Term::Any if start < self.names.len() => Ok(self.take(start, Match::Wildcard)),
            Term::Any => Err(Misfit { consumed: false }),
            Term::Sequence(items) => {
                let mut at = start;
                for item in *items {
                    at = self.occurrences(item, at).map_err(|misfit| Misfit {
                        consumed: misfit.consumed || at > start,
                    })?;
                }
                Ok(at)
            }
            Term::Choice(items) => {
                let mut may_be_empty = false;
                for item in *items {
                    match self.occurrences(item, start) {
                        Ok(next) if next > start => return Ok(next),
                        Ok(_) => may_be_empty = true,
                        Err(Misfit { consumed: false }) => {}
                        Err(misfit) => return Err(misfit),
                    }
                }
                if may_be_empty {
                    Ok(start)
                } else {
                    Err(Misfit { consumed: false })
                }
            }
            Term::All(items) => self.all(items, start),
        }
    }

    /// Each item at most once, in any order.
    fn all(&mut self, items: &'static [Particle], start: usize) -> Result<usize, Misfit> {
        let mut at = start;
        let mut left: Vec<&'static Particle> = items.iter().collect();
        'next: loop {
            for (index, item) in left.iter().enumerate() {
                let next = self.occurrences(item, at).unwrap_or(at);
                if next > at {
                    at = next;
                    left.remove(index);
                    continue 'next;
                }
            }
            break;
        }
        if left.iter().any(|item| item.min > 0) {
            return Err(Misfit {
                consumed: at > start,
            });
        }
        Ok(at)
    }

    fn take(&mut self, at: usize, matched: Match) -> usize {
        self.matches.push(matched);
        if at + 1 > self.furthest {
            self.furthest = at + 1;
            self.expected.clear();
        }
        at + 1
    }

    fn expect(&mut self, at: usize, name: &'static str) {
        if at == self.furthest && !self.expected.contains(&name) {
            self.expected.push(name);
        }
    }
}
