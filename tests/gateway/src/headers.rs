//! Headers between the wire and what policies see, and which are not passed on.

use apim_expressions::MultiMap;
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;
use smol_str::SmolStr;

/// Headers of one connection (RFC 9110, 7.6.1), which a proxy keeps to itself.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What policies see of a message's headers. Hop-by-hop headers, and those
/// that `Connection` names, are gone.
pub(crate) fn from_wire(headers: &HeaderMap) -> MultiMap {
    let named: Vec<String> = headers
        .get_all(http::header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut seen = MultiMap::with_capacity(headers.keys_len());
    for (name, value) in headers {
        let name = name.as_str();
        if !HOP_BY_HOP.contains(&name) && !named.iter().any(|hop| hop == name) {
            seen.append(canonical(name), text(value));
        }
    }
    seen
}

/// Header names reach the gateway in lower case; policies that list headers
/// show them as they are usually written.
fn canonical(name: &str) -> SmolStr {
    // Most names fit, and are then built without an allocation.
    let mut written: SmallVec<[u8; 32]> = SmallVec::from_slice(name.as_bytes());
    let mut up = true;
    for letter in &mut written {
        if up {
            letter.make_ascii_uppercase();
        }
        up = *letter == b'-';
    }
    // Changing the case of ASCII letters leaves UTF-8 what it is.
    std::str::from_utf8(&written).map_or_else(|_| name.into(), SmolStr::new)
}

/// A value as text: UTF-8 where it is that, else byte by byte.
fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
    }
}

/// Headers for the wire. What a policy has set to something that no header can
/// hold (a line break) or to a hop-by-hop header is left out; a policy must
/// not be able to frame messages.
pub(crate) fn to_wire(headers: &MultiMap) -> HeaderMap {
    let mut wire = HeaderMap::with_capacity(headers.len());
    for (name, values) in headers.iter() {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            continue;
        };
        if HOP_BY_HOP.contains(&name.as_str()) {
            continue;
        }
        for value in values {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                wire.append(name.clone(), value);
            }
        }
    }
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_one_connection_is_not_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Secret"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("x-b3", "kept"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers.append("x-odd", HeaderValue::from_bytes(&[0x61, 0xe9]).unwrap());
        let seen = from_wire(&headers);
        let names: Vec<&str> = seen.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["X-B3", "X-Odd"]);
        assert_eq!(seen.joined("x-odd").as_deref(), Some("aé"));
    }

    #[test]
    fn a_policy_cannot_frame_a_message() {
        let headers: MultiMap = [
            ("Transfer-Encoding", "chunked"),
            ("X-Split", "a\r\nb: c"),
            ("X-Good", "1"),
        ]
        .into_iter()
        .collect();
        let wire = to_wire(&headers);
        assert_eq!(wire.len(), 1);
        assert_eq!(wire["x-good"], "1");
    }
}
