//! Names with several values each: headers and query parameters.

use smallvec::{SmallVec, smallvec};
use smol_str::SmolStr;

/// Names, compared without regard to case, each with its values in order;
/// what `IReadOnlyDictionary<string, string[]>` is for headers and queries.
/// Names keep the case in which they were first written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MultiMap {
    entries: Vec<(SmolStr, Values)>,
}

/// Nearly every name has one value, and nearly every name is short: neither
/// takes memory of its own then.
type Values = SmallVec<[String; 1]>;

impl MultiMap {
    /// No names.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No names, with room for so many.
    #[must_use]
    pub fn with_capacity(names: usize) -> Self {
        Self {
            entries: Vec::with_capacity(names),
        }
    }

    /// The values of a name, or `None` where the name is not there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[String]> {
        self.entries
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, values)| values.as_slice())
    }

    /// The values of a name joined by commas, as `GetValueOrDefault` gives
    /// them.
    #[must_use]
    pub fn joined(&self, name: &str) -> Option<String> {
        self.get(name).map(|values| values.join(","))
    }

    /// Adds a value behind those the name has.
    pub fn append(&mut self, name: impl Into<SmolStr>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        match self
            .entries
            .iter_mut()
            .find(|(known, _)| known.eq_ignore_ascii_case(&name))
        {
            Some((_, values)) => values.push(value),
            None => self.entries.push((name, smallvec![value])),
        }
    }

    /// Replaces all values of a name.
    pub fn set(&mut self, name: impl Into<SmolStr>, values: Vec<String>) {
        let (name, values) = (name.into(), Values::from_vec(values));
        match self
            .entries
            .iter_mut()
            .find(|(known, _)| known.eq_ignore_ascii_case(&name))
        {
            Some((_, known)) => *known = values,
            None => self.entries.push((name, values)),
        }
    }

    /// Removes a name and gives its values.
    pub fn remove(&mut self, name: &str) -> Option<Vec<String>> {
        let at = self
            .entries
            .iter()
            .position(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(self.entries.remove(at).1.into_vec())
    }

    /// Names with their values, in the order in which the names came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.entries
            .iter()
            .map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The parameters of a query string, without its question mark, decoded.
    #[must_use]
    pub fn from_query(query: &str) -> Self {
        let mut map = Self::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            map.append(name, value);
        }
        map
    }
}

impl<N: Into<SmolStr>, V: Into<String>> FromIterator<(N, V)> for MultiMap {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (name, value) in entries {
            map.append(name, value);
        }
        map
    }
}
