//! What fuzzers judge ws2http by. Each function takes any bytes and panics if what the gateway makes
//! of them breaks a law that is written at it; `fuzz/README.md` tells how to run them.

mod answer;
mod arguments;
mod client_id;
mod forward;
mod frames;
mod gateway;
mod play;
mod request;
mod written;

// The command line without what a process needs around it, such as an allocator and profiles.
#[allow(dead_code)]
#[path = "../../cli/src/args.rs"]
mod args;
#[path = "../../cli/src/go_flags.rs"]
mod go_flags;
#[allow(dead_code)]
#[path = "../../cli/src/settings.rs"]
mod settings;
#[path = "../../cli/src/units.rs"]
mod units;
#[path = "../../cli/src/values.rs"]
mod values;

// The helpers of the core's own tests: not all of them are of use here.
#[allow(dead_code)]
#[path = "../../core/tests/behaviour/client.rs"]
mod client;
#[allow(dead_code)]
#[path = "../../core/tests/behaviour/pair.rs"]
mod pair;
#[path = "../../core/src/ws/reference.rs"]
mod reference;

pub use answer::answer;
pub use arguments::arguments;
pub use client_id::client_id;
pub use forward::forward;
pub use frames::frames;
pub use gateway::gateway;
pub use request::request;

/// Panics if the bytes make the gateway break a law.
pub type Judge = fn(&[u8]);

/// All of them by name, as the fuzzers and their corpora are called.
pub const TARGETS: &[(&str, Judge)] = &[
    ("request", request),
    ("frames", frames),
    ("client_id", client_id),
    ("gateway", gateway),
    ("answer", answer),
    ("forward", forward),
    ("arguments", arguments),
];
