//! Section 3: an API by `https`, and whom the gateway trusts.

use std::time::Duration;

use crate::api::{Api, echo};
use crate::gateway::{Gateway, run_to_end};
use crate::rig::{Binary, Rig};
use crate::tls::{Authority, Certificate, Front};
use crate::wait::until;

super::scenarios!["https":
    calls_by_https, certificates_that_prove_nothing, a_certificate_that_expires, nobody_to_trust,
];

/// Longer than this program will be run.
const LATER: i32 = 2100;

/// A gateway in front of an API by `https` that shows this certificate.
async fn rig(binary: &Binary, authority: &Authority, certificate: Certificate) -> (Rig, Front) {
    let api = Api::start(echo);
    let front = Front::start(certificate, api.address).await;
    let flags = binary.flags(&format!("https://localhost:{}/", front.address.port()));
    let gateway = Gateway::start(binary.path(), &flags, &[authority.trusted()]).await;
    (Rig { gateway, api }, front)
}

/// Waits for the log to say so.
async fn logged(rig: &Rig, text: &str) {
    let said = || rig.gateway.log().iter().any(|line| line.contains(text));
    until(&format!("the log to say {text:?}"), said).await;
}

async fn calls_by_https(binary: Binary) {
    let authority = Authority::found();
    let (rig, front) = rig(&binary, &authority, authority.certificate("localhost", LATER)).await;
    let mut client = rig.connect("a").await;
    let host = format!("localhost:{}", front.address.port());
    assert_eq!(rig.api.request("GET", "a", 0).await.header("host"), Some(host.as_str()));
    for text in ["hello", &"x".repeat(100_000), "again"] {
        client.send_text(text).await;
        client.expect_text(text).await;
    }
    assert_eq!(rig.push("a", "pushed").await.status, 200);
    client.expect_text("pushed").await;
    client.close(1000, "bye").await;
    assert_eq!(rig.api.disconnect("a").await, (1000, "bye".into()));
    rig.finish().await;
}

async fn certificates_that_prove_nothing(binary: Binary) {
    let (authority, other) = (Authority::found(), Authority::found());
    let cases = [
        ("of an unknown authority", other.certificate("localhost", LATER), "UnknownIssuer"),
        ("for another host", authority.certificate("localhost.example", LATER), "not valid for name"),
        ("expired", authority.certificate("localhost", 2021), "certificate expired"),
    ];
    for (name, certificate, reason) in cases {
        let (rig, front) = rig(&binary, &authority, certificate).await;
        assert_eq!(rig.refusal("a", &[]).await.status, 502, "{name}");
        logged(&rig, reason).await;
        assert_eq!(front.served(), 0, "{name}: nothing is sent to a server that proves nothing");
        rig.finish().await;
    }
}

async fn a_certificate_that_expires(binary: Binary) {
    let authority = Authority::found();
    let (rig, front) = rig(&binary, &authority, authority.certificate("localhost", LATER)).await;
    let mut client = rig.connect("a").await;
    client.send_text("before").await;
    client.expect_text("before").await;
    front.use_instead(authority.certificate("localhost", 2021));
    client.send_text("lost").await;
    rig.gateway.metrics_until("the message to fail", |now| now.sum("requests_failed") > 0.0).await;
    client.close(1000, "bye").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(rig.api.seen().len(), 2, "no message and no DELETE without a certificate");
    front.use_instead(authority.certificate("localhost", LATER));
    assert_eq!(rig.api.disconnect("a").await, (1000, "bye".into()));
    rig.finish().await;
}

async fn nobody_to_trust(binary: Binary) {
    let ended = run_to_end(binary.path(), &["--api", "https://localhost:1/"], &[("SSL_CERT_FILE", "/dev/null")]).await;
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    assert!(ended.stderr.contains("ca-certificates"), "the error says what to do: {}", ended.stderr);
}
