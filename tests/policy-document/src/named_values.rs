//! `{{name}}`: where a document names a value that the service holds.

/// The display names in `{{…}}` of a value, in order. Braces around anything
/// that can be no display name (C# initialisers, format strings) are no
/// reference.
#[must_use]
pub fn named_values(value: &str) -> Vec<&str> {
    let mut names = Vec::new();
    visit(value, |part| {
        if let Part::Name(name) = part {
            names.push(name);
        }
    });
    names
}

/// The value with every `{{name}}` replaced by what `resolve` gives for it,
/// once: what comes in is not looked at again. The error is the first name
/// that is not known.
pub fn replace_named_values<'a>(
    value: &str,
    resolve: impl Fn(&str) -> Option<&'a str>,
) -> Result<String, String> {
    let mut replaced = String::with_capacity(value.len());
    let mut missing = None;
    visit(value, |part| match part {
        Part::Text(text) => replaced.push_str(text),
        Part::Name(name) => match resolve(name) {
            Some(text) => replaced.push_str(text),
            None => missing = missing.take().or_else(|| Some(name.to_owned())),
        },
    });
    missing.map_or(Ok(replaced), Err)
}

enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

fn visit<'a>(value: &'a str, mut found: impl FnMut(Part<'a>)) {
    let mut rest = value;
    while let Some(start) = rest.find("{{") {
        // `{{{x}}}` holds `{{x}}`.
        let inner = rest[start..].trim_start_matches('{');
        let name = inner.trim_start();
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let length = name.find(|c| !valid(c)).unwrap_or(name.len());
        let (name, after) = name.split_at(length);
        let before = rest.len() - inner.len();
        rest = match after.trim_start().strip_prefix("}}") {
            Some(after) if !name.is_empty() => {
                found(Part::Text(&rest[..before - 2]));
                found(Part::Name(name));
                after
            }
            _ => {
                found(Part::Text(&rest[..before]));
                inner
            }
        };
    }
    found(Part::Text(rest));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_values_are_found_and_replaced_and_other_braces_stay() {
        let text = "a {{x}} {{{ y-1 }}} {{ new[] {1} }} {{}} {{x";
        assert_eq!(named_values(text), ["x", "y-1"]);
        let replaced = replace_named_values(text, |name| match name {
            "x" => Some("{{y-1}}"),
            _ => Some("2"),
        });
        let expected = "a {{y-1}} {2} {{ new[] {1} }} {{}} {{x";
        assert_eq!(replaced.as_deref(), Ok(expected));
        assert_eq!(
            replace_named_values("{{x}} {{gone}}", |name| (name == "x").then_some("1")),
            Err("gone".to_owned())
        );
    }
}
