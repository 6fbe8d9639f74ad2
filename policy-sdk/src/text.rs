//! Kinds of text that configs hold.

/// Whether a text can be the name of a header or a method: a token (RFC 9110,
/// 5.6.2).
///
/// ```
/// # use policy_sdk::text::is_token;
/// assert!(is_token("X-Api-Key"));
/// assert!(!is_token("X Api Key") && !is_token(""));
/// ```
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether a text can be the value of a header: visible signs, blanks and
/// tabs (RFC 9110, 5.5), and neither blank at its ends.
///
/// ```
/// # use policy_sdk::text::is_header_value;
/// assert!(is_header_value("max-age=31536000; includeSubDomains"));
/// assert!(!is_header_value("a\r\nX-Other: b"));
/// ```
#[must_use]
pub fn is_header_value(text: &str) -> bool {
    text.trim() == text && !text.chars().any(|c| c.is_control() && c != '\t')
}
