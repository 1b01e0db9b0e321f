//! The scenarios, by the section of the contract that they hold the gateway to.

mod connect;

use crate::Scenario;

/// Lists the scenarios of a file by their functions' names.
macro_rules! scenarios {
    ($file:literal: $($name:ident),+ $(,)?) => {
        pub(super) fn all() -> Vec<crate::Scenario> {
            vec![$(crate::Scenario {
                name: concat!($file, "::", stringify!($name)),
                run: |binary| Box::pin($name(binary)),
            }),+]
        }
    };
}
use scenarios;

/// Every scenario.
pub(crate) fn all() -> Vec<Scenario> {
    [connect::all()].into_iter().flatten().collect()
}
