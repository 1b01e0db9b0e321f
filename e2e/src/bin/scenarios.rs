//! Runs the suite against any gateway binary: `scenarios PATH [FILTER] [--http2] [--list] [--test-threads N]`.

fn main() {
    let mut arguments: Vec<String> = std::env::args().collect();
    if arguments.len() < 2 || arguments[1].starts_with('-') {
        eprintln!("usage: scenarios PATH-TO-GATEWAY [FILTER] [--http2] [--exact] [--list] [--test-threads N]");
        std::process::exit(2);
    }
    let binary = arguments.remove(1);
    ws2http_e2e::main_with(&binary, arguments)
}
