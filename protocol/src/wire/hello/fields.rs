//! The bytes of a hello and of its answer.
//!
//! ```text
//! "umbl" | oldest version u16 | newest version u16 | length of the body u16 | body
//! body = any number of: tag u8 | length u16 | value
//! ```
//! All numbers are little endian. Unknown tags are skipped, a tag that comes twice counts once (the
//! last), a known one that is missing or malformed is an error.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::{Answer, Hello, NodeHello, Refusal, Versions, Who};
use crate::id::{ClusterId, Incarnation, NodeId};
use crate::limits;
use crate::wire::{decode, encode};

/// Bytes of the part whose shape never changes and that tells how long the rest is.
pub const HEAD_BYTES: usize = 10;
/// Longest body: names, addresses and a refusal in words fit many times.
pub const BODY_BYTES_MAX: usize = 4096;

const MAGIC: [u8; 4] = *b"umbl";

const WHO: u8 = 1;
const NODE: u8 = 2;
const INCARNATION: u8 = 3;
const START: u8 = 4;
const NAME: u8 = 5;
const LISTEN: u8 = 6;
const CLUSTER: u8 = 7;
const CLUSTER_NAME: u8 = 8;
const SYNCED: u8 = 9;
const VERSION: u8 = 16;
const REFUSAL: u8 = 17;
const REFUSAL_TEXT: u8 = 18;

const WHO_CLIENT: u8 = 0;
const WHO_NODE: u8 = 1;

/// The first bytes of a hello or of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the sender speaks.
    pub versions: Versions,
    /// How long its body is.
    pub body_bytes: usize,
}

impl Head {
    /// Reads the first bytes.
    ///
    /// # Errors
    /// When they are not umbel's, or announce more than may follow.
    pub fn decode(bytes: [u8; HEAD_BYTES]) -> Result<Self, HelloError> {
        let [m0, m1, m2, m3, min0, min1, max0, max1, len0, len1] = bytes;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(HelloError::NotUmbel);
        }
        let body_bytes = usize::from(u16::from_le_bytes([len0, len1]));
        if body_bytes > BODY_BYTES_MAX {
            return Err(HelloError::TooLong { bytes: body_bytes });
        }
        let versions = Versions {
            min: u16::from_le_bytes([min0, min1]),
            max: u16::from_le_bytes([max0, max1]),
        };
        Ok(Self { versions, body_bytes })
    }
}

impl Hello {
    /// All bytes, head and body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        with_head(self.versions, &self.body())
    }

    /// The hello whose body `bytes` are.
    ///
    /// # Errors
    /// When a field is missing or malformed.
    pub fn decode(head: Head, bytes: &[u8]) -> Result<Self, HelloError> {
        Fields::read(bytes)?.hello(head.versions)
    }

    fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        match &self.who {
            Who::Client { name } => {
                put(&mut body, WHO, &[WHO_CLIENT]);
                put(&mut body, NAME, name.as_bytes());
            }
            Who::Node(node) => {
                put(&mut body, WHO, &[WHO_NODE]);
                put(&mut body, NODE, &node.node.0.to_le_bytes());
                put(&mut body, INCARNATION, &node.incarnation.0.to_le_bytes());
                put(&mut body, START, &node.start.to_le_bytes());
                put(&mut body, NAME, node.name.as_bytes());
                put(&mut body, LISTEN, &address_bytes(node.listen));
                if let Some(cluster) = node.cluster {
                    put(&mut body, CLUSTER, &cluster.0.to_le_bytes());
                }
                put(&mut body, CLUSTER_NAME, node.cluster_name.as_bytes());
                put(&mut body, SYNCED, &node.synced.to_le_bytes());
            }
        }
        body
    }
}

impl Answer {
    /// All bytes, head and body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.hello.body();
        match &self.verdict {
            Ok(version) => put(&mut body, VERSION, &version.to_le_bytes()),
            Err(refusal) => {
                put(&mut body, REFUSAL, &encode(refusal));
                put(&mut body, REFUSAL_TEXT, refusal.to_string().as_bytes());
            }
        }
        with_head(self.hello.versions, &body)
    }

    /// The answer whose body `bytes` are.
    ///
    /// # Errors
    /// When a field is missing or malformed.
    pub fn decode(head: Head, bytes: &[u8]) -> Result<Self, HelloError> {
        let fields = Fields::read(bytes)?;
        let verdict = match fields.get(VERSION) {
            Some(version) => Ok(u16::from_le_bytes(exactly("version", version)?)),
            None => Err(fields.refusal()?),
        };
        Ok(Self { hello: fields.hello(head.versions)?, verdict })
    }
}

/// The fields of a body by their tags.
struct Fields<'a>(BTreeMap<u8, &'a [u8]>);

impl<'a> Fields<'a> {
    fn read(mut bytes: &'a [u8]) -> Result<Self, HelloError> {
        let mut fields = BTreeMap::new();
        while let Some(([tag, len0, len1], rest)) = bytes.split_first_chunk::<3>() {
            let len = usize::from(u16::from_le_bytes([*len0, *len1]));
            let (value, rest) = rest.split_at_checked(len).ok_or(HelloError::CutOff)?;
            fields.insert(*tag, value);
            bytes = rest;
        }
        if bytes.is_empty() { Ok(Self(fields)) } else { Err(HelloError::CutOff) }
    }

