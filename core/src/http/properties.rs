//! What holds for any bytes, cut into any pieces.

use ::http::Uri;
use proptest::prelude::*;

use super::*;
use crate::{ApiAddress, ClientId};

/// Lines of heads, good ones and almost good ones.
fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[A-Za-z-]{1,8}: ?[ -~]{0,12}".prop_map(String::into_bytes),
        2 => "(Content-Length: [0-9]{1,3}|Transfer-Encoding: chunked|Host: g|Expect: 100-continue)".prop_map(String::into_bytes),
        1 => "[ \t]?[ -~]{0,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

fn line_end() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![20 => Just(&b"\r\n"[..]), 1 => Just(&b"\n"[..]), 1 => Just(&b"\r"[..]), 1 => Just(&b"\r\r\n"[..])]
}

fn first_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "(GET|POST|M-X) (/[!-~]{0,12}|http://g[!-~]{0,8}) HTTP/1\\.[01]".prop_map(String::into_bytes),
        2 => "[ -~]{0,20}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

/// A head, good or bad, and what comes after it.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let lines = prop::collection::vec((line(), line_end()), 0..6);
    ("(\r\n){0,2}", first_line(), line_end(), lines, prop::collection::vec(any::<u8>(), 0..8)).prop_map(
        |(before, first, end, lines, after)| {
            let mut text = [before.as_bytes(), &first, end, b"Host: g\r\n"].concat();
            for (line, end) in lines {
                text.extend(line);
                text.extend(end);
            }
            text.extend(b"\r\n");
            text.extend(after);
            text
        },
    )
}

/// Chunked bodies, good or bad, and what comes after them.
fn chunks() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop_oneof![
        6 => "[a-z]{1,12}".prop_map(|data| format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()),
        1 => "[a-z]{1,9}".prop_map(|data| format!("0{};a=b\r\n{data}\r\n", data.len()).into_bytes()),
        1 => "[0-9a-f\r\n; ]{0,6}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    let trailers = "([A-Z]: [a-z]{0,3}\r\n){0,3}\r\n(GET /)?";
    (prop::collection::vec(chunk, 0..5), trailers)
        .prop_map(|(chunks, trailers)| [chunks.concat(), b"0\r\n".to_vec(), trailers.into_bytes()].concat())
}

/// Where to cut: any places, or everywhere.
fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..12)
}

fn ends(length: usize, cuts: &[prop::sample::Index], everywhere: bool) -> Vec<usize> {
    let mut ends: Vec<usize> = match everywhere {
        true => (0..=length).collect(),
        false => cuts.iter().map(|cut| cut.index(length + 1)).chain([length]).collect(),
    };
    ends.sort_unstable();
    ends
}

fn read_head(bytes: &[u8], ends: &[usize]) -> Result<Option<(usize, Head)>, Refusal> {
    let mut scan = HeadScan::default();
    for &end in ends {
        if let Some(found) = parse_head(&bytes[..end], &mut scan)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The body if it is complete, and how many bytes were its own.
fn read_body(bytes: &[u8], length: BodyLength, ends: &[usize]) -> Result<(usize, Option<Vec<u8>>), Refusal> {
    let mut body = BodyReader::new(length, 30)?;
    let mut used = 0;
    for &end in ends {
        used += body.feed(&bytes[used..end.max(used)])?.0;
    }
    let complete = body.is_complete();
    Ok((used, complete.then(|| body.into_bytes().to_vec())))
}

proptest! {
    #[test]
    fn a_head_in_pieces_has_the_same_outcome(text in heads(), cuts in cuts(), everywhere: bool) {
        let whole = read_head(&text, &[text.len()]);
        prop_assert_eq!(read_head(&text, &ends(text.len(), &cuts, everywhere)), whole);
    }

    #[test]
    fn a_body_in_pieces_has_the_same_outcome(text in chunks(), cuts in cuts(), everywhere: bool, known in 0..40u64) {
        for length in [BodyLength::Chunked, BodyLength::Length(known), BodyLength::None] {
            let whole = read_body(&text, length, &[text.len()]);
            prop_assert_eq!(read_body(&text, length, &ends(text.len(), &cuts, everywhere)), whole);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(Some((used, head))) = read_head(&bytes, &[bytes.len()]) {
            prop_assert!(used <= bytes.len() && head.path.starts_with('/'));
        }
        if let Ok((used, Some(body))) = read_body(&bytes, BodyLength::Chunked, &[bytes.len()]) {
            prop_assert!(used <= bytes.len() && body.len() <= 30);
        }
    }

    #[test]
    fn what_chunks_carry_comes_out(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..8), 0..5)) {
        let mut text = Vec::new();
        for piece in &pieces {
            text.extend(format!("{:X}\r\n", piece.len()).bytes());
            text.extend(piece);
            text.extend(b"\r\n");
        }
        text.extend(b"0\r\n\r\nnext");
        let outcome = read_body(&text, BodyLength::Chunked, &[text.len()]);
        let body = pieces.concat();
        if body.len() <= 30 {
            prop_assert_eq!(outcome, Ok((text.len() - 4, Some(body))));
        } else {
            prop_assert_eq!(outcome.unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        }
    }

    #[test]
    fn what_a_client_asks_for_reaches_the_api_as_it_was(
        segment in "([!-.0->@-~]|%[0-9A-Fa-f]{2}){1,20}",
        query in prop::option::of("[!-~]{0,30}"),
        base in prop::sample::select(vec!["http://api", "https://api:8443/base", "http://[::1]:8000/a%20b/"]),
    ) {
        let target = query.as_ref().map_or(format!("/{segment}"), |query| format!("/{segment}?{query}"));
        let text = format!("GET {target} HTTP/1.1\r\nHost: g\r\n\r\n");
        let Ok(Some((_, head))) = read_head(text.as_bytes(), &[text.len()]) else {
            prop_assert!(target.contains(['"', '#', '<', '>']), "refused: {}", target);
            return Ok(());
        };
        prop_assert_eq!(&head.query, &query);
        let api = ApiAddress::parse(base).unwrap();
        let Ok(id) = ClientId::parse(&head.path[1..]) else { return Ok(()) };
        let uri = api.uri(&id, head.query.as_deref());
        prop_assert_eq!(uri.to_string().parse::<Uri>().unwrap(), uri.clone());
        prop_assert_eq!(uri.query(), query.as_deref());
        prop_assert_eq!(uri.host().map(|host| host.trim_matches(['[', ']'])), Some(api.host()));
        let last = uri.path().rsplit('/').next().unwrap();
let root: Uri = api.to_string().parse().unwrap();
        prop_assert_eq!(uri.path().strip_suffix(last), Some(root.path()));
        prop_assert_eq!(ClientId::parse(last), Ok(id));
    }
}
