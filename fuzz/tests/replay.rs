//! Every input of the committed corpora is judged again, without a fuzzer: what was found stays found.

use std::path::Path;

fn replay(target: &str) {
    let (_, judge) = ws2http_fuzz::TARGETS.iter().find(|(name, _)| *name == target).expect("a target");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files = 0;
    for entry in folder.read_dir().expect("the target's corpus") {
        let path = entry.expect("a file").path();
        let data = std::fs::read(&path).expect("a readable file");
        // The test's output is shown if it fails: the last name is the culprit's.
        println!("{}", path.display());
        judge(&data);
        files += 1;
    }
    assert!(files >= 10, "{} files in {}", files, folder.display());
}

#[test]
fn request() {
    replay("request");
}

#[test]
fn frames() {
    replay("frames");
}

#[test]
fn client_id() {
    replay("client_id");
}

#[test]
fn gateway() {
    replay("gateway");
}

#[test]
fn answer() {
    replay("answer");
}

#[test]
fn forward() {
    replay("forward");
}
