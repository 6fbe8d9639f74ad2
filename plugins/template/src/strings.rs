//! The texts that stand in a template as strings.

use std::collections::BTreeSet;

/// All strings between quotes in the tags of a template, read as Tera reads
/// them. Whatever this finds is a part of the template, so taking one for
/// another can make an error, never code of a value.
pub(crate) fn strings(template: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        rest = &rest[start..];
        if let Some(comment) = rest.strip_prefix("{#") {
            rest = comment.find("#}").map_or("", |end| &comment[end + 2..]);
        } else if rest.starts_with("{{") || rest.starts_with("{%") {
            let end = if rest.starts_with("{{") { "}}" } else { "%}" };
            let (tag, after) = tag(&rest[2..], end, &mut found);
            rest = after;
            if end == "%}" && tag.trim_matches('-').trim() == "raw" {
                rest = skip_raw(rest);
            }
        } else {
            rest = &rest[1..];
        }
    }
    found
}

/// Reads a tag up to its end, and says what is in it and what comes after it.
fn tag<'t>(text: &'t str, end: &str, found: &mut BTreeSet<String>) -> (&'t str, &'t str) {
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if text[at..].starts_with(end) {
            return (&text[..at], &text[at + end.len()..]);
        }
        if matches!(c, '"' | '\'' | '`') {
            let Some(length) = string(&text[at..], c, found) else {
                break;
            };
            at += length;
        } else {
            at += c.len_utf8();
        }
    }
    (text, "")
}

/// Reads a string with its quotes, and says how long it is.
fn string(text: &str, quote: char, found: &mut BTreeSet<String>) -> Option<usize> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => {
                found.insert(out);
                return Some(at + c.len_utf8());
            }
            '\\' => out.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            }),
            c => out.push(c),
        }
    }
    None
}

/// What comes after `{% endraw %}`.
fn skip_raw(text: &str) -> &str {
    let mut rest = text;
    while let Some(start) = rest.find("{%") {
        rest = &rest[start + 2..];
        let Some(end) = rest.find("%}") else {
            return "";
        };
        if rest[..end].trim_matches('-').trim() == "endraw" {
            return &rest[end + 2..];
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::strings;

    #[test]
    fn strings_in_tags_are_found_and_text_outside_is_not() {
        let template = r#"
            <a b="no">{{ f(code="one") }}</a>{# "no" #}
            {% set x = 'two "2"' %}{{ `three` ~ "four\n\"" }}
            {% raw %}{{ "no" }}{% endraw %}{{ "five" }}{ "no" }
            {%- raw -%} it's {%- endraw -%}{{ 'six }}' }}
        "#;
        let found: Vec<String> = strings(template).into_iter().collect();
        assert_eq!(
            found,
            ["five", "four\n\"", "one", "six }}", "three", "two \"2\""]
        );
    }

    #[test]
    fn what_is_not_closed_ends_the_search() {
        for template in ["{{ \"a", "{{ 'b\\", "{# c", "{% raw %} {% x", "{"] {
            assert!(strings(template).is_empty(), "{template}");
        }
    }
}
