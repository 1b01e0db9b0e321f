//! The limit on open descriptors, which is the first limit on clients.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

use crate::settings::Limits;

/// Descriptors for listeners, logs, timers and control requests.
const RESERVE: u64 = 64;

/// Of these, for sockets beyond all clients: whoever is one too many is told so, and control requests come in.
const SPARE: usize = 32;

/// The most descriptors that this process may open now.
pub(crate) fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the limit as far as it goes, logs what it allows, and says what there may be.
pub(crate) fn raise(wanted: Option<usize>, max_api_connections: usize) -> Limits {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        warn!(%error, "cannot raise the descriptor limit");
    }
    let limit = limit();
    let clients = clients(limit, max_api_connections);
    info!(descriptors = limit, clients, "the descriptor limit allows so many clients");
    if let Some(wanted) = wanted
        && wanted > clients
    {
        warn!(
            "--max-connections {wanted} is more than the descriptor limit allows ({clients} clients): raise it by \
             `ulimit -n`, LimitNOFILE= of systemd, or /etc/security/limits.conf"
        );
    }
    let wanted = wanted.unwrap_or(clients);
    Limits { clients: wanted, sockets: wanted.max(clients).saturating_add(SPARE) }
}

/// Of the descriptors, up to an eighth is kept for connections to the API.
fn clients(limit: u64, max_api_connections: usize) -> usize {
    let api = (max_api_connections as u64).min(limit / 8);
    usize::try_from(limit.saturating_sub(RESERVE + api)).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_descriptors_are_for_clients() {
        assert_eq!(clients(20_000, 10_000), 20_000 - 64 - 2_500);
        assert_eq!(clients(1_000_000, 10_000), 1_000_000 - 64 - 10_000);
        assert_eq!(clients(10, 10_000), 1);
    }

    #[test]
    fn the_limit_is_raised_to_the_most_allowed() {
        let allowed = raise(None, 8);
        assert_eq!(limit(), getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX));
        assert_eq!(allowed.clients, clients(limit(), 8));
        let few = raise(Some(7), 8);
        assert_eq!((few.clients, few.sockets), (7, allowed.sockets));
    }
}
