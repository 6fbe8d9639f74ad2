//! One reading of a path, for the matcher and the backend alike: whoever reads
//! it differently could be led past a policy.

use super::{hex_pair, percent_decode};

/// Why a path is refused (400).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    /// A byte that no path holds unencoded.
    #[error("The request path contains a character that is not allowed there.")]
    Character,
    /// `%` without two hexadecimal digits.
    #[error("The request path contains an incomplete percent-encoding.")]
    Encoding,
    /// An encoded control character.
    #[error("The request path contains an encoded control character.")]
    Control,
    /// `..` behind an encoded slash or backslash, which servers resolve
    /// differently.
    #[error("The request path contains a dot segment behind an encoded slash.")]
    HiddenDots,
    /// Not absolute.
    #[error("The request path is not absolute.")]
    Relative,
}

/// The path without dot segments, with unreserved characters decoded (RFC 3986,
/// 6.2.2.2 and 5.2.4), as .NET's `Uri` reads it. Encoded slashes stay encoded.
///
/// That API Management resolves dot segments before it matches is inferred
/// from its use of `Uri`; the refusals are this gateway's own.
pub(crate) fn normalise(path: &str) -> Result<String, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::Relative);
    }
    let decoded = decode_unreserved(path)?;
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = decoded[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            other => {
                check_hidden(other)?;
                kept.push(other);
            }
        }
    }
    Ok(format!("/{}", kept.join("/")))
}

fn decode_unreserved(path: &str) -> Result<String, PathError> {
    let bytes = path.as_bytes();
    let mut decoded = String::with_capacity(path.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b'%' {
            let digits = bytes.get(at + 1..at + 3).ok_or(PathError::Encoding)?;
            let code = hex_pair(digits).ok_or(PathError::Encoding)?;
            match code {
                0..0x20 | 0x7f => return Err(PathError::Control),
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    decoded.push(char::from(code));
                }
                _ => decoded.push_str(&path[at..at + 3]),
            }
            at += 3;
        } else if byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'#') {
            decoded.push(char::from(byte));
            at += 1;
        } else {
            return Err(PathError::Character);
        }
    }
    Ok(decoded)
}

fn check_hidden(segment: &str) -> Result<(), PathError> {
    if !segment.contains('%') {
        return Ok(());
    }
    let decoded = percent_decode(segment);
    let hidden = decoded.contains(['/', '\\'])
        && decoded
            .split(['/', '\\'])
            .any(|part| part == ".." || part == ".");
    if hidden {
        Err(PathError::HiddenDots)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dot_segments_go_and_encoded_slashes_stay() {
        let cases = [
            ("/a/./b/../c", "/a/c"),
            ("/a/%2e%2e/b", "/b"),
            ("/../../a", "/a"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/a%2Fb/%7Eu", "/a%2Fb/~u"),
            ("/a//b/", "/a//b/"),
        ];
        for (path, expected) in cases {
            assert_eq!(normalise(path).as_deref(), Ok(expected), "{path}");
        }
        let refused = [
            ("/a/..%2fadmin", PathError::HiddenDots),
            ("/a/%2e%2e%5cadmin", PathError::HiddenDots),
            ("/a%00", PathError::Control),
            ("/a%2", PathError::Encoding),
            ("/a\\b", PathError::Character),
            ("a", PathError::Relative),
        ];
        for (path, expected) in refused {
            assert_eq!(normalise(path), Err(expected), "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_was_normalised_stays_and_holds_no_dots(path in "/[a-c./%2eEfF5c]{0,24}") {
            if let Ok(once) = normalise(&path) {
                prop_assert!(!once.split('/').any(|segment| segment == ".." || segment == "."));
                prop_assert_eq!(normalise(&once), Ok(once));
            }
        }
    }
}
