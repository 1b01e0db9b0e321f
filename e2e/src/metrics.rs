//! The Prometheus text format, read as a scraper would.

use std::collections::BTreeMap;

/// One scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Values by series: the name with its labels, as written.
    pub series: BTreeMap<String, f64>,
    /// `# TYPE` by metric name.
    pub types: BTreeMap<String, String>,
    /// `# HELP` by metric name.
    pub helps: BTreeMap<String, String>,
}

impl Metrics {
    /// Reads one scrape.
    ///
    /// # Errors
    /// Names the first line that is not in the format.
    pub fn parse(text: &str) -> Result<Metrics, String> {
        let mut metrics = Metrics::default();
        for line in text.lines() {
            metrics.line(line).ok_or_else(|| format!("not a metrics line: {line:?}"))?;
        }
        Ok(metrics)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ')?;
            let known = ["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind);
            let new = self.types.insert(name.into(), kind.into()).is_none();
            return (known && new).then_some(());
        }
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ')?;
            return self.helps.insert(name.into(), help.into()).is_none().then_some(());
        }
        if line.is_empty() || line.starts_with('#') {
            return Some(());
        }
        let (series, value) = line.rsplit_once(' ')?;
        let value = value.parse().ok()?;
        self.series.insert(series.into(), value).is_none().then_some(())
    }

    /// The sum over all series of this name, whatever their labels. Zero if there are none.
    pub fn sum(&self, name: &str) -> f64 {
        self.matching(name, "").sum()
    }

    /// The sum over the series of this name whose labels contain `label`, such as `code="1001"`.
    pub fn sum_with(&self, name: &str, label: &str) -> f64 {
        self.matching(name, label).sum()
    }

    /// Whether any series has this name.
    pub fn has(&self, name: &str) -> bool {
        self.matching(name, "").next().is_some()
    }

    fn matching<'a>(&'a self, name: &'a str, label: &'a str) -> impl Iterator<Item = f64> + 'a {
        let of_name = move |series: &str| name_of(series) == name && series.contains(label);
        self.series.iter().filter(move |(series, _)| of_name(series)).map(|(_, value)| *value)
    }
}

/// The name of a series: what stands before its labels.
pub fn name_of(series: &str) -> &str {
    series.split('{').next().unwrap_or(series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_labels_and_types() {
        let text = "# HELP a what\n# TYPE a counter\na 3\nb{x=\"1 2\"} 4\nb{x=\"3\"} 5.5\n";
        let metrics = Metrics::parse(text).unwrap();
        assert_eq!(metrics.sum("a"), 3.0);
        assert_eq!(metrics.sum("b"), 9.5);
        assert_eq!(metrics.sum_with("b", "x=\"3\""), 5.5);
        assert_eq!(metrics.types["a"], "counter");
        assert!(!metrics.has("c"));
    }

    #[test]
    fn refuses_what_a_scraper_would() {
        assert!(Metrics::parse("a\n").is_err());
        assert!(Metrics::parse("a x\n").is_err());
        assert!(Metrics::parse("a 1\na 2\n").is_err());
        assert!(Metrics::parse("# TYPE a thing\n").is_err());
    }
}
