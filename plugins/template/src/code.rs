//! Values in C# code, as strings and numbers that cannot get out of their
//! place.

use policy_sdk::{Part, csharp};

/// What can be put into code.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Argument {
    /// Text: a C# string.
    Text(String),
    /// `true`, `12`, `null`, …: what it says in C#.
    Plain(String),
    /// A named value, between quotes.
    NamedValue(String),
}

/// Puts the arguments into the places `$name` of the code.
///
/// A place within a string, a character or a comment of the code is refused:
/// what is a string outside would be code there.
pub(crate) fn place(code: &str, arguments: &[(String, Argument)]) -> Result<Vec<Part>, String> {
    if arguments.is_empty() {
        return Ok(vec![Part::Text(code.to_owned())]);
    }
    if code.contains("\"\"\"") {
        return Err(
            "the code holds three quotes in a row, which values cannot stand beside".to_owned(),
        );
    }
    let mut parts = Parts::default();
    let mut used = vec![false; arguments.len()];
    let mut at = 0;
    let mut before = ' ';
    while let Some(c) = code[at..].chars().next() {
        let rest = &code[at..];
        let skipped = skip(rest);
        if skipped > 0 {
            let inner = &rest[..skipped];
            if let Some((name, _)) = arguments.iter().find(|(name, _)| names(inner, name)) {
                return Err(format!(
                    "`${name}` stands within a string or a comment of the code: end the string before it and \
                     join the two with `+`"
                ));
            }
            parts.text(inner);
            at += skipped;
            before = '"';
            continue;
        }
        let name = rest.strip_prefix('$').map_or("", identifier);
        if let Some(index) = arguments
            .iter()
            .position(|(own, _)| own == name && c == '$')
        {
            if before.is_alphanumeric() || matches!(before, '_' | '@' | '$' | '"' | '\\' | '\'') {
                return Err(format!(
                    "`${name}` stands directly behind `{before}` in the code; put something between them"
                ));
            }
            parts.argument(&arguments[index].1);
            used[index] = true;
            at += 1 + name.len();
            before = '"';
        } else {
            parts.text(&rest[..c.len_utf8()]);
            at += c.len_utf8();
            before = c;
        }
    }
    match arguments.iter().zip(&used).find(|(_, used)| !**used) {
        None => Ok(parts.0),
        Some(((name, _), _)) => Err(format!(
            "nothing in the code is called `${name}`: write that where the value of `{name}` belongs"
        )),
    }
}

#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn text(&mut self, more: &str) {
        if let Some(Part::Text(text)) = self.0.last_mut() {
            text.push_str(more);
        } else {
            self.0.push(Part::Text(more.to_owned()));
        }
    }

    fn argument(&mut self, argument: &Argument) {
        match argument {
            Argument::Text(text) => self.text(&csharp::string(text)),
            Argument::Plain(plain) => self.text(plain),
            Argument::NamedValue(name) => {
                self.text("\"");
                self.0.push(Part::NamedValue(name.clone()));
                self.text("\"");
            }
        }
    }
}

/// The length of the string, character or comment that begins here; 0 where
/// none does. One without an end takes all that is left.
fn skip(rest: &str) -> usize {
    let to = |end: Option<usize>| end.unwrap_or(rest.len());
    if rest.starts_with("//") {
        return to(rest.find('\n'));
    }
    if let Some(inner) = rest.strip_prefix("/*") {
        return to(inner.find("*/").map(|end| end + 4));
    }
    let prefix = ["@$\"", "$@\"", "@\""]
        .iter()
        .find(|prefix| rest.starts_with(**prefix));
    if let Some(prefix) = prefix {
        let mut at = prefix.len();
        while let Some(end) = rest[at..].find('"') {
            at += end + 1;
            if !rest[at..].starts_with('"') {
                return at;
            }
            at += 1;
        }
        return rest.len();
    }
    let quote = match rest.as_bytes() {
        [b'$', b'"', ..] => 1,
        [b'"' | b'\'', ..] => 0,
        _ => return 0,
    };
    let mut escaped = false;
    let close = rest[quote..].chars().next();
    let inner = &rest[quote + 1..];
    let end = inner.char_indices().find(|(_, c)| {
        let closes = !escaped && Some(*c) == close;
        escaped = !escaped && *c == '\\';
        closes
    });
    to(end.map(|(at, _)| quote + 1 + at + 1))
}

