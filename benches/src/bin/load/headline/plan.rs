//! How many processes it takes, and who has how many descriptors.

use anyhow::{Result, ensure};

/// Connections of one gateway to the API, at most.
const API_CONNECTIONS: usize = 1000;
/// Descriptors of a process besides its connections.
const BESIDES: usize = 164;

/// Gateways, each with a crowd of clients, in front of one API server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) connections: usize,
    pub(crate) gateways: usize,
    /// Connections of each gateway to the API, at most: all of them together have to fit into the API's process.
    pub(crate) api_connections_each: usize,
}

impl Plan {
    /// A plan for `connections` clients, where a process may open so many `descriptors`.
    ///
    /// # Errors
    /// The descriptors do not suffice for so few, or so many, gateways.
    pub(crate) fn new(connections: usize, gateways: Option<usize>, descriptors: u64) -> Result<Plan> {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let each = descriptors.saturating_sub(BESIDES + API_CONNECTIONS);
        ensure!(each > 0, "{descriptors} descriptors for a process are too few: ulimit -n 20000");
        let gateways = gateways.unwrap_or(connections.div_ceil(each)).min(connections);
        let api_connections_each = (descriptors.saturating_sub(BESIDES) / gateways).min(API_CONNECTIONS);
        ensure!(
            api_connections_each >= 10,
            "{gateways} gateways are too many for {descriptors} descriptors of the API"
        );
        Ok(Plan { connections, gateways, api_connections_each })
    }

    /// Clients of each gateway: they differ by one at most.
    pub(crate) fn shares(&self) -> Vec<usize> {
        let (share, more) = (self.connections / self.gateways, self.connections % self.gateways);
        (0..self.gateways).map(|index| share + usize::from(index < more)).collect()
    }

    /// Connections of all gateways to the API, at most.
    pub(crate) fn api_connections(&self) -> usize {
        self.gateways * self.api_connections_each
    }

    /// Descriptors of the process that needs most.
    pub(crate) fn most_descriptors(&self) -> u64 {
        let gateway = self.connections.div_ceil(self.gateways) + self.api_connections_each;
        (gateway.max(self.api_connections()) + BESIDES) as u64
    }

    /// Open files of all processes together: each connection has two ends.
    pub(crate) fn files(&self) -> u64 {
        (2 * (self.connections + self.api_connections()) + (2 * self.gateways + 2) * BESIDES) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_million_takes_fourteen_gateways_of_20000_descriptors() {
        let plan = Plan::new(250_000, None, 20_000).unwrap();
        assert_eq!((plan.gateways, plan.api_connections_each), (14, 1000));
        assert_eq!(plan.shares().iter().sum::<usize>(), 250_000);
        assert!(plan.most_descriptors() <= 20_000, "{}", plan.most_descriptors());
        assert_eq!(Plan::new(250_000, None, 1 << 20).unwrap().gateways, 1);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        assert!(Plan::new(1000, None, 500).is_err());
        assert!(Plan::new(100_000, Some(10_000), 20_000).is_err());
        assert!(Plan::new(250_000, Some(2), 20_000).unwrap().most_descriptors() > 20_000);
    }
}
