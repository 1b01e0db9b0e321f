use super::*;

const OK: Outcome = Outcome::Answered { status: 200, ok: true };

/// A law and the requests put before it.
#[derive(Default)]
struct Court {
    law: Law,
    order: u64,
}

impl Court {
    fn begin(&mut self, method: &str, client: &str, connection: &str) -> Request {
        let request = Request {
            order: self.order,
            method: method.into(),
            target: format!("/{client}"),
            headers: vec![("x-connection-id".into(), connection.into())],
            ..Request::default()
        };
        self.order += 1;
        self.law.begin(&request, Instant::now());
        request
    }

    fn end(&mut self, request: &Request, outcome: Outcome) {
        self.law.end(request, outcome, Instant::now());
    }

    fn whole(&mut self, method: &str, client: &str, connection: &str, outcome: Outcome) {
        let request = self.begin(method, client, connection);
        self.end(&request, outcome);
    }

    fn breaches(&self) -> usize {
        self.law.violations().len()
    }
}

#[test]
fn an_orderly_life_is_lawful() {
    let mut court = Court::default();
    for connection in ["1", "2"] {
        court.whole("GET", "a", connection, OK);
        court.whole("POST", "a", connection, OK);
        assert_eq!(court.law.unsettled().len(), 1, "its DELETE is owed");
        court.whole("DELETE", "a", connection, Outcome::Broken);
        assert_eq!(court.law.unsettled().len(), 1, "not taken, so still owed");
        court.whole("DELETE", "a", connection, Outcome::Answered { status: 500, ok: false });
        assert_eq!(court.law.unsettled().len(), 1, "nor is a 500");
        court.whole("DELETE", "a", connection, OK);
    }
    assert_eq!((court.breaches(), court.law.unsettled().len()), (0, 0));
}

#[test]
fn a_second_delete_and_a_late_message_are_breaches() {
    let mut court = Court::default();
    court.whole("GET", "a", "1", OK);
    court.whole("DELETE", "a", "1", OK);
    court.whole("DELETE", "a", "1", OK);
    assert_eq!(court.breaches(), 1);
    court.whole("POST", "a", "1", OK);
    assert_eq!(court.breaches(), 2);
}

#[test]
fn a_refused_connect_must_not_be_heard_of_again() {
    let mut court = Court::default();
    court.whole("GET", "a", "1", Outcome::Answered { status: 403, ok: false });
    assert_eq!(court.law.unsettled().len(), 0);
    court.whole("DELETE", "a", "1", OK);
    assert_eq!(court.breaches(), 1);
}

#[test]
fn requests_before_the_get_or_without_an_id_are_breaches() {
    let mut court = Court::default();
    court.whole("POST", "a", "1", OK);
    court.whole("GET", "a", "", OK);
    assert_eq!(court.breaches(), 2);
}

#[test]
fn a_reconnect_before_the_delete_is_a_breach_but_for_replace() {
    for (replace, breaches) in [(false, 1), (true, 0)] {
        let mut court = Court::default();
        court.law.licence.replace = replace;
        court.whole("GET", "a", "1", OK);
        court.whole("GET", "a", "2", OK);
        assert_eq!(court.breaches(), breaches);
        court.whole("DELETE", "a", "1", OK);
        court.whole("DELETE", "a", "2", OK);
        assert_eq!(court.law.unsettled().len(), 0);
    }
}

#[test]
fn overlaps_are_breaches_unless_the_older_call_was_given_up() {
    for (outcome, breaches) in [(OK, 1), (Outcome::Broken, 1), (Outcome::Abandoned, 0)] {
        let mut court = Court::default();
        court.whole("GET", "a", "1", OK);
        let first = court.begin("POST", "a", "1");
        court.whole("POST", "a", "1", OK);
        court.end(&first, outcome);
        assert_eq!(court.breaches(), breaches, "{outcome:?}");
    }
}

#[test]
fn calls_at_once_are_counted() {
    let mut court = Court::default();
    court.law.licence.calls_per_client = 2;
    court.whole("GET", "a", "1", OK);
    let calls: Vec<Request> = (0..3).map(|_| court.begin("POST", "a", "1")).collect();
    calls.iter().for_each(|call| court.end(call, OK));
    assert!(court.breaches() > 0, "three calls where two may be");
    let mut court = Court::default();
    court.law.licence.calls_per_client = 2;
    court.whole("GET", "a", "1", OK);
    let call = court.begin("POST", "a", "1");
    court.whole("POST", "a", "1", OK);
    court.whole("DELETE", "a", "1", OK);
    court.end(&call, OK);
    assert!(court.breaches() > 0, "a DELETE beside a call");
}

#[test]
fn clients_do_not_concern_each_other() {
    let mut court = Court::default();
    court.whole("GET", "a", "1", OK);
    court.whole("GET", "b", "2", OK);
    let first = court.begin("POST", "a", "1");
    court.whole("POST", "b", "2", OK);
    court.end(&first, OK);
    assert_eq!(court.breaches(), 0);
}
