//! Which addresses a document may be fetched from.
//!
//! An API owner chooses the URL and the operator makes the request, from inside
//! the cluster: without this an owner could read what only the operator can
//! reach, such as the cloud's metadata service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// What kind of address it is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    /// Anybody can reach it.
    Public,
    /// RFC 1918, RFC 6598 (carrier-grade NAT) or RFC 4193 (unique local):
    /// Services, pods and nodes have such.
    Private,
    /// The operator's own pod.
    Loopback,
    /// Of the node's link: where clouds have their metadata service. Azure's
    /// host service at 168.63.129.16 counts too.
    LinkLocal,
    /// Unspecified, multicast, broadcast, or set aside for other uses.
    Reserved,
}

impl AddressKind {
    /// As it reads in a message, with its article.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Private => "a private address",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local or metadata address",
            Self::Reserved => "a reserved address",
        }
    }

    /// The kind of an address. An IPv6 address that carries an IPv4 address is
    /// of that one's kind, since a gateway may unwrap it.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match unwrapped(address) {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

/// The IPv4 address that stands in an IPv6 address: mapped, compatible, NAT64
/// (RFC 6052's well-known prefix) or 6to4.
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let [first, second, middle @ .., last_but_one, last] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match (first, second, middle) {
        (0, 0, [0, 0, 0, 0xffff]) | (0x64, 0xff9b, [0, 0, 0, 0]) => v4(last_but_one, last),
        // `::` and `::1` are addresses of their own.
        (0, 0, [0, 0, 0, 0]) if (last_but_one, last) > (0, 1) => v4(last_but_one, last),
        (0x2002, _, [third, ..]) => v4(second, third),
        _ => address,
    }
}

fn of_v4(address: Ipv4Addr) -> AddressKind {
    match address.octets() {
        [127, ..] => AddressKind::Loopback,
        [169, 254, ..] | [168, 63, 129, 16] => AddressKind::LinkLocal,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
            AddressKind::Private
        }
        // "This network"; multicast and what is above it; protocol assignments,
        // documentation, 6to4 relays, benchmarks.
        [0 | 224..=255, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => AddressKind::Reserved,
        _ => AddressKind::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> AddressKind {
    let [first, second, ..] = address.segments();
    match first {
        _ if address.is_loopback() => AddressKind::Loopback,
        0xfc00..=0xfdff => AddressKind::Private,
        // Link-local, and site-local, which it replaced.
        0xfe80..=0xfeff => AddressKind::LinkLocal,
        // Teredo, benchmarks and documentation.
        0x2001 if matches!(second, 0 | 2 | 0x0db8) => AddressKind::Reserved,
        // Only 2000::/3 is given out to be reached from everywhere.
        0x2000..=0x3fff => AddressKind::Public,
        _ => AddressKind::Reserved,
    }
}

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

    fn kind(address: &str) -> AddressKind {
        AddressKind::of(address.parse().unwrap())
    }

    #[test]
    fn each_range_has_its_kind() {
        let table = [
            (
                AddressKind::Public,
                "1.1.1.1 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 192.169.0.0 223.255.255.255 2606:4700::1111 2001:4860::1",
            ),
            (
                AddressKind::Private,
                "10.0.0.1 172.16.0.0 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 fc00::1 fd00:ec2::254",
            ),
            (AddressKind::Loopback, "127.0.0.1 127.255.255.255 ::1"),
            (
                AddressKind::LinkLocal,
                "169.254.169.254 168.63.129.16 fe80::1 fec0::1",
            ),
            (
                AddressKind::Reserved,
                "0.0.0.0 0.1.2.3 192.0.0.8 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 :: ff02::1 2001::1 2001:db8::1 100::1 4000::1",
            ),
        ];
        for (expected, addresses) in table {
            for address in addresses.split(' ') {
                assert_eq!(kind(address), expected, "{address}");
            }
        }
    }

    #[test]
    fn an_ipv4_address_in_an_ipv6_address_is_seen() {
        for wrapped in [
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::127.0.0.1",
            "2002:7f00:1::1",
        ] {
            assert_eq!(kind(wrapped), AddressKind::Loopback, "{wrapped}");
        }
        assert_eq!(kind("::ffff:169.254.169.254"), AddressKind::LinkLocal);
        assert_eq!(kind("64:ff9b::101:101"), AddressKind::Public);
    }

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
