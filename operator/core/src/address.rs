//! What kind of place an address is: what the operator may connect to on
//! somebody's word depends on it.
//!
//! The kinds follow IANA's special-purpose registries; the metadata services
//! are those that the large clouds document.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    /// Of the node's link, where most clouds have their metadata service. The
    /// services that clouds have elsewhere count too: Azure's host service at
    /// 168.63.129.16, and those of Alibaba, Oracle, and over IPv6 of AWS and
    /// Google.
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
#[must_use]
pub fn unwrapped(address: IpAddr) -> IpAddr {
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
        [169, 254, ..] | [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => {
            AddressKind::LinkLocal
        }
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

/// AWS's and Google's metadata services over IPv6, which are not on the link.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
];

fn of_v6(address: Ipv6Addr) -> AddressKind {
    let [first, second, ..] = address.segments();
    match first {
        _ if METADATA_V6.contains(&address) => AddressKind::LinkLocal,
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
                "10.0.0.1 172.16.0.0 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 fc00::1 fd00:ec2::253",
            ),
            (AddressKind::Loopback, "127.0.0.1 127.255.255.255 ::1"),
            (
                AddressKind::LinkLocal,
                "169.254.169.254 168.63.129.16 100.100.100.200 192.0.0.192 fe80::1 fec0::1 fd00:ec2::254 fd20:ce::254",
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
}
