//! C# for policy expressions.

use std::fmt::Write as _;

/// Text as a C# string literal, quotes included.
///
/// Letters, digits, spaces and a few harmless signs stand as they are.
/// Everything else becomes `\uXXXX` (two of them outside the basic plane):
/// quotes and backslashes, but also braces, parentheses and `@`, which the
/// policy's own syntax or a named value could be made of, and `<` and `&`. So
/// the literal is the same string to C#, and nothing to anything else.
#[must_use]
pub fn string(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for unit in text.encode_utf16() {
        match u8::try_from(unit).map(char::from) {
            Ok(plain) if is_plain(plain) => literal.push(plain),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(literal, "\\u{unit:04X}");
            }
        }
    }
    literal.push('"');
    literal
}

/// What stands for itself in C#, in XML and in policy text alike.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(
            c,
            ' ' | '-' | '_' | '.' | ',' | ':' | '/' | '=' | '+' | '*' | '~' | '!' | '?' | '|'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::string;

    /// Reads a literal back the way C# does.
    fn unquote(literal: &str) -> String {
        let inner = literal
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .expect("quotes");
        let mut units = Vec::new();
        let mut rest = inner;
        while let Some(c) = rest.chars().next() {
            if let Some(escape) = rest.strip_prefix("\\u") {
                units.push(u16::from_str_radix(&escape[..4], 16).expect("four hex digits"));
                rest = &escape[4..];
            } else {
                let mut buffer = [0; 2];
                units.extend_from_slice(c.encode_utf16(&mut buffer));
                rest = &rest[c.len_utf8()..];
            }
        }
        String::from_utf16(&units).expect("well-formed UTF-16")
    }

    #[test]
    fn plain_text_stands_as_it_is() {
        assert_eq!(string("x-api-key 1.0"), "\"x-api-key 1.0\"");
    }

    #[test]
    fn signs_with_a_meaning_are_escaped() {
        assert_eq!(
            string("\"\\{}@(<&\u{1F600}\n"),
            "\"\\u0022\\u005C\\u007B\\u007D\\u0040\\u0028\\u003C\\u0026\\uD83D\\uDE00\\u000A\""
        );
    }

    proptest! {
        #[test]
        fn every_string_survives_and_only_plain_text_is_written(text in any::<String>()) {
            let literal = string(&text);
            prop_assert_eq!(unquote(&literal), text);
            let inner = &literal[1..literal.len() - 1];
            let harmless = !inner.contains(['"', '{', '}', '@', '(', ')', '<', '&', '\'', ';']);
            prop_assert!(harmless);
            prop_assert!(inner.bytes().all(|b| (0x20..0x7f).contains(&b)));
        }
    }
}
