//! The identity file: a line of JSON that people can read, and a line with its checksum.

use serde::{Deserialize, Serialize};
use umbel_protocol::id::{ClusterId, Incarnation, NodeId};

const FORMAT: u32 = 1;

/// Who a data directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) node: NodeId,
    pub(super) name: String,
    pub(super) incarnation: Incarnation,
    pub(super) cluster: Option<Cluster>,
}

/// The cluster that a node belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Minted when it was formed.
    pub id: ClusterId,
    /// Its name in the configuration.
    pub name: String,
}

/// Why bytes are no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Damaged,
    Newer,
}

/// What stands in the file. Ids are in hexadecimal, as everywhere else where people see them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: u32,
    node: String,
    name: String,
    incarnation: u64,
    cluster: Option<RawCluster>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCluster {
    id: String,
    name: String,
}

/// What all formats have.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

impl Identity {
    /// A node that starts for the first time.
    pub(super) fn new(node: NodeId, name: &str) -> Self {
        Self { node, name: name.to_owned(), incarnation: Incarnation(0), cluster: None }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let cluster = self
            .cluster
            .as_ref()
            .map(|cluster| RawCluster { id: cluster.id.to_string(), name: cluster.name.clone() });
        let raw = Raw {
            format: FORMAT,
            node: self.node.to_string(),
            name: self.name.clone(),
            incarnation: self.incarnation.0,
            cluster,
        };
        let json = serde_json::to_string(&raw).expect("text and numbers always encode");
        format!("{json}\n{:08x}\n", crc32fast::hash(json.as_bytes())).into_bytes()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let json = checked(bytes).ok_or(Unreadable::Damaged)?;
        let AnyFormat { format } = serde_json::from_str(json).map_err(|_| Unreadable::Damaged)?;
        if format > FORMAT {
            return Err(Unreadable::Newer);
        }
        let raw: Raw = serde_json::from_str(json).map_err(|_| Unreadable::Damaged)?;
        let id = |hex: &str| u128::from_str_radix(hex, 16).map_err(|_| Unreadable::Damaged);
        let cluster = raw
            .cluster
            .map(|cluster| Ok(Cluster { id: ClusterId(id(&cluster.id)?), name: cluster.name }))
            .transpose()?;
        let incarnation = Incarnation(raw.incarnation);
        Ok(Self { node: NodeId(id(&raw.node)?), name: raw.name, incarnation, cluster })
    }
}

/// The first line, if the second is its checksum.
fn checked(bytes: &[u8]) -> Option<&str> {
    let (json, crc) = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.split_once('\n')?;
    (crc == format!("{:08x}", crc32fast::hash(json.as_bytes()))).then_some(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_do_not_change_and_every_flipped_bit_is_noticed() {
        let identity = Identity {
            node: NodeId(0xab),
            name: "host \"1\"".to_owned(),
            incarnation: Incarnation(7),
            cluster: Some(Cluster { id: ClusterId(1), name: "farm".to_owned() }),
        };
        let bytes = identity.encode();
        let text = "{\"format\":1,\"node\":\"000000000000000000000000000000ab\",\
                    \"name\":\"host \\\"1\\\"\",\"incarnation\":7,\
                    \"cluster\":{\"id\":\"00000000000000000000000000000001\",\"name\":\"farm\"}}\n";
        assert_eq!(std::str::from_utf8(&bytes).unwrap()[..text.len()], *text);
        assert_eq!(Identity::decode(&bytes), Ok(identity));
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert_eq!(Identity::decode(&flipped), Err(Unreadable::Damaged), "bit {at}");
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let json = "{\"format\":2,\"tribe\":1}";
        let bytes = format!("{json}\n{:08x}\n", crc32fast::hash(json.as_bytes()));
        assert_eq!(Identity::decode(bytes.as_bytes()), Err(Unreadable::Newer));
    }
}
