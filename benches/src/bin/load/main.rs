//! x
mod api; mod client; mod frame; mod http; mod interrupt; mod latency; mod link; mod listen; mod relay; mod swarm; mod usage;
fn main(){}
