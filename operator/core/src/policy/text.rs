//! Text as XML carries it: which characters it can hold, how they are escaped
//! and what entities decode to.

/// Whether XML 1.0 can carry the character at all (production `Char`).
#[must_use]
pub(super) const fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The first character that XML 1.0 cannot carry.
#[must_use]
pub(super) fn forbidden_char(text: &str) -> Option<char> {
    text.chars().find(|c| !is_xml_char(*c))
}

/// Whether the text is a display name of a named value: `^[A-Za-z0-9-._]+$`,
/// at most 256 characters (API Management's contract).
#[must_use]
pub fn is_named_value_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 256
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

/// Escapes a literal for an attribute in double quotes. Whitespace other than
/// blanks is written as character references: a reader would turn it into
/// blanks.
pub(super) fn escape_attribute(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            _ => out.push(c),
        }
    }
}

/// Escapes a literal for element content. A text of nothing but whitespace is
/// written as character references: readers drop it otherwise.
pub(super) fn escape_text(text: &str, out: &mut String) {
    let blank = text.chars().all(char::is_whitespace);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            ' ' if blank => out.push_str("&#x20;"),
            '\n' if blank => out.push_str("&#xA;"),
            '\t' if blank => out.push_str("&#x9;"),
            _ => out.push(c),
        }
    }
}

/// What one entity, without `&` and `;`, stands for in XML 1.0.
pub(super) fn xml_entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            code.ok().and_then(char::from_u32)
        }
    }
}

/// Entities that matter to the search for hidden expressions, beyond XML's
/// own. Browsers and templating engines know them.
const HTML: [(&str, char); 8] = [
    ("commat", '@'),
    ("lpar", '('),
    ("rpar", ')'),
    ("lbrace", '{'),
    ("lcub", '{'),
    ("rbrace", '}'),
    ("rcub", '}'),
    ("num", '#'),
];

/// How often an encoded text may be encoded again. Nobody does it more than
/// twice by accident.
const ROUNDS: usize = 16;

/// The text with every entity decoded, and decoded again until none is left;
/// nothing if that takes absurdly long. Lenient where XML is strict, because
/// the question is what a careless reader could see: HTML names count, any
/// case of `x`, a missing semicolon after a number or `amp`.
#[must_use]
pub(super) fn decode_fully(text: &str) -> Option<String> {
    let mut current = text.to_owned();
    for _ in 0..ROUNDS {
        match decode_once(&current) {
            None => return Some(current),
            Some(next) => current = next,
        }
    }
    None
}

/// One round; nothing if there was nothing to decode.
fn decode_once(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut found = false;
    while let Some(at) = rest.find('&') {
        let (before, entity) = rest.split_at(at);
        out.push_str(before);
        if let Some((c, length)) = lenient_entity(entity) {
            found = true;
            out.push(c);
            rest = entity.get(length..).unwrap_or_default();
        } else {
            out.push('&');
            rest = entity.get(1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    found.then_some(out)
}

/// The character and the length of the entity at the start of the text.
fn lenient_entity(text: &str) -> Option<(char, usize)> {
    let body = text.strip_prefix('&')?;
    if let Some(number) = body.strip_prefix('#') {
        let (digits, radix, skip) = match number.strip_prefix(['x', 'X']) {
            Some(hex) => (hex, 16, 3),
            None => (number, 10, 2),
        };
        let length = digits
            .find(|c: char| !c.is_digit(radix))
            .unwrap_or(digits.len());
        let significant = digits.get(..length)?.trim_start_matches('0');
        let c = u32::from_str_radix(significant, radix)
            .ok()
            .and_then(char::from_u32)?;
        let semicolon = usize::from(digits.get(length..)?.starts_with(';'));
        return Some((c, skip + length + semicolon));
    }
    let length = body
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(body.len());
    let name = body.get(..length)?;
    if body.get(length..)?.starts_with(';') {
        let lower = name.to_ascii_lowercase();
        let c = xml_entity(&lower).or_else(|| {
            HTML.iter()
                .find(|(entity, _)| *entity == lower)
                .map(|(_, c)| *c)
        })?;
        return Some((c, 1 + length + 1));
    }
    // `&amp` without its semicolon, as HTML allows.
    name.get(..3)
        .filter(|start| start.eq_ignore_ascii_case("amp"))
        .map(|_| ('&', 4))
}

/// Whether the text begins with something that ends in an XML name character
/// sequence: a name of letters, digits, `.`, `-`, `_` and at most one colon.
#[must_use]
pub(super) fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    match name.split_once(':') {
        Some((prefix, local)) => part(prefix) && part(local),
        None => part(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_decoded_however_they_are_written_and_nested() {
        for text in [
            "&#64;(",
            "&#x40;(",
            "&#X0040;(",
            "&#064(",
            "&commat;(",
            "&amp;#64;(",
            "&amp;amp;commat;&amp;lpar;",
            "&AMP;#64;(",
            "&amp#64;(",
            "&#38;#x26;#64;(",
        ] {
            assert_eq!(decode_fully(text).as_deref(), Some("@("), "{text}");
        }
        assert_eq!(decode_fully("&lbrace;&lcub;x").as_deref(), Some("{{x"));
        assert_eq!(
            decode_fully("a & b &x; &#;").as_deref(),
            Some("a & b &x; &#;")
        );
        assert_eq!(decode_fully(&format!("&{}", "amp;".repeat(40))), None);
    }

    #[test]
    fn names_of_named_values_are_as_api_management_wants_them() {
        assert!(is_named_value_name("a-b.c_D9"));
        for name in ["", "a b", "ä", "a}", &"a".repeat(257)] {
            assert!(!is_named_value_name(name), "{name}");
        }
    }

    #[test]
    fn characters_that_xml_cannot_carry_are_found() {
        assert_eq!(forbidden_char("a\u{0}b"), Some('\u{0}'));
        assert_eq!(forbidden_char("\u{FFFE}"), Some('\u{FFFE}'));
        assert_eq!(forbidden_char("\t\r\n 🦀"), None);
    }
}
