//! Which addresses a connection may dial.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why an address is not of the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Private {
    Unspecified,
    Loopback,
    /// Link-local, with the metadata service of clouds.
    LinkLocal,
    Network,
    Multicast,
    Reserved,
}

impl fmt::Display for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Private::Unspecified => "unspecified",
            Private::Loopback => "loopback",
            Private::LinkLocal => "link-local",
            Private::Network => "private",
            Private::Multicast => "multicast",
            Private::Reserved => "reserved",
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{address} is a {kind} address; set private = true on the connection if it is meant")]
pub(super) struct AddressError {
    address: IpAddr,
    kind: Private,
}

/// Refuses what is not of the public internet.
pub(super) fn check_public(address: IpAddr) -> Result<(), AddressError> {
    let kind = match address {
        IpAddr::V4(v4) => private_v4(v4),
        IpAddr::V6(v6) => private_v6(v6),
    };
    kind.map_or(Ok(()), |kind| Err(AddressError { address, kind }))
}

fn private_v4(address: Ipv4Addr) -> Option<Private> {
    match address.octets() {
        [0, ..] => Some(Private::Unspecified),
        [127, ..] => Some(Private::Loopback),
        [169, 254, ..] => Some(Private::LinkLocal),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Some(Private::Network),
        [224..=239, ..] => Some(Private::Multicast),
        // Protocol assignments, documentation, benchmarks, former class E and broadcast.
        [192, 0, 0 | 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] | [240..=255, ..] => {
            Some(Private::Reserved)
        }
        _ => None,
    }
}

fn private_v6(address: Ipv6Addr) -> Option<Private> {
    if let Some(inner) = embedded_v4(address) {
        return private_v4(inner);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Private::Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Private::Loopback),
        [0xfe80..=0xfebf, ..] => Some(Private::LinkLocal),
        // Unique local; site-local, which was given up but is still routed inside.
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some(Private::Network),
        [0xff00..=0xffff, ..] => Some(Private::Multicast),
        // Local-use NAT64, discard, protocol assignments (Teredo among them), documentation.
        [0x64, 0xff9b, 1, ..] | [0x100, 0, 0, 0, ..] | [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => {
            Some(Private::Reserved)
        }
        _ => None,
    }
}

/// The IPv4 address that a router or stack would dial for an IPv6 one: mapped, compatible, translated, NAT64, 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => of(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of(high, low),
        [0x2002, high, low, ..] => of(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => of(high, low),
        _ => None,
    }
}

/// Resolves names to public addresses only. What it answers is what is dialled, so a name cannot change in between.
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            for address in &addresses {
                check_public(address.ip())?;
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expected: Option<Private>) {
        let found = check_public(address.parse().unwrap()).err().map(|error| error.kind);
        assert_eq!(found, expected, "{address}");
    }

    #[test]
    fn addresses_inside_are_told_from_those_of_the_internet() {
        for public in
            ["1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101"]
        {
            check(public, None);
        }
        let inside = [
            ("0.0.0.0", Private::Unspecified),
            ("0.1.2.3", Private::Unspecified),
            ("::", Private::Unspecified),
            ("127.0.0.1", Private::Loopback),
            ("127.255.0.9", Private::Loopback),
            ("::1", Private::Loopback),
            ("::ffff:127.0.0.1", Private::Loopback),
            ("::127.0.0.1", Private::Loopback),
            ("64:ff9b::7f00:1", Private::Loopback),
            ("2002:7f00:1::", Private::Loopback),
            ("169.254.169.254", Private::LinkLocal),
            ("::ffff:169.254.169.254", Private::LinkLocal),
            ("64:ff9b::a9fe:a9fe", Private::LinkLocal),
            ("fe80::1", Private::LinkLocal),
            ("10.0.0.1", Private::Network),
            ("172.16.0.1", Private::Network),
            ("172.31.255.255", Private::Network),
            ("192.168.1.1", Private::Network),
            ("100.64.0.1", Private::Network),
            ("fd00:ec2::254", Private::Network),
            ("fec0::1", Private::Network),
            ("224.0.0.1", Private::Multicast),
            ("ff02::1", Private::Multicast),
            ("255.255.255.255", Private::Reserved),
            ("192.0.2.1", Private::Reserved),
            ("64:ff9b:1::1", Private::Reserved),
        ];
        for (address, kind) in inside {
            check(address, Some(kind));
        }
    }
}
