//! The gateway's behaviour on virtual time: scripted clients on one side, a scripted API on the
//! other, one or several shards between them. One behaviour per test.

mod client;
mod pair;

mod close;
mod connect;
mod control;
mod drain;
mod duplicates;
mod http;
mod limits;
mod liveness;
mod messages;
mod metrics;
mod pieces;
mod shards;
