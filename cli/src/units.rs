//! Durations (`10s`, `500ms`, `5m`) and sizes (`4096`, `64KiB`, `1MiB`) as people write them.

use std::time::Duration;

/// Reads a duration; `0` needs no unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write a number with ms, s, m or h, as in 500ms, 10s, 5m");
    let (number, unit) = split(text);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" if number == 0 => 1,
        _ => return Err(wrong()),
    };
    let millis = number.checked_mul(millis).filter(|millis| *millis <= 366 * 24 * 3_600_000);
    millis.map(Duration::from_millis).ok_or_else(|| format!("{text:?} is over a year"))
}

/// Reads a size in bytes.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let wrong =
        || format!("{text:?} is no size: write bytes, or a number with KiB, MiB or GiB, as in 4096, 64KiB, 1MiB");
    let (number, unit) = split(text);
    let number: usize = number.parse().map_err(|_| wrong())?;
    let factor: usize = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).filter(|size| *size <= 1 << 40).ok_or_else(|| format!("{text:?} is over 1 TiB"))
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        for (text, millis) in [("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("1h", 3_600_000), ("0", 0), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "s", "-1s", "1.5s", "10 sec", "99999999999999999999s", "9999999h", "1d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_binary_multiples() {
        for (text, bytes) in
            [("4096", 4096), ("64KiB", 65_536), ("1MiB", 1 << 20), ("1 mib", 1 << 20), ("2GiB", 2 << 30)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "1MB", "-1", "1.5MiB", "99999999999999999999", "9999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
