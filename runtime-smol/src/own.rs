//! A call by a connection of its own, without libcurl: isahc takes no header that is not plain ASCII.

use std::future::poll_fn;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use ws2http_api::{Api, Link};
use ws2http_core::CallError;

use crate::runtime::Smol;

/// What is read at once, at the most.
const INPUT: usize = 16 * 1024;

/// Sends a request and collects its answer, of at most `limit` bytes.
pub(crate) async fn exchange(
    api: &Api<Smol>,
    mut request: Request<Bytes>,
    limit: usize,
) -> Result<Response<Bytes>, CallError> {
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let mut link = Link::new(api.connect().await.map_err(CallError::Connect)?);
    let (mut request, mut input) = (Some(request), vec![0; INPUT]);
    let answer = poll_fn(|cx| {
        if let Some(request) = request.take() {
            link.send(request, limit, &mut Vec::new(), cx);
        }
        link.poll_answer(&mut input, cx)
    });
    Ok(answer.await?.response)
}
