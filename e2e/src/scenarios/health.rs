//! Section 1: health, and requests that mean nothing.

use crate::api::silent;
use crate::rig::{Binary, words};

super::scenarios!["health": health_and_wrong_requests];

async fn health_and_wrong_requests(binary: Binary) {
    let rig = binary.rig_with(&words("--threads 2"), crate::api::Api::start(silent), "/base/").await;
    for (method, target, status) in [
        ("GET", "/-/healthy", 200),
        ("GET", "/-/ready", 200),
        ("GET", "/-/else", 404),
        ("GET", "/a", 426),
        ("GET", "/a/b", 404),
        ("POST", "/a/b", 404),
        ("POST", "/-", 400),
        ("POST", "/%2e%2e", 400),
        ("PUT", "/a", 405),
        ("OPTIONS", "/a", 405),
    ] {
        let answer = rig.control(method, target, &[], None).await;
        assert_eq!(answer.status, status, "{method} {target}");
    }
    assert!(rig.api.seen().is_empty());
    rig.finish().await;
}
