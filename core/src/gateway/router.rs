//! Which session a ClientId means, and which shard is its home.

use std::hash::Hasher;

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

use crate::session::{Session, SessionId};
use crate::slab::Slab;
use crate::{ClientId, ShardId};

/// First sessions by ClientId. Keyed SipHash: clients choose their ids and must not choose collisions.
///
/// The table holds eight bytes per client; the ids themselves are in the sessions.
#[derive(Debug)]
pub(super) struct Router {
    table: HashTable<SessionId>,
    table_key: u64,
    home_key: u64,
    shards: u16,
}

fn hash(key: u64, client: &ClientId) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(key, !key);
    hasher.write(client.as_str().as_bytes());
    hasher.finish()
}

fn names(sessions: &Slab<Session>, id: SessionId, client: &ClientId) -> bool {
    sessions.get(id).is_some_and(|session| session.client == *client)
}

impl Router {
    pub(super) fn new(table_key: u64, home_key: u64, shards: u16) -> Self {
        Router { table: HashTable::new(), table_key, home_key, shards }
    }

    /// The shard where everything about this client happens.
    pub(super) fn home(&self, client: &ClientId) -> ShardId {
        ShardId((hash(self.home_key, client) % u64::from(self.shards)) as u16)
    }

    /// The first session of the client's chain.
    pub(super) fn first(&self, sessions: &Slab<Session>, client: &ClientId) -> Option<SessionId> {
        self.table.find(hash(self.table_key, client), |id| names(sessions, *id, client)).copied()
    }

    /// Makes a session the first of its client's chain.
    pub(super) fn set_first(&mut self, sessions: &Slab<Session>, client: &ClientId, session: SessionId) {
        let key = self.table_key;
        let wanted = hash(key, client);
        if let Some(first) = self.table.find_mut(wanted, |id| names(sessions, *id, client)) {
            *first = session;
            return;
        }
        let rehash = |id: &SessionId| sessions.get(*id).map_or(0, |session| hash(key, &session.client));
        self.table.insert_unique(wanted, session, rehash);
    }

    /// Forgets the client.
    pub(super) fn remove(&mut self, sessions: &Slab<Session>, client: &ClientId) {
        let key = self.table_key;
        if let Ok(entry) = self.table.find_entry(hash(key, client), |id| names(sessions, *id, client)) {
            entry.remove();
        }
        if self.table.len() * 8 < self.table.capacity() && self.table.capacity() > 1024 {
            // After a wave: give the memory back.
            let rehash = |id: &SessionId| sessions.get(*id).map_or(0, |session| hash(key, &session.client));
            self.table.shrink_to(2 * self.table.len(), rehash);
        }
    }
}
