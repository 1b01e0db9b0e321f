//! What the ws2http binaries share.

pub mod demo;
