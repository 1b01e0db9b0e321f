//! In which order the API's addresses are tried.

use std::cell::Cell;
use std::net::SocketAddr;

/// Which of the API's addresses is up, when others are not.
///
/// It outlives what the resolver said, or whoever connects after that would wait for a silent one again.
#[derive(Debug, Default)]
pub struct Reachable(Cell<Option<SocketAddr>>);

impl Reachable {
    /// The addresses, as they are to be tried.
    pub fn first(&self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let mut addresses = addresses.to_vec();
        let reachable = addresses.iter().position(|address| self.0.get() == Some(*address));
        if let Some(at) = reachable {
            addresses[..=at].rotate_right(1);
        }
        addresses
    }

    /// One of these addresses has connected. It comes first from now on if others have failed before it,
    /// else the resolver decides, which may share out the calls.
    pub fn connected(&self, tried: usize, address: SocketAddr) {
        if tried > 0 {
            self.0.set(Some(address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_worked_while_others_failed_comes_first() {
        let [a, b, c] = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let reachable = Reachable::default();
        reachable.connected(0, b);
        assert_eq!(reachable.first(&[a, b, c]), [a, b, c]);
        reachable.connected(2, c);
        assert_eq!(reachable.first(&[a, b, c]), [c, a, b]);
        assert_eq!(reachable.first(&[c, b]), [c, b]);
        assert_eq!(reachable.first(&[a, b]), [a, b], "it is not the API's any more");
    }
}
