//! Small `Copy` names for the things that cross the boundary.

use std::fmt;

/// One socket of one shard, from accept to the last action about it.
///
/// The generation makes a late answer miss when its slot has been reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// Index of the slot; small and reused, so a driver may keep a table by it.
    pub slot: u32,
    /// How often the slot had been used before.
    pub generation: u32,
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}.{}", self.slot, self.generation)
    }
}

/// One attempt of one call to the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    /// Index of the slot; small and reused, so a driver may keep a table by it.
    pub slot: u32,
    /// How often the slot had been used before.
    pub generation: u32,
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a{}.{}", self.slot, self.generation)
    }
}

/// One thread's share of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// What `X-Connection-Id` carries: one connection, unique over nodes and restarts (contract, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// Drawn from the seed at the start of the process, the same in all its shards.
    pub node: u64,
    /// Counts the connections of the node.
    pub serial: u64,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:x}", self.node, self.serial)
    }
}
