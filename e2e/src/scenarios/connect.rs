//! Section 3: connecting.

use crate::api::echo;
use crate::rig::Binary;

super::scenarios!["connect": plain];

async fn plain(binary: Binary) {
    let rig = binary.rig("", echo).await;
    let mut client = rig.connect("a").await;
    client.send_text("hello").await;
    client.expect_text("hello").await;
    client.close(1000, "bye").await;
    assert_eq!(rig.api.disconnect("a").await, (1000, "bye".into()));
    rig.finish().await;
}
