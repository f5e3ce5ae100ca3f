//! Which addresses a webhook reaches: those of the internet. What only the host, its network or its
//! cloud can reach is closed to it unless its task says `allow_private`: else whoever decides where a
//! name leads could have a node talk to services that trust whoever is near.
//!
//! Invariant: what was checked is what is connected to. An address that stands in the URL is looked at
//! before the request; a name is looked up once, and only addresses that are open are handed on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A host that webhooks do not reach, and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct Closed {
    /// As the URL has it.
    host: String,
    address: IpAddr,
    what: &'static str,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, address, what } = self;
        match bare(host).parse::<IpAddr>() {
            Ok(_) => write!(f, "{address} is {what} address"),
            Err(_) => write!(f, "{host} is {address}, {what} address"),
        }
    }
}

/// Why the host of `url` is not reached, if it is an address and not a name.
pub(super) fn written(url: &Url) -> Option<Closed> {
    let host = url.host_str()?;
    let address = bare(host).parse().ok()?;
    Some(Closed { host: host.to_owned(), address, what: closed(address)? })
}

/// The same, also for names that can be told to mean no other host, for those who check a file.
pub(crate) fn foreseen(url: &Url) -> Option<Closed> {
    let host = url.host_str()?;
    if host == "localhost" || host.ends_with(".localhost") {
        let address = Ipv4Addr::LOCALHOST.into();
        return Some(Closed { host: host.to_owned(), address, what: closed(address)? });
    }
    written(url)
}

/// Looks names up as the host does, and leaves out what is closed.
pub(super) struct OpenOnly;

impl Resolve for OpenOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port of the URL takes the place of this one.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let open: Addrs = Box::new(open(name.as_str(), found)?.into_iter());
            Ok(open)
        })
    }
}

/// Those of the addresses of `host` that are open.
fn open(host: &str, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Closed> {
    let (shut, open): (Vec<_>, Vec<_>) = found.partition(|found| closed(found.ip()).is_some());
    let first = shut.first().map(SocketAddr::ip).filter(|_| open.is_empty());
    match first.and_then(|address| Some((address, closed(address)?))) {
        Some((address, what)) => Err(Closed { host: host.to_owned(), address, what }),
        None => Ok(open),
    }
}

/// What kind of address this is, if it is none of the internet.
fn closed(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => closed_v4(address),
        IpAddr::V6(address) => match v4_in(address) {
            Some(inner) => closed_v4(inner),
            None => closed_v6(address),
        },
    }
}

fn closed_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within =
        |net: Ipv4Addr, bits: u32| (address.to_bits() ^ net.to_bits()).leading_zeros() >= bits;
    CLOSED_V4.iter().find(|(net, bits, _)| within(*net, *bits)).map(|(_, _, what)| *what)
}

fn closed_v6(address: Ipv6Addr) -> Option<&'static str> {
    let within =
        |net: Ipv6Addr, bits: u32| (address.to_bits() ^ net.to_bits()).leading_zeros() >= bits;
    match CLOSED_V6.iter().find(|(net, bits, _)| within(*net, *bits)) {
        Some((_, _, what)) => Some(what),
        None if within(INTERNET_V6, 3) => None,
        None => Some(RESERVED),
    }
}

