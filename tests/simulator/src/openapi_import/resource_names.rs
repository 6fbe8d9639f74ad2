//! Names of operation resources.

use std::collections::HashSet;

/// The longest name before a suffix: the 80 characters of the contract less
/// `-999`.
const LONGEST: usize = 76;

/// The name for an `operationId`, or for a method and path without one: lower
/// case, each run of other characters one `-`, none at the ends, cut at 76.
pub(super) fn normalise(source: &str) -> String {
    let mut name = String::new();
    for c in source.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.ends_with('-') && !name.is_empty() {
            name.push('-');
        }
    }
    name.truncate(LONGEST);
    name.trim_end_matches('-').to_owned()
}

/// Hands out each name once: the second `a` is `a-1`.
#[derive(Default)]
pub(super) struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// The name itself or with the first free suffix, `None` when all 999 are
    /// taken.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        std::iter::once(name.to_owned())
            .chain((1..=999).map(|number| format!("{name}-{number}")))
            .find(|candidate| self.taken.insert(candidate.clone()))
    }
}
