//! Feeds `ws2http_fuzz::arguments`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ws2http_fuzz::arguments(data));
