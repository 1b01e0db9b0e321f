//! Go-style flags: one dash before a long name (`-cpuprofile=FILE`).

use std::ffi::OsString;

/// Gives long flags that were written with one dash their second one.
pub(crate) fn normalise(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut verbatim = false;
    let normalise = |arg: OsString| {
        verbatim |= arg == "--";
        match arg.to_str() {
            Some(text) if !verbatim && is_long_with_one_dash(text) => OsString::from(format!("-{text}")),
            _ => arg,
        }
    };
    args.into_iter().map(normalise).collect()
}

/// `-h` and `-V` are short flags, `-1` is a value, `-name` is a long flag.
fn is_long_with_one_dash(text: &str) -> bool {
    let mut chars = text.chars();
    let dash = chars.next() == Some('-');
    let letters = chars.by_ref().take(2).filter(char::is_ascii_alphabetic).count();
    dash && letters == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_may_have_one_dash() {
        let args = ["ws2http", "-cpuprofile=x", "--api", "-memprofile", "-h", "-V", "-1", "-", "--", "-literal"];
        let normal: Vec<OsString> = normalise(args.map(OsString::from));
        let expected = ["ws2http", "--cpuprofile=x", "--api", "--memprofile", "-h", "-V", "-1", "-", "--", "-literal"];
        assert_eq!(normal, expected);
    }
}
