//! A value that cannot be printed.

use std::fmt;

/// Holds a token, a key or a password.
///
/// Neither `Debug` nor `Display` shows it, and it cannot be serialized, so it
/// does not reach a log, an event, a status or an error by accident. Whoever
/// needs the value says so with [`Secret::expose`].
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value itself, taken out.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        #[derive(Debug)]
        struct Holder {
            #[expect(dead_code, reason = "only its Debug output matters")]
            key: Secret<String>,
        }
        let secret = Secret::new("hunter2".to_owned());
        let holder = Holder {
            key: secret.clone(),
        };
        assert_eq!(
            format!("{secret} {secret:?} {secret:#?} {holder:?}"),
            "… Secret(…) Secret(…) Holder { key: Secret(…) }"
        );
        assert_eq!(secret.expose(), "hunter2");
    }
}
