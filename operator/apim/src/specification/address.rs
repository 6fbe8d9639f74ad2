//! Which addresses a document may be fetched from.
//!
//! An API owner chooses the URL and the operator makes the request, from inside
//! the cluster: without this an owner could read what only the operator can
//! reach, such as the cloud's metadata service.

use std::net::IpAddr;

use ipnet::IpNet;
pub use operator_core::address::AddressKind;
use operator_core::address::unwrapped;

/// An entry of `allowPrivate` that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`specification.allowPrivate` holds `{0}`, which is no host name, no address, no CIDR range, and none of them with a `*` at one end"
)]
pub struct InvalidEntry(pub String);

/// What an instance's `specification.allowPrivate` allows beyond public
/// addresses.
///
/// | entry | allows |
/// |---|---|
/// | `10.1.2.3`, `10.0.0.0/8`, `10.1.*`, `fd00::/8` | connections to these addresses, of whatever kind, under any host name |
/// | `specs.example.com`, `localhost` | what this host resolves to, if private or loopback |
/// | `*.svc.cluster.local`, `specs-*`, `*` | what such hosts resolve to, if private |
///
/// A link-local or metadata address is only ever allowed by its number: whoever
/// may name a host in an allowed zone must not reach the node's identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AllowPrivate {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Entry {
    Net(IpNet),
    /// The beginning of a dotted IPv4 address.
    AddressPrefix(String),
    Host(String),
    HostPrefix(String),
    HostSuffix(String),
}

impl AllowPrivate {
    /// Reads the list as it stands in the instance.
    pub fn parse(entries: &[String]) -> Result<Self, InvalidEntry> {
        let entries = entries
            .iter()
            .map(|entry| Entry::parse(entry).ok_or_else(|| InvalidEntry(entry.clone())))
            .collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// Whether a connection to `address` may be made for the sake of `host`,
    /// which is the host of the URL as it is spelled there.
    #[must_use]
    pub fn allows(&self, host: &str, address: IpAddr) -> bool {
        let kind = AddressKind::of(address);
        if kind == AddressKind::Public {
            return true;
        }
        let host = normal(host);
        let number = unwrapped(address);
        self.entries.iter().any(|entry| match entry {
            Entry::Net(net) => net.contains(&number),
            Entry::AddressPrefix(prefix) => {
                number.is_ipv4() && number.to_string().starts_with(prefix)
            }
            Entry::Host(name) => {
                *name == host && matches!(kind, AddressKind::Private | AddressKind::Loopback)
            }
            Entry::HostPrefix(prefix) => {
                kind == AddressKind::Private && host.starts_with(prefix.as_str())
            }
            Entry::HostSuffix(suffix) => {
                kind == AddressKind::Private && host.ends_with(suffix.as_str())
            }
        })
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(net) = bare.parse::<IpNet>() {
            return Some(Self::Net(net));
        }
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(Self::Net(unwrapped(address).into()));
        }
        let name = normal(text);
        let plain = |name: &str| {
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        };
        if let Some(prefix) = name.strip_suffix('*') {
            let digits = |c: char| c.is_ascii_digit() || c == '.';
            // `10.*` means addresses: as a host name it would also let
            // `10.example.com` through, wherever that leads.
            if !prefix.is_empty() && prefix.chars().all(digits) {
                return Some(Self::AddressPrefix(prefix.to_owned()));
            }
            return plain(prefix).then(|| Self::HostPrefix(prefix.to_owned()));
        }
        if let Some(suffix) = name.strip_prefix('*') {
            return plain(suffix).then(|| Self::HostSuffix(suffix.to_owned()));
        }
        (!name.is_empty() && plain(&name)).then_some(Self::Host(name))
    }
}

/// Host names know no case, and a dot at the end changes nothing here.
fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_allows_what_it_names_and_nothing_else() {
        // Entry, host, address, allowed.
        let table = [
            ("10.1.2.3", "a.example", "10.1.2.3", true),
            ("10.1.2.3", "a.example", "10.1.2.4", false),
            ("10.1.2.3", "a.example", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "10.9.9.9", "10.9.9.9", true),
            ("10.0.0.0/8", "a.example", "192.168.0.1", false),
            ("169.254.169.254", "a.example", "169.254.169.254", true),
            ("[::1]", "[::1]", "::1", true),
            ("fd00::/8", "a.example", "fd12::1", true),
            ("10.1.*", "a.example", "10.1.2.3", true),
            ("10.1.*", "10.1.evil.example", "192.168.0.1", false),
            ("Specs.Example.com", "specs.example.com.", "10.0.0.1", true),
            ("specs.example.com", "specs.example.com", "127.0.0.1", true),
            (
                "specs.example.com",
                "specs.example.com",
                "169.254.169.254",
                false,
            ),
            (
                "specs.example.com",
                "x.specs.example.com",
                "10.0.0.1",
                false,
            ),
            ("*.svc", "a.b.svc", "10.0.0.1", true),
            ("*.svc", "svc", "10.0.0.1", false),
            ("*.svc", "a.svc.evil", "10.0.0.1", false),
            ("*.svc", "a.b.svc", "127.0.0.1", false),
            ("*.svc", "a.b.svc", "168.63.129.16", false),
            ("specs-*", "specs-a", "10.0.0.1", true),
            ("specs-*", "other", "10.0.0.1", false),
            ("*", "anything", "10.0.0.1", true),
            ("*", "anything", "169.254.169.254", false),
            ("*", "anything", "0.0.0.0", false),
        ];
        for (entry, host, address, expected) in table {
            let allow = AllowPrivate::parse(&[entry.to_owned()]).unwrap();
            assert_eq!(
                allow.allows(host, address.parse().unwrap()),
                expected,
                "{entry} {host} {address}"
            );
        }
        assert!(AllowPrivate::default().allows("a.example", "1.1.1.1".parse().unwrap()));
        assert!(!AllowPrivate::default().allows("a.example", "10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn an_entry_that_means_nothing_is_an_error_that_names_it() {
        for entry in ["", "a*b", "**", "http://a", "10.0.0.0/99", "*.a.*"] {
            let error = AllowPrivate::parse(&[entry.to_owned()]).unwrap_err();
            assert_eq!(error, InvalidEntry(entry.to_owned()));
        }
    }
}
