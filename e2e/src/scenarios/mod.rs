//! The scenarios, by the section of the contract that they hold the gateway to.

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

/// The files, and every scenario in them.
macro_rules! files {
    ($($file:ident),+ $(,)?) => {
        $(mod $file;)+
        pub(crate) fn all() -> Vec<Scenario> {
            [$($file::all()),+].into_iter().flatten().collect()
        }
    };
}

files![
    client_id,
    close,
    command_line,
    connect,
    drain,
    duplicates,
    frames,
    health,
    http_strict,
    limits,
    liveness,
    messages,
    metrics,
    push,
    refusals,
    slow_readers,
];
