//! In which order the API's addresses are tried.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// For how long an address that failed is tried after the others. Then it has its turn again: the
/// resolver's order may share out the calls.
const TROUBLE_LASTS: Duration = Duration::from_secs(60);

/// Addresses of the API that failed of late, and when.
///
/// It outlives what the resolver said, or whoever connects after that would wait for a silent one again.
#[derive(Debug, Default)]
pub(crate) struct Troubled(RefCell<Vec<(SocketAddr, Instant)>>);

impl Troubled {
    /// The addresses, as they are to be tried: those that failed come last, the latest at the very end.
    pub(crate) fn last(&self, addresses: &[SocketAddr], now: Instant) -> Vec<SocketAddr> {
        let mut troubled = self.0.borrow_mut();
        troubled.retain(|(_, at)| now < *at + TROUBLE_LASTS);
        let failed = |address: &SocketAddr| troubled.iter().find(|(noted, _)| noted == address).map(|(_, at)| *at);
        let mut addresses = addresses.to_vec();
        addresses.sort_by_key(failed);
        addresses
    }

    /// This one has failed.
    pub(crate) fn note(&self, address: SocketAddr, now: Instant) {
        self.forget(address);
        self.0.borrow_mut().push((address, now));
    }

    /// This one has connected.
    pub(crate) fn forget(&self, address: SocketAddr) {
        self.0.borrow_mut().retain(|(noted, _)| *noted != address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_comes_last_for_a_while() {
        let [a, b, c] = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let troubled = Troubled::default();
        assert_eq!(troubled.last(&[b, a, c], at(0)), [b, a, c]);
        troubled.note(a, at(0));
        troubled.note(b, at(1));
        assert_eq!(troubled.last(&[b, a, c], at(59)), [c, a, b]);
        assert_eq!(troubled.last(&[b, c], at(59)), [c, b], "what the resolver has now");
        troubled.note(a, at(59));
        assert_eq!(troubled.last(&[a, b, c], at(60)), [c, b, a]);
        assert_eq!(troubled.last(&[a, b, c], at(61)), [b, c, a], "its time is up");
        troubled.forget(a);
        assert_eq!(troubled.last(&[a, b, c], at(62)), [a, b, c]);
    }
}
