//! Feeds `ws2http_fuzz::frames`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ws2http_fuzz::frames(data));
