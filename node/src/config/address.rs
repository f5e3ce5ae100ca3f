//! Addresses of nodes as they stand in `cluster.toml`: one file serves every host.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Where a node can be reached: a host name or an IP address, and a port.
///
/// Names are looked up when they are used, so that a host may move.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// The host name (lower-case) or IP address (without brackets).
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for HostPort {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(InvalidAddress::NoBrackets);
        }
        let (host, port) = text.rsplit_once(':').ok_or(InvalidAddress::NoPort)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(v6) => {
                IpAddr::V6(v6.parse().map_err(|_| InvalidAddress::Host { host: v6.to_owned() })?)
                    .to_string()
            }
            None if host.contains(':') => return Err(InvalidAddress::NoBrackets),
            None => host.to_ascii_lowercase(),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.chars().all(legal) {
            return Err(InvalidAddress::Host { host });
        }
        if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
            return Err(InvalidAddress::Wildcard);
        }
        match port.parse() {
            Ok(port) if port > 0 => Ok(Self { host, port }),
            Ok(_) | Err(_) => Err(InvalidAddress::Port { port: port.to_owned() }),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How others reach a node, with `{name}` standing for the name of that node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise(String);

impl Advertise {
    /// The address of the node called `name`.
    ///
    /// # Errors
    /// The name makes no host name.
    pub fn of(&self, name: &str) -> Result<HostPort, InvalidAddress> {
        self.0.replace(NAME, name).parse()
    }

    /// Whether it says where one node is rather than where all are.
    #[must_use]
    pub fn is_one_node(&self) -> bool {
        !self.0.contains(NAME)
    }

    /// What is said of a node that only knows the socket it listens on. A wildcard address is where
    /// nobody can connect to; the name of a node is by default the name of its host.
    pub(super) fn of_socket(listen: SocketAddr) -> Self {
        if listen.ip().is_unspecified() {
            Self(format!("{NAME}:{}", listen.port()))
        } else {
            Self(listen.to_string())
        }
    }
}

impl FromStr for Advertise {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let advertise = Self(text.to_owned());
        advertise.of("a")?;
        Ok(advertise)
    }
}

impl fmt::Display for Advertise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not the address of a node. Nothing has been looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// The host is neither a name nor an IP address.
    #[error("{host:?} is neither a host name nor an IP address")]
    Host {
        /// What stands in its place.
        host: String,
    },
    /// An IPv6 address without brackets: its end cannot be told from a port.
    #[error("an IPv6 address needs brackets: [::1]:7400")]
    NoBrackets,
    /// There is no port.
    #[error("the port is missing: write host:7400")]
    NoPort,
    /// The port is no number from 1 to 65535.
    #[error("{port:?} is not a port: use 1 to 65535")]
    Port {
        /// What stands in its place.
        port: String,
    },
    /// `0.0.0.0` or `[::]`.
    #[error("a wildcard address is where a node listens, not where others find it")]
    Wildcard,
}

const NAME: &str = "{name}";
/// Longest name that the domain name system carries.
const HOST_BYTES_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::{Advertise, HostPort, InvalidAddress};

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, host, port, shown) in [
            ("127.0.0.1:7400", "127.0.0.1", 7400, "127.0.0.1:7400"),
            ("Db-1.Example.net:1", "db-1.example.net", 1, "db-1.example.net:1"),
            ("[0:0::1]:65535", "::1", 65535, "[::1]:65535"),
        ] {
            let address: HostPort = text.parse().unwrap();
            assert_eq!((address.host(), address.port()), (host, port));
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse(), Ok(address));
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        let host = |host: &str| InvalidAddress::Host { host: host.to_owned() };
        let port = |port: &str| InvalidAddress::Port { port: port.to_owned() };
        for (text, error) in [
            ("", InvalidAddress::NoPort),
            ("a", InvalidAddress::NoPort),
            (":7400", host("")),
            ("a b:7400", host("a b")),
            ("http://a:7400", InvalidAddress::NoBrackets),
            ("a:0", port("0")),
            ("a:65536", port("65536")),
            ("a:", port("")),
            ("::1", InvalidAddress::NoBrackets),
            ("::1:7400", InvalidAddress::NoBrackets),
            ("[a]:7400", host("a")),
            ("0.0.0.0:7400", InvalidAddress::Wildcard),
            ("[::]:7400", InvalidAddress::Wildcard),
        ] {
            assert_eq!(text.parse::<HostPort>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_node_is_advertised_by_its_name() {
        let advertise: Advertise = "{name}.example.net:7400".parse().unwrap();
        assert_eq!(advertise.of("db1").unwrap().to_string(), "db1.example.net:7400");
        assert!(advertise.of("not a host").is_err());
        let listens = |at: &str| Advertise::of_socket(at.parse().unwrap()).of("db1").unwrap();
        assert_eq!(listens("0.0.0.0:7400").to_string(), "db1:7400");
        assert_eq!(listens("[::]:7400").to_string(), "db1:7400");
        assert_eq!(listens("10.0.0.1:7400").to_string(), "10.0.0.1:7400");
    }
}
