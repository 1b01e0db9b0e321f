//! Go-style flags: one dash before a long name (`-cpuprofile=FILE`).

use std::ffi::{OsStr, OsString};

/// Gives long flags that were written with one dash their second one.
pub(crate) fn normalise(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut verbatim = false;
    let normalise = |arg: OsString| {
        verbatim |= arg == "--";
        if verbatim || !is_long_with_one_dash(&arg) {
            return arg;
        }
        let mut long = OsString::from("-");
        long.push(arg);
        long
    };
    args.into_iter().map(normalise).collect()
}

/// `-h` and `-V` are short flags, `-1` is a value, `-name` is a long flag. A value may be in any encoding.
fn is_long_with_one_dash(arg: &OsStr) -> bool {
    matches!(arg.as_encoded_bytes(), [b'-', a, b, ..] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic())
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
