//! What was seen, and where two sightings differ.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How much of a long text is shown.
const SHOWN: usize = 120;

/// How many lines before a difference are shown.
const BEFORE: usize = 6;

/// Where the player notes that it waited in vain, and broken laws.
pub(super) const TROUBLES: &str = "troubles";

/// Everything seen of one gateway, by whom it was seen: lines in order.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    sections: BTreeMap<String, Vec<String>>,
}

impl Transcript {
    pub(super) fn add(&mut self, section: &str, lines: impl IntoIterator<Item = String>) {
        let mut lines = lines.into_iter().peekable();
        if lines.peek().is_some() {
            self.sections.entry(section.into()).or_default().extend(lines);
        }
    }

    /// Gives connections their names, in every line.
    pub(super) fn rename(&mut self, names: &[(String, String)]) {
        for line in self.sections.values_mut().flatten() {
            for (id, name) in names {
                if line.contains(id.as_str()) {
                    *line = line.replace(id.as_str(), name);
                }
            }
        }
    }

    /// Forgets the order of the lines of some sections.
    pub(super) fn sort(&mut self, which: impl Fn(&str) -> bool) {
        self.sections.iter_mut().filter(|(name, _)| which(name)).for_each(|(_, lines)| lines.sort());
    }

    /// What is wrong whatever the other gateway does.
    pub fn troubles(&self) -> &[String] {
        self.sections.get(TROUBLES).map_or(&[], Vec::as_slice)
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.sections.values().map(Vec::len).sum()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (section, lines) in &self.sections {
            writeln!(f, "{section}")?;
            lines.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        Ok(())
    }
}

/// Where two transcripts differ first.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Whose sight it is.
    pub section: String,
    /// The last lines on which both agree.
    before: Vec<String>,
    /// The next line of the left, `None` if it has no more.
    pub left: Option<String>,
    /// The same of the right.
    pub right: Option<String>,
    /// All sections that differ.
    all: Vec<String>,
}

/// Finds the first difference: what clients and API saw before what the gateway counted.
pub fn compare(left: &Transcript, right: &Transcript) -> Option<Difference> {
    let mut names: Vec<&String> = left.sections.keys().chain(right.sections.keys()).collect();
    names.sort();
    names.dedup();
    let lines = |side: &'_ Transcript, name: &str| side.sections.get(name).cloned().unwrap_or_default();
    let differing: Vec<&String> = names.into_iter().filter(|name| lines(left, name) != lines(right, name)).collect();
    let section = *differing.first()?;
    let (left, right) = (lines(left, section), lines(right, section));
    let at = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
    Some(Difference {
        section: section.clone(),
        before: left[at.saturating_sub(BEFORE)..at].to_vec(),
        left: left.get(at).cloned(),
        right: right.get(at).cloned(),
        all: differing.into_iter().cloned().collect(),
    })
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.section)?;
        self.before.iter().try_for_each(|line| writeln!(f, "    both   {line}"))?;
        let none = "(nothing)".to_owned();
        writeln!(f, "    left   {}", self.left.as_ref().unwrap_or(&none))?;
        writeln!(f, "    right  {}", self.right.as_ref().unwrap_or(&none))?;
        write!(f, "differing: {}", self.all.join(", "))
    }
}

/// Bytes as text; of many, the beginning and a hash.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = |bytes| format!("{:?}", String::from_utf8_lossy(bytes));
    if bytes.len() <= SHOWN && std::str::from_utf8(bytes).is_ok() {
        return text(bytes);
    }
    let mut hash = DefaultHasher::new();
    bytes.hash(&mut hash);
    format!("{}... ({} bytes, {:016x})", text(&bytes[..bytes.len().min(40)]), bytes.len(), hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(sections: &[(&str, &[&str])]) -> Transcript {
        let mut transcript = Transcript::default();
        for (name, lines) in sections {
            transcript.add(name, lines.iter().map(|line| (*line).to_owned()));
        }
        transcript
    }

    #[test]
    fn the_first_difference_is_found_in_values_lengths_and_sections() {
        let whole = transcript(&[("a", &["1", "2"]), ("b", &["3"])]);
        assert!(compare(&whole, &whole.clone()).is_none());
        let other = compare(&whole, &transcript(&[("a", &["1", "x"]), ("b", &["3"])])).unwrap();
        assert_eq!(
            (other.section.as_str(), other.left.as_deref(), other.right.as_deref()),
            ("a", Some("2"), Some("x"))
        );
        let short = compare(&whole, &transcript(&[("a", &["1"]), ("b", &["3"])])).unwrap();
        assert_eq!((short.left.as_deref(), short.right), (Some("2"), None));
        let missing = compare(&whole, &transcript(&[("a", &["1", "2"])])).unwrap();
        assert_eq!(missing.section, "b");
    }

    #[test]
    fn long_and_binary_texts_differ_though_they_begin_alike() {
        let (one, mut other) = (vec![b'x'; 1000], vec![b'x'; 1000]);
        other[999] = b'y';
        assert_ne!(shown(&one), shown(&other));
        assert_ne!(shown(b"\xff"), shown(b"\xfe"));
        assert_eq!(shown(b"short"), "\"short\"");
    }
}
