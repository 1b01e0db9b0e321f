//! Feeds `ws2http_fuzz::answer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ws2http_fuzz::answer(data));
