//! The limit on open descriptors, which is the first limit on clients.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

use crate::settings::Limits;

/// Descriptors for logs, profiles, control requests and the like.
const RESERVE: u64 = 64;

/// Of these, for sockets beyond all clients: whoever is one too many is told so, and control requests come in.
const SPARE: usize = 32;

/// Descriptors of one shard: its listeners, its reactor, and on smol the two clients that call the API.
const PER_SHARD: u64 = 16;

/// The most descriptors that this process may open now.
pub(crate) fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the limit as far as it goes, logs what it allows, and says what there may be.
pub(crate) fn raise(wanted: Option<usize>, max_api_connections: usize, shards: u16) -> Limits {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        warn!(%error, "cannot raise the descriptor limit");
    }
    let limit = limit();
    let clients = clients(limit, max_api_connections, shards);
    info!(descriptors = limit, clients, "the descriptor limit allows so many clients");
    if let Some(wanted) = wanted
        && wanted > clients
    {
        warn!(
            "--max-connections {wanted} is more than the descriptor limit allows ({clients} clients): raise it by \
             `ulimit -n`, LimitNOFILE= of systemd, or /etc/security/limits.conf"
        );
    }
    Limits { clients: wanted.unwrap_or(clients), sockets: clients.saturating_add(SPARE) }
}

/// Of the descriptors, up to an eighth is kept for connections to the API.
fn clients(limit: u64, max_api_connections: usize, shards: u16) -> usize {
    let api = (max_api_connections as u64).min(limit / 8);
    let own = RESERVE + PER_SHARD * u64::from(shards);
    usize::try_from(limit.saturating_sub(own + api)).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_descriptors_are_for_clients() {
        assert_eq!(clients(20_000, 10_000, 2), 20_000 - 64 - 32 - 2_500);
        assert_eq!(clients(1_000_000, 10_000, 64), 1_000_000 - 64 - 1024 - 10_000);
        assert_eq!(clients(10, 10_000, 1), 1);
    }

    #[test]
    fn the_limit_is_raised_to_the_most_allowed() {
        let allowed = raise(None, 8, 2);
        assert_eq!(limit(), getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX));
        assert_eq!(allowed.clients, clients(limit(), 8, 2));
        // What the API needs is not given away, whatever is asked for.
        for wanted in [7, usize::MAX] {
            let asked = raise(Some(wanted), 8, 2);
            assert_eq!((asked.clients, asked.sockets), (wanted, allowed.sockets));
        }
    }
}