/// The address that is really meant by one that holds another: that of an IPv4 socket, or what NAT64
/// makes of it.
fn v4_in(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            let [.., a, b, c, d] = address.octets();
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

/// The host as an address is written without a URL around it.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

const LOOPBACK: &str = "a loopback";
const LINK_LOCAL: &str = "a link-local";
const MULTICAST: &str = "a multicast";
const PRIVATE: &str = "a private";
const RESERVED: &str = "a reserved";
const UNSPECIFIED: &str = "an unspecified";

/// What the registry of IPv4 addresses for special purposes (RFC 6890) does not give to the internet.
const CLOSED_V4: [(Ipv4Addr, u32, &str); 16] = [
    (Ipv4Addr::UNSPECIFIED, 8, UNSPECIFIED),
    (Ipv4Addr::new(10, 0, 0, 0), 8, PRIVATE),
    // Between a provider and its customers.
    (Ipv4Addr::new(100, 64, 0, 0), 10, PRIVATE),
    (Ipv4Addr::new(127, 0, 0, 0), 8, LOOPBACK),
    // Where clouds tell a host its secrets: 169.254.169.254.
    (Ipv4Addr::new(169, 254, 0, 0), 16, LINK_LOCAL),
    (Ipv4Addr::new(172, 16, 0, 0), 12, PRIVATE),
    (Ipv4Addr::new(192, 0, 0, 0), 24, RESERVED),
    (Ipv4Addr::new(192, 0, 2, 0), 24, RESERVED),
    // A way to the IPv6 internet that nobody offers any more.
    (Ipv4Addr::new(192, 88, 99, 0), 24, RESERVED),
    (Ipv4Addr::new(192, 168, 0, 0), 16, PRIVATE),
    (Ipv4Addr::new(198, 18, 0, 0), 15, RESERVED),
    (Ipv4Addr::new(198, 51, 100, 0), 24, RESERVED),
    (Ipv4Addr::new(203, 0, 113, 0), 24, RESERVED),
    (Ipv4Addr::new(224, 0, 0, 0), 4, MULTICAST),
    (Ipv4Addr::BROADCAST, 32, "the broadcast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, RESERVED),
];

/// All that is given to the internet so far: whatever is outside of it is closed.
const INTERNET_V6: Ipv6Addr = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0);

/// What is outside and has a name, and what is inside and closed all the same.
const CLOSED_V6: [(Ipv6Addr, u32, &str); 10] = [
    (Ipv6Addr::UNSPECIFIED, 128, UNSPECIFIED),
    (Ipv6Addr::LOCALHOST, 128, LOOPBACK),
    // Teredo among others, a tunnel to whatever IPv4 address is inside.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, RESERVED),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, RESERVED),
    // 6to4, another one.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, RESERVED),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, RESERVED),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, PRIVATE),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, LINK_LOCAL),
    // What private addresses were before.
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, PRIVATE),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, MULTICAST),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_open() {
        for (address, expected) in [
            ("1.1.1.1", None),
            ("9.255.255.255", None),
            ("11.0.0.0", None),
            ("93.184.215.14", None),
            ("100.63.255.255", None),
            ("100.128.0.0", None),
            ("126.255.255.255", None),
            ("128.0.0.0", None),
            ("169.253.255.255", None),
            ("172.15.255.255", None),
            ("172.32.0.0", None),
            ("192.167.255.255", None),
            ("192.169.0.0", None),
            ("198.17.255.255", None),
            ("198.20.0.0", None),
            ("223.255.255.255", None),
            ("2606:4700:4700::1111", None),
            ("2001:200::1", None),
            ("2a00:1450:4001:81b::200e", None),
            ("3ffe::1", None),
            ("::ffff:1.1.1.1", None),
            ("64:ff9b::1.1.1.1", None),
            ("0.0.0.0", Some(UNSPECIFIED)),
            ("0.1.2.3", Some(UNSPECIFIED)),
            ("::", Some(UNSPECIFIED)),
            ("127.0.0.1", Some(LOOPBACK)),
            ("127.255.255.255", Some(LOOPBACK)),
            ("::1", Some(LOOPBACK)),
            ("::ffff:127.0.0.1", Some(LOOPBACK)),
            ("64:ff9b::127.0.0.1", Some(LOOPBACK)),
            ("10.0.0.0", Some(PRIVATE)),
            ("10.255.255.255", Some(PRIVATE)),
            ("100.64.0.0", Some(PRIVATE)),
            ("100.127.255.255", Some(PRIVATE)),
            ("172.16.0.1", Some(PRIVATE)),
            ("172.31.255.255", Some(PRIVATE)),
            ("192.168.1.1", Some(PRIVATE)),
            ("::ffff:192.168.1.1", Some(PRIVATE)),
            ("64:ff9b::10.0.0.1", Some(PRIVATE)),
            ("fc00::1", Some(PRIVATE)),
            ("fdff:ffff::1", Some(PRIVATE)),
            ("fec0::1", Some(PRIVATE)),
            ("169.254.169.254", Some(LINK_LOCAL)),
            ("::ffff:169.254.169.254", Some(LINK_LOCAL)),
            ("fe80::1", Some(LINK_LOCAL)),
            ("febf::1", Some(LINK_LOCAL)),
            ("224.0.0.1", Some(MULTICAST)),
            ("239.255.255.255", Some(MULTICAST)),
            ("ff02::1", Some(MULTICAST)),
            ("255.255.255.255", Some("the broadcast")),
            ("240.0.0.1", Some(RESERVED)),
            ("192.0.0.8", Some(RESERVED)),
            ("192.0.2.1", Some(RESERVED)),
            ("192.88.99.1", Some(RESERVED)),
            ("198.19.255.255", Some(RESERVED)),
            ("198.51.100.1", Some(RESERVED)),
            ("203.0.113.1", Some(RESERVED)),
            ("2001::1", Some(RESERVED)),
            ("2001:1ff::1", Some(RESERVED)),
            ("2001:db8::1", Some(RESERVED)),
            ("2002:7f00:1::1", Some(RESERVED)),
            ("3fff::1", Some(RESERVED)),
            ("64:ff9b:1::1", Some(RESERVED)),
            ("100::1", Some(RESERVED)),
            ("4000::1", Some(RESERVED)),
            ("5f00::1", Some(RESERVED)),
            // How IPv4 addresses were once written as IPv6.
            ("::127.0.0.1", Some(RESERVED)),
        ] {
            assert_eq!(closed(address.parse().unwrap()), expected, "{address}");
        }
    }

    fn told(url: &str, of: fn(&Url) -> Option<Closed>) -> Option<String> {
        of(&Url::parse(url).unwrap()).map(|closed| closed.to_string())
    }

    #[test]
    fn addresses_are_recognised_however_they_are_written() {
        let loopback = Some("127.0.0.1 is a loopback address");
        for url in [
            "http://127.0.0.1/hook",
            "http://127.1:8080",
            "https://2130706433",
            "http://0x7f.0.0.1.",
            "http://0177.0.0.1",
            "http://user:password@127.0.0.1/",
        ] {
            assert_eq!(told(url, written).as_deref(), loopback, "{url}");
            assert_eq!(told(url, foreseen).as_deref(), loopback, "{url}");
        }
        let mapped = told("http://[::ffff:10.0.0.1]:80/", written);
        assert_eq!(mapped.as_deref(), Some("::ffff:10.0.0.1 is a private address"));
        for url in ["https://example.net", "http://1.1.1.1", "https://[2606:4700::1]/"] {
            assert_eq!((told(url, written), told(url, foreseen)), (None, None), "{url}");
        }
        // What a name means is known when it is looked up; of this one it is known before.
        for url in ["http://localhost:80", "http://API.localhost"] {
            assert_eq!(told(url, written), None);
            let told = told(url, foreseen).unwrap();
            assert!(told.ends_with("localhost is 127.0.0.1, a loopback address"), "{told}");
        }
    }

    #[test]
    fn of_the_addresses_of_a_name_the_open_ones_are_left() {
        let all = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
        };
        let left = |texts: &[&str]| open("h", all(texts).into_iter());
        assert_eq!(
            left(&["10.0.0.1", "1.1.1.1", "::1", "2606::1"]),
            Ok(all(&["1.1.1.1", "2606::1"]))
        );
        let error = left(&["10.0.0.1", "::1"]).unwrap_err();
        assert_eq!(error.to_string(), "h is 10.0.0.1, a private address");
        assert_eq!(left(&[]), Ok(Vec::new()));
    }
}
