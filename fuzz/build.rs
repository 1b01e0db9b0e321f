//! The command line, which `arguments` builds in, tells its commit in `--version`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=WS2HTTP_COMMIT=fuzz");
}
