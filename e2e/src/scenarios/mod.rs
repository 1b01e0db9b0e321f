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
    connect,
    refusals,
    client_id,
    messages,
    answers,
    push,
    control,
    slow_readers,
    close,
    duplicates,
    liveness,
    drain,
    http_strict,
    http_flow,
    frames,
    limits,
    metrics,
    resets,
    api_faults,
    api_connections,
    slow_api,
    churn,
    command_line,
];
