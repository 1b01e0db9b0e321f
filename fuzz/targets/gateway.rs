//! Feeds `ws2http_fuzz::gateway`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ws2http_fuzz::gateway(data));
