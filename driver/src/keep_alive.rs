//! For how long a connection to the API is kept while no call needs it.

use std::time::Duration;

use http::HeaderMap;

/// The longest, whatever the API says.
pub const KEEP_IDLE: Duration = Duration::from_secs(15);

/// For how long the connection of an answer may be kept: a little less than the API says that it
/// keeps it (`Keep-Alive: timeout=N`, seconds), so that no call meets its end. `None`: not at all.
pub fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let told = headers
        .get_all("keep-alive")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|parameter| {
            let (name, seconds) = parameter.split_once('=')?;
            let is_timeout = name.trim().eq_ignore_ascii_case("timeout");
            is_timeout.then(|| seconds.trim().trim_matches('"').parse::<u32>().ok())?
        });
    let keep = match told {
        None => KEEP_IDLE,
        Some(seconds) => {
            let told = Duration::from_secs(seconds.into());
            told.saturating_sub(Duration::from_secs(1).min(told / 2)).min(KEEP_IDLE)
        }
    };
    (!keep.is_zero()).then_some(keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(value: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("keep-alive", http::HeaderValue::from_static(value));
        keep_alive(&headers)
    }

    #[test]
    fn a_lane_is_given_up_before_the_api_gives_it_up() {
        assert_eq!(keep_alive(&HeaderMap::new()), Some(Duration::from_secs(15)));
        assert_eq!(keep("timeout=5, max=100"), Some(Duration::from_secs(4)));
        assert_eq!(keep("max=100, Timeout = \"3\""), Some(Duration::from_secs(2)));
        assert_eq!(keep("timeout=1"), Some(Duration::from_millis(500)));
        assert_eq!(keep("timeout=0"), None);
        assert_eq!(keep("timeout=600"), Some(Duration::from_secs(15)));
        assert_eq!(keep("timeout=soon"), Some(Duration::from_secs(15)));
    }
}