/// Whether `$name` stands in a text.
fn names(text: &str, name: &str) -> bool {
    text.match_indices('$')
        .any(|(at, _)| identifier(&text[at + 1..]) == name)
}

fn identifier(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use policy_sdk::Part;
    use proptest::prelude::*;

    use super::{Argument, place};

    fn text(code: &str, value: &str) -> Result<String, String> {
        let argument = ("v".to_owned(), Argument::Text(value.to_owned()));
        place(code, &[argument]).map(|parts| match parts.as_slice() {
            [Part::Text(text)] => text.clone(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_text_becomes_a_string_of_the_code() {
        assert_eq!(
            text("F($v, \"a\" + $v)", "x\"y").as_deref(),
            Ok("F(\"x\\u0022y\", \"a\" + \"x\\u0022y\")")
        );
    }

    #[test]
    fn other_values_say_what_they_are_in_c_sharp() {
        let arguments = [
            ("n".to_owned(), Argument::Plain("(-3)".to_owned())),
            ("s".to_owned(), Argument::NamedValue("key".to_owned())),
        ];
        let parts = place("$n + $s", &arguments);
        let expected = [
            Part::Text("(-3) + \"".to_owned()),
            Part::NamedValue("key".to_owned()),
            Part::Text("\"".to_owned()),
        ];
        assert_eq!(parts.as_deref(), Ok(&expected[..]));
    }

    #[test]
    fn a_place_within_a_string_is_refused() {
        for code in [
            "\"a $v\"",
            "$\"a {$v}\"",
            "@\"a \"\" $v\"",
            "$@\"a \\\" + \"$v",
            "\"a \\\" $v\"",
            "'$v'",
            "F() // $v",
            "F(/* $v */)",
            "\"\\\\\" + \"$v\"",
            "'\"' + \"$v\"",
        ] {
            let error = text(code, "Evil()").expect_err(code);
            assert!(error.contains("within a string"), "{code}: {error}");
        }
    }

    #[test]
    fn a_place_that_would_join_what_is_before_it_is_refused() {
        for code in ["@$v", "a$v", "$$v", "\"a\"$v", "$v$v", "\\$v"] {
            let error = text(code, "x").expect_err(code);
            assert!(error.contains("directly behind"), "{code}: {error}");
        }
    }

    #[test]
    fn a_value_without_a_place_is_an_error() {
        for code in ["F()", "F($w)", "F($v2)"] {
            let error = text(code, "x").expect_err(code);
            assert!(error.contains("nothing in the code"), "{error}");
        }
    }

    /// Takes the strings out of C# code, as its compiler finds them.
    fn without_strings(code: &str) -> String {
        let mut out = String::new();
        let mut chars = code.chars();
        while let Some(c) = chars.next() {
            if c != '"' {
                out.push(c);
                continue;
            }
            while let Some(c) = chars.next() {
                match c {
                    '\\' => drop(chars.next()),
                    '"' => break,
                    _ => {}
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn whatever_the_text_the_code_around_it_stays_the_same(
            value in any::<String>(), before in "[a-zA-Z(). ]{0,8}[(+ ]", after in "[)+ .;]{0,4}",
        ) {
            let code = format!("{before}$v{after}");
            let placed = text(&code, &value).expect("placed");
            prop_assert_eq!(without_strings(&placed), format!("{before}{after}"));
        }
    }
}
