//! Addresses, networks and ranges.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Addresses from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: Ipv4Addr,
    pub(crate) last: Ipv4Addr,
}

impl Range {
    /// Reads an entry; the error says what to write.
    pub(crate) fn parse(entry: &str) -> Result<Self, String> {
        let entry = entry.trim();
        if let Some((network, bits)) = entry.split_once('/') {
            return Self::network(entry, network, bits);
        }
        if let Some((first, last)) = entry.split_once('-') {
            let (first, last) = (address(first)?, address(last)?);
            if first > last {
                return Err(format!(
                    "`{entry}` ends before it begins: write {last}-{first}"
                ));
            }
            return Ok(Self { first, last });
        }
        let address = address(entry)?;
        Ok(Self {
            first: address,
            last: address,
        })
    }

    fn network(entry: &str, network: &str, bits: &str) -> Result<Self, String> {
        let network = address(network)?;
        let bits: u32 = bits
            .parse()
            .ok()
            .filter(|bits| *bits <= 32 && !entry.contains('+'))
            .ok_or_else(|| {
                format!("`{entry}` is not a network: a number from 1 to 32 follows the slash")
            })?;
        // All addresses; shifting by 32 would also be undefined.
        let Some(host_bits) = u32::MAX.checked_shr(bits).filter(|_| bits > 0) else {
            return if bits == 32 {
                Ok(Self {
                    first: network,
                    last: network,
                })
            } else {
                Err(format!(
                    "`{entry}` is every address, so that the filter would filter nothing or \
                     everybody: name the networks that are meant"
                ))
            };
        };
        let first = network.to_bits() & !host_bits;
        if first != network.to_bits() {
            return Err(format!(
                "`{entry}` is not the first address of its network: write {}/{bits}, or {network} \
                 for the one address",
                Ipv4Addr::from_bits(first)
            ));
        }
        Ok(Self {
            first: network,
            last: Ipv4Addr::from_bits(first | host_bits),
        })
    }
}

fn address(text: &str) -> Result<Ipv4Addr, String> {
    let text = text.trim();
    text.parse().map_err(|_| {
        if text.parse::<Ipv6Addr>().is_ok() {
            format!("`{text}` is an IPv6 address, and API Management filters IPv4 addresses")
        } else {
            format!(
                "`{text}` is not an IPv4 address: write 203.0.113.7, 198.51.100.0/24 or \
                 192.0.2.10-192.0.2.20"
            )
        }
    })
}
