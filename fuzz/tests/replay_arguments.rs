//! The corpus of `arguments`, in a process of its own: it sets variables of the environment.

use std::path::Path;

#[test]
fn arguments() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/arguments");
    let mut files = 0;
    for entry in folder.read_dir().expect("the target's corpus") {
        let path = entry.expect("a file").path();
        let data = std::fs::read(&path).expect("a readable file");
        println!("{}", path.display());
        ws2http_fuzz::arguments(&data);
        files += 1;
    }
    assert!(files >= 10, "{} files in {}", files, folder.display());
}
