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
        fn all() -> Vec<Scenario> {
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
    https,
    http2,
    churn,
    command_line,
];

/// Files about the gateway's other side, which are the same however the API is called.
const NOT_ABOUT_THE_API: [&str; 5] = ["http_strict::", "http_flow::", "frames::", "slow_readers::", "command_line::"];

/// Scenarios about answers as HTTP/1.1 spells them, or about one connection for each call: in the last
/// one, HTTP/2 asks the second connect on the stuck one's connection, and an answer then races its timeout.
const ABOUT_HTTP_1: [&str; 6] = [
    "api_connections::",
    "connect::answer_headers_in_latin_1",
    "answers::answers_in_every_framing",
    "api_faults::answers_nobody_asked_for",
    "limits::idle_api_connections",
    "limits::waiting_connects_time_out",
];

/// The scenarios for a gateway that calls the API by HTTP/1.1.
pub(crate) fn over_http1() -> Vec<Scenario> {
    all().into_iter().filter(|scenario| !scenario.name.starts_with("http2::")).collect()
}

/// The scenarios for a gateway that calls the API by HTTP/2.
pub(crate) fn over_http2() -> Vec<Scenario> {
    let fits = |scenario: &Scenario| {
        let mut others = NOT_ABOUT_THE_API.iter().chain(&ABOUT_HTTP_1);
        !others.any(|begin| scenario.name.starts_with(begin))
    };
    all().into_iter().filter(fits).collect()
}
