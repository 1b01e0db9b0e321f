//! `--set NAME=VALUE` of the command line, as a scenario reads it.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use crate::scenario::Options;

/// Reads settings, and knows which ones there are.
pub(crate) struct Settings<'a> {
    options: &'a Options,
    known: BTreeSet<&'static str>,
}

impl<'a> Settings<'a> {
    pub(crate) fn new(options: &'a Options) -> Self {
        Settings { options, known: BTreeSet::new() }
    }

    /// The number of this name, or the usual one.
    pub(crate) fn number<T: FromStr<Err: Display>>(&mut self, name: &'static str, usual: T) -> Result<T, String> {
        self.known.insert(name);
        match self.options.set.get(name) {
            None => Ok(usual),
            Some(text) => text.parse().map_err(|error| format!("--set {name}={text}: {error}")),
        }
    }

    /// Nothing else may be set, but for these.
    pub(crate) fn done(mut self, others: &[&'static str]) -> Result<(), String> {
        self.known.extend(others);
        match self.options.set.keys().find(|name| !self.known.contains(name.as_str())) {
            None => Ok(()),
            Some(other) => {
                let known: Vec<_> = self.known.into_iter().collect();
                Err(format!("--set {other}: not known here; there are {}", known.join(", ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_told() {
        let mut options = Options::default();
        options.set.insert("clients".to_owned(), "12".to_owned());
        let mut settings = Settings::new(&options);
        assert_eq!(settings.number("clients", 3), Ok(12));
        assert_eq!(settings.number("hosts", 3), Ok(3));
        assert_eq!(settings.done(&[]), Ok(()));
        let error = Settings::new(&options).done(&["hosts"]).expect_err("it is not known");
        assert_eq!(error, "--set clients: not known here; there are hosts");
        options.set.insert("clients".to_owned(), "many".to_owned());
        let error = Settings::new(&options).number("clients", 3).expect_err("no number");
        assert_eq!(error, "--set clients=many: invalid digit found in string");
    }
}
