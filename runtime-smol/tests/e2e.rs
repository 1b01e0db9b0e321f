//! The end-to-end suite against this binary.

fn main() {
    ws2http_e2e::main(env!("CARGO_BIN_EXE_ws2http-smol"))
}
