//! Origins: scheme, host and port (RFC 6454).

use policy_sdk::Diagnostic;

/// Reads the list; what is wrong with it is added to `problems`. Scheme and
/// host are written in lower case, as browsers send them: API Management
/// compares text.
pub(crate) fn read(
    configured: Option<&[String]>,
    credentials: bool,
    problems: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let any = ["*".to_owned()];
    let origins = configured.unwrap_or(&any);
    if origins.iter().any(|origin| origin == "*") {
        if credentials {
            problems.push(Diagnostic::error(
                "/allowCredentials",
                "browsers refuse credentials where any origin (`*`) is allowed: list the origins in \
                 allowOrigins, or set allowCredentials to false",
            ));
        }
        if origins.len() > 1 {
            problems.push(Diagnostic::error(
                "/allowOrigins",
                "`*` allows all origins: leave the others out, or `*`",
            ));
        }
        return origins.to_vec();
    }
    let mut read = Vec::with_capacity(origins.len());
    for (index, origin) in origins.iter().enumerate() {
        match check(origin) {
            Ok(()) => read.push(origin.to_ascii_lowercase()),
            Err(reason) => problems.push(Diagnostic::error(
                format!("/allowOrigins/{index}"),
                format!("`{origin}` is not an origin: {reason}"),
            )),
        }
    }
    read
}

fn check(origin: &str) -> Result<(), String> {
    let (scheme, rest) = origin
        .split_once("://")
        .ok_or_else(|| "it begins with a scheme, as in https://www.example.com".to_owned())?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    if !is_scheme {
        return Err(format!("`{scheme}` is not a scheme"));
    }
    if let Some(end) = rest.find(['/', '?', '#']) {
        return Err(format!(
            "it ends after host and port; write {scheme}://{}",
            rest.get(..end).unwrap_or_default()
        ));
    }
    if rest.contains('@') {
        return Err("it holds no user name".to_owned());
    }
    let (host, port) = split_port(rest)?;
    if host.contains('*') {
        return Err(
            "API Management knows no patterns: list each host, or write the one entry `*`"
                .to_owned(),
        );
    }
    if !is_host(host) {
        return Err(format!("`{host}` is not a host"));
    }
    match port.map(str::parse::<u16>) {
        None => Ok(()),
        Some(Ok(port)) if port > 0 => Ok(()),
        Some(_) => Err(format!("`{}` is not a port", port.unwrap_or_default())),
    }
}

/// Splits host and port; an IPv6 address stands in brackets.
fn split_port(rest: &str) -> Result<(&str, Option<&str>), String> {
    if rest.starts_with('[') {
        let end = rest
            .find(']')
            .ok_or_else(|| "an IPv6 address ends with `]`".to_owned())?;
        let (host, after) = rest.split_at(end + 1);
        return match (after, after.strip_prefix(':')) {
            ("", _) => Ok((host, None)),
            (_, Some(port)) => Ok((host, Some(port))),
            _ => Err(format!("`{after}` stands after the address")),
        };
    }
    Ok(match rest.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    })
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}
