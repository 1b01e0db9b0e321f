//! Fails if libcurl was built so that it cannot use descriptors from 1024 on (see .cargo/config.toml).

fn main() {
    let target = std::env::var("TARGET").unwrap_or_default();
    // The names under which the cc crate looks for flags.
    let names = [format!("CFLAGS_{target}"), format!("CFLAGS_{}", target.replace('-', "_"))];
    let names = names.iter().map(String::as_str).chain(["HOST_CFLAGS", "TARGET_CFLAGS", "CFLAGS"]);
    let mut told = false;
    for name in names {
        println!("cargo::rerun-if-env-changed={name}");
        told |= std::env::var(name).is_ok_and(|flags| flags.contains("-DHAVE_POLL"));
    }
    if !told {
        println!(
            "cargo::error=libcurl would be built with select(), for 1024 descriptors at most: build inside the \
             repository, whose .cargo/config.toml sets CFLAGS, or have -DHAVE_POLL in your own CFLAGS"
        );
    }
}
