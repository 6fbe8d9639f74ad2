//! What a registry asks for when it answers 401 (RFC 9110, section 11.6.1, and
//! the token protocol of the distribution project).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// A way to authenticate that both sides know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token, to be had at `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

/// The challenges of an answer, in its order; unknown ones are left out.
pub(crate) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(parse)
        .collect()
}

fn parse(text: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for part in split(text) {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(unquoted(value.trim()))),
            None => (part.trim(), None),
        };
        // `Bearer realm="…"`: a scheme stands before its first parameter.
        let (scheme, parameter) = match name.rsplit_once(char::is_whitespace) {
            Some((scheme, parameter)) => (Some(scheme.trim()), parameter),
            None if value.is_none() => (Some(name), ""),
            None => (None, name),
        };
        if let Some(scheme) = scheme {
            found.push((scheme.to_ascii_lowercase(), Vec::new()));
        }
        if let (Some(value), Some((_, parameters))) = (value, found.last_mut()) {
            parameters.push((parameter.to_ascii_lowercase(), value));
        }
    }
    found
        .into_iter()
        .filter_map(|(scheme, parameters)| {
            let get = |name: &str| {
                let found = parameters.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| value.clone())
            };
            match scheme.as_str() {
                "basic" => Some(Challenge::Basic),
                "bearer" => Some(Challenge::Bearer {
                    realm: get("realm")?,
                    service: get("service"),
                    scope: get("scope"),
                }),
                _ => None,
            }
        })
        .collect()
}

/// The parts between commas that do not stand in quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn unquoted(text: &str) -> String {
    let Some(inner) = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
    else {
        return text.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        plain.extend(if c == '\\' {
            characters.next()
        } else {
            Some(c)
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_a_header_holds_it_is_read(text in r#"(Bearer|realm|=|"|\\|,| |é|x)*"#) {
            let _ = parse(&text);
        }

        #[test]
        fn a_quoted_value_comes_back(value in "[ -~]*") {
            let quoted = value.replace('\\', r"\\").replace('"', r#"\""#);
            let found = parse(&format!("Bearer a=b, realm=\"{quoted}\", scope=\"s\""));
            let expected = Challenge::Bearer { realm: value, service: None, scope: Some("s".into()) };
            prop_assert_eq!(found, [expected]);
        }
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
            scope: scope.map(Into::into),
        };
        let table = [
            ("Basic", vec![Challenge::Basic]),
            (r#"Basic realm="a, b""#, vec![Challenge::Basic]),
            (
                r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull,push""#,
                vec![bearer(
                    "https://auth.example/token",
                    Some("r.example"),
                    Some("repository:a/b:pull,push"),
                )],
            ),
            (
                r#"bearer Realm = "https://a/\"t" , error="x""#,
                vec![bearer("https://a/\"t", None, None)],
            ),
            (
                r#"Negotiate, Basic realm="x", Bearer realm=https://a"#,
                vec![Challenge::Basic, bearer("https://a", None, None)],
            ),
            (r#"Bearer service="none""#, vec![]),
            ("", vec![]),
            (r#"realm="x""#, vec![]),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
