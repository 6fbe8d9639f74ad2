//! The plugins that come with the operator.

use crate::digest::Digest;

static BUILTIN: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// Their digests, in the same order: a start need not read them to know them.
static DIGESTS: &[[u8; 32]] = include!(concat!(env!("OUT_DIR"), "/digests.rs"));

/// The built-in plugins with their digests.
pub(crate) fn with_digests() -> impl Iterator<Item = (&'static str, &'static [u8], Digest)> {
    let digests = DIGESTS.iter().copied().map(Digest::from_bytes);
    BUILTIN
        .iter()
        .zip(digests)
        .map(|((name, bytes), digest)| (*name, *bytes, digest))
}

/// The built-in plugins: the name of each one's folder, and the component.
///
/// What a plugin is called is what its descriptor says; the folder's name is
/// for messages about one that cannot be loaded.
#[must_use]
pub fn builtin_plugins() -> &'static [(&'static str, &'static [u8])] {
    BUILTIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_are_those_of_the_plugins() {
        assert_eq!(with_digests().count(), BUILTIN.len());
        for (name, bytes, digest) in with_digests() {
            assert_eq!(digest, Digest::of(bytes), "{name}");
        }
    }
}
