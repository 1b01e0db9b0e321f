//! Floods become summaries.

use super::*;

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn a_flood_is_one_line_and_then_a_summary() {
    let (mut held, start) = (Held::default(), Instant::now());
    assert_eq!(held.add(text("first"), PAUSE, start), Next::Log(text("first")));
    assert_eq!(held.add(text("second"), PAUSE, start + PAUSE / 2), Next::SummariseIn(PAUSE / 2));
    for _ in 0..97 {
        assert_eq!(held.add(text("again"), PAUSE, start + PAUSE / 2), Next::Wait);
    }
    // The summary is due, but its thread is late.
    assert_eq!(held.add(text("99th"), PAUSE, start + PAUSE * 2), Next::Wait);
    assert_eq!(held.summary(start + PAUSE * 2), Some(text("99 more, the last: 99th")));
    assert_eq!(held.summary(start + PAUSE * 2), None);
}

#[test]
fn a_summary_starts_a_pause_too() {
    let (mut held, start) = (Held::default(), Instant::now());
    held.add(text("first"), PAUSE, start);
    held.add(text("second"), PAUSE, start);
    assert_eq!(held.summary(start + PAUSE), Some(text("1 more, the last: second")));
    assert_eq!(held.add(text("third"), PAUSE, start + PAUSE), Next::SummariseIn(PAUSE));
    held.summary(start + PAUSE * 2);
    assert_eq!(held.add(text("after a quiet time"), PAUSE, start + PAUSE * 3), Next::Log(text("after a quiet time")));
}

#[test]
fn a_burst_is_summarised_though_nothing_follows() {
    let kind = Arc::new(Kind::new("test", Duration::from_millis(300)));
    let start = Instant::now();
    for number in 0..10 {
        kind.report(number.to_string());
    }
    assert_eq!(kind.held().more, 9);
    while kind.held().more > 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "no summary was logged");
        thread::sleep(Duration::from_millis(5));
    }
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
}

#[test]
fn kinds_do_not_hide_each_other() {
    let reporter = Reporter::default();
    let failed = || Report::CallFailed { method: http::Method::POST, client: text("a"), failure: text("no") };
    reporter.report(failed());
    reporter.report(failed());
    let lost = Report::DisconnectLost { client: text("a"), connection: text("0-1"), attempts: 3 };
    reporter.report(lost);
    assert_eq!((reporter.failed.held().more, reporter.lost.held().more), (1, 0));
    reporter.flush();
    assert_eq!(reporter.failed.held().more, 0);
}

#[test]
fn peers_cannot_make_lines() {
    assert_eq!(one_line("a\nb\r\x1b[31m\u{85}\u{2028}é"), "a\\nb\\r\\u{1b}[31m\\u{85}\\u{2028}é");
    assert_eq!(one_line(&"é".repeat(5000)), format!("{}...", "é".repeat(LONGEST)));
}
