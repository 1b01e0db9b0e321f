//! Seeds, and the commit that they belong to.

use std::process::Command;

/// A number, or a commit hash: its first sixteen digits.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let digits = text.get(..text.len().min(16)).unwrap_or_default();
    let hash = text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u64::from_str_radix(digits, 16) {
        Ok(number) if hash => Ok(number),
        _ => Err("a seed is a number, or a commit hash of at least 7 digits".to_owned()),
    }
}

/// The commit that is checked out, and whether files differ from it.
pub(super) fn current() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|files| !files.is_empty());
    Some(if changed { format!("{commit} (with changes)") } else { commit })
}

#[cfg(test)]
mod tests {
    use super::seed;

    #[test]
    fn a_commit_is_a_seed() {
        assert_eq!(seed("42"), Ok(42));
        assert_eq!(seed("00000000000000ff1234"), Ok(255));
        assert_eq!(seed("abcdef1"), Ok(0xabcdef1));
        for bad in ["", "-1", "xyz", "abc", "0x10"] {
            assert!(seed(bad).is_err(), "{bad}");
        }
    }
}
