//! The plugins that come with the operator.

static BUILTIN: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// The built-in plugins: the name of each one's folder, and the component.
///
/// What a plugin is called is what its descriptor says; the folder's name is
/// for messages about one that cannot be loaded.
#[must_use]
pub fn builtin_plugins() -> &'static [(&'static str, &'static [u8])] {
    BUILTIN
}
