//! The end-to-end suite against this binary, which calls the API by HTTP/2.

fn main() {
    ws2http_e2e::main_over_http2(env!("CARGO_BIN_EXE_ws2http-smol"))
}