    fn get(&self, tag: u8) -> Option<&'a [u8]> {
        self.0.get(&tag).copied()
    }

    fn need(&self, field: &'static str, tag: u8) -> Result<&'a [u8], HelloError> {
        self.get(tag).ok_or(HelloError::Missing { field })
    }

    fn name(&self, field: &'static str, tag: u8) -> Result<String, HelloError> {
        let bytes = self.need(field, tag)?;
        if bytes.len() > limits::NAME_BYTES_MAX {
            return Err(HelloError::Malformed { field });
        }
        String::from_utf8(bytes.to_vec()).map_err(|_| HelloError::Malformed { field })
    }

    fn hello(&self, versions: Versions) -> Result<Hello, HelloError> {
        let who = match self.need("who", WHO)? {
            [WHO_CLIENT] => Who::Client { name: self.name("name", NAME)? },
            [WHO_NODE] => Who::Node(self.node()?),
            _ => return Err(HelloError::Malformed { field: "who" }),
        };
        Ok(Hello { versions, who })
    }

    fn node(&self) -> Result<NodeHello, HelloError> {
        let node = exactly("node", self.need("node", NODE)?)?;
        let incarnation = exactly("incarnation", self.need("incarnation", INCARNATION)?)?;
        let start = exactly("start", self.need("start", START)?)?;
        let synced = exactly("synced", self.need("synced", SYNCED)?)?;
        let cluster = self.get(CLUSTER).map(|bytes| exactly("cluster", bytes)).transpose()?;
        Ok(NodeHello {
            node: NodeId(u128::from_le_bytes(node)),
            incarnation: Incarnation(u64::from_le_bytes(incarnation)),
            start: u64::from_le_bytes(start),
            synced: u64::from_le_bytes(synced),
            name: self.name("name", NAME)?,
            listen: address(self.need("listen", LISTEN)?)?,
            cluster: cluster.map(|id| ClusterId(u128::from_le_bytes(id))),
            cluster_name: self.name("cluster name", CLUSTER_NAME)?,
        })
    }

    /// The reason as a value, or as text when only a newer build knows it.
    fn refusal(&self) -> Result<Refusal, HelloError> {
        let encoded = self.need("verdict", REFUSAL)?;
        decode(encoded, BODY_BYTES_MAX).or_else(|_| {
            let text = self.need("reason", REFUSAL_TEXT)?;
            Ok(Refusal::Other(String::from_utf8_lossy(text).into_owned()))
        })
    }
}

fn with_head(versions: Versions, body: &[u8]) -> Vec<u8> {
    assert!(body.len() <= BODY_BYTES_MAX, "names are bounded, so a hello is");
    let len = u16::try_from(body.len()).expect("checked above");
    let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
    bytes.extend(MAGIC);
    bytes.extend(versions.min.to_le_bytes());
    bytes.extend(versions.max.to_le_bytes());
    bytes.extend(len.to_le_bytes());
    bytes.extend(body);
    bytes
}

fn put(body: &mut Vec<u8>, tag: u8, value: &[u8]) {
    let len = u16::try_from(value.len()).expect("names are bounded, so fields are");
    body.push(tag);
    body.extend(len.to_le_bytes());
    body.extend(value);
}

fn exactly<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], HelloError> {
    bytes.try_into().map_err(|_| HelloError::Malformed { field })
}

fn address_bytes(address: SocketAddr) -> Vec<u8> {
    let mut bytes = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    bytes.extend(address.port().to_le_bytes());
    bytes
}

fn address(bytes: &[u8]) -> Result<SocketAddr, HelloError> {
    const MALFORMED: HelloError = HelloError::Malformed { field: "listen" };
    let (ip, port) = bytes.split_last_chunk::<2>().ok_or(MALFORMED)?;
    let ip = if let Ok(ip) = <[u8; 4]>::try_from(ip) {
        IpAddr::from(ip)
    } else {
        IpAddr::from(<[u8; 16]>::try_from(ip).map_err(|_| MALFORMED)?)
    };
    Ok(SocketAddr::new(ip, u16::from_le_bytes(*port)))
}

/// Bytes that are not a hello. The connection is closed; asking again gives the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// It ends in the middle of a field.
    #[error("the greeting is cut off")]
    CutOff,
    /// A field does not hold what it should.
    #[error("the greeting has a malformed {field}")]
    Malformed {
        /// Which one.
        field: &'static str,
    },
    /// A field that must be there is not.
    #[error("the greeting has no {field}")]
    Missing {
        /// Which one.
        field: &'static str,
    },
    /// It does not start as all of umbel's do.
    #[error("the other side does not speak umbel's protocol")]
    NotUmbel,
    /// It announces more than may be.
    #[error("a greeting of {bytes} bytes where at most {} are allowed", BODY_BYTES_MAX)]
    TooLong {
        /// What it announces.
        bytes: usize,
    },
}
