//! Name resolution without link-local and metadata addresses.
//!
//! The check stands here and not before the request, because only what the
//! resolver answers is connected to: between two look-ups of a name its owner
//! may change it. Loopback and private addresses are fine: sources are the
//! platform's to name, and registries are often inside.
//!
//! Where the environment names a proxy, names are the proxy's to resolve, and
//! only addresses that stand in a URL are checked.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use operator_core::address::AddressKind;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Every address of a name was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedAddress {
    pub(crate) host: String,
    pub(crate) address: IpAddr,
}

impl fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} leads to {}", self.host, self.address)
    }
}

impl std::error::Error for RefusedAddress {}

fn forbidden(address: IpAddr) -> bool {
    AddressKind::of(address) == AddressKind::LinkLocal
}

/// Checks an address that stands in the URL; it is never resolved.
pub(crate) fn check_literal(url: &Url) -> Result<(), RefusedAddress> {
    let address: IpAddr = match url.host() {
        Some(Host::Ipv4(address)) => address.into(),
        Some(Host::Ipv6(address)) => address.into(),
        Some(Host::Domain(_)) | None => return Ok(()),
    };
    if forbidden(address) {
        return Err(RefusedAddress {
            host: url.host_str().unwrap_or_default().to_owned(),
            address,
        });
    }
    Ok(())
}

/// The system's resolver, with the filter behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let found = look_up(&host).await?;
            Ok(permitted(&host, &found)?)
        })
    }
}

async fn look_up(host: &str) -> std::io::Result<Vec<IpAddr>> {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    // RFC 6761; not every system's resolver knows.
    if name == "localhost" || name.ends_with(".localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let found = tokio::net::lookup_host((host, 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}

fn permitted(host: &str, found: &[IpAddr]) -> Result<Addrs, RefusedAddress> {
    let open: Vec<SocketAddr> = found
        .iter()
        .filter(|address| !forbidden(**address))
        .map(|address| SocketAddr::new(*address, 0))
        .collect();
    match found.first() {
        Some(address) if open.is_empty() => Err(RefusedAddress {
            host: host.to_owned(),
            address: *address,
        }),
        _ => Ok(Box::new(open.into_iter())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn of_mixed_addresses_only_the_permitted_ones_are_left() {
        let found = addresses(&[
            "169.254.169.254",
            "10.0.0.1",
            "::ffff:169.254.0.1",
            "127.0.0.1",
        ]);
        let left: Vec<SocketAddr> = permitted("a.example", &found).unwrap().collect();
        assert_eq!(
            left,
            [
                "10.0.0.1:0".parse().unwrap(),
                "127.0.0.1:0".parse::<SocketAddr>().unwrap()
            ]
        );
    }

    #[test]
    fn a_name_with_metadata_addresses_alone_is_refused() {
        for address in [
            "169.254.169.254",
            "fd00:ec2::254",
            "fe80::1",
            "168.63.129.16",
        ] {
            let found = addresses(&[address]);
            let Err(refused) = permitted("a.example", &found) else {
                panic!("{address} was let through");
            };
            assert_eq!(refused.address, found[0]);
        }
    }

    #[test]
    fn an_address_in_a_url_is_seen_however_it_is_spelled() {
        for url in [
            "http://169.254.169.254/latest",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[fd00:ec2::254]/",
        ] {
            assert!(check_literal(&Url::parse(url).unwrap()).is_err(), "{url}");
        }
        assert!(check_literal(&Url::parse("https://10.0.0.1/").unwrap()).is_ok());
    }
}
