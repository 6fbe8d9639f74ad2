//! Name resolution that hides addresses a document may not come from.
//!
//! The check stands here and not before the request, because only what the
//! resolver answers is connected to: between two look-ups of a name its owner
//! may change it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{AddressKind, AllowPrivate};

/// Every address of a name was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RefusedAddress {
    pub(super) host: String,
    pub(super) address: IpAddr,
    pub(super) kind: AddressKind,
}

impl fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} leads to {}", self.host, self.kind.label())
    }
}

impl std::error::Error for RefusedAddress {}

/// A name without an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoAddress {
    pub(super) host: String,
    pub(super) message: String,
}

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.host, self.message)
    }
}

impl std::error::Error for NoAddress {}

/// The system's resolver, with a filter behind it.
#[derive(Debug, Clone)]
pub(super) struct Guarded {
    allow: AllowPrivate,
}

impl Guarded {
    pub(super) const fn new(allow: AllowPrivate) -> Self {
        Self { allow }
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = self.allow.clone();
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let found = look_up(&host).await?;
            Ok(permitted(&allow, &host, found)?)
        })
    }
}

async fn look_up(host: &str) -> Result<Vec<IpAddr>, NoAddress> {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    // RFC 6761: localhost and all names below it are this machine. Not every
    // system's resolver knows.
    if name == "localhost" || name.ends_with(".localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let failed = |message: String| NoAddress {
        host: host.to_owned(),
        message,
    };
    let found: Vec<IpAddr> = tokio::net::lookup_host((host, 0))
        .await
        .map_err(|error| failed(error.to_string()))?
        .map(|address| address.ip())
        .collect();
    if found.is_empty() {
        return Err(failed("the name has no address".into()));
    }
    Ok(found)
}

fn permitted(
    allow: &AllowPrivate,
    host: &str,
    found: Vec<IpAddr>,
) -> Result<Addrs, RefusedAddress> {
    let refused = found.first().map(|address| RefusedAddress {
        host: host.to_owned(),
        address: *address,
        kind: AddressKind::of(*address),
    });
    let open: Vec<SocketAddr> = found
        .into_iter()
        .filter(|address| allow.allows(host, *address))
        .map(|address| SocketAddr::new(address, 0))
        .collect();
    match refused {
        Some(refused) if open.is_empty() => Err(refused),
        _ => Ok(Box::new(open.into_iter())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_mixed_addresses_only_the_permitted_ones_are_left() {
        let allow = AllowPrivate::default();
        let found = vec!["10.0.0.1".parse().unwrap(), "1.1.1.1".parse().unwrap()];
        let left: Vec<SocketAddr> = permitted(&allow, "a.example", found).unwrap().collect();
        assert_eq!(left, ["1.1.1.1:0".parse().unwrap()]);
    }
}
