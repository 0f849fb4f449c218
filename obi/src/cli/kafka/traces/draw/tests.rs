//! What is drawn on terminals of several widths, and on none.

use super::*;

fn span(
    id: &str,
    parent: &str,
    name: &str,
    service: &str,
    (start_ms, duration_ms): (f64, f64),
) -> Span {
    Span {
        span_id: id.to_owned(),
        parent: (!parent.is_empty()).then(|| parent.to_owned()),
        name: name.to_owned(),
        service: service.to_owned(),
        start_ms,
        duration_ms,
        ..Span::default()
    }
}

/// Of an order that came in by HTTP; and of a message whose sender is elsewhere.
fn traces() -> [Trace; 2] {
    let request = Span {
        path: Some("/orders".into()),
        goroutine: Some(18),
        status: Some(201),
        ..span("a1", "", "POST", "order-api", (0.0, 12.1))
    };
    let send = Span {
        partition: Some(2),
        offset: Some(61),
        key: Some("customer-7\u{1b}[31m".into()),
        linked_from: vec![Linked {
            trace_id: "ab12cd34ef".into(),
            name: Some("poll orders".into()),
            service: Some("audit".into()),
            start_ms: Some(14.0),
            ..Linked::default()
        }],
        ..span("b1", "a1", "send orders", "order-api", (1.2, 8.4))
    };
    let poll = Span {
        partition: Some(2),
        offset: Some(61),
        ..span(
            "c1",
            "b1",
            "poll orders",
            "order-processor",
            (-480.0, 490.1),
        )
    };
    let process = Span {
        partition: Some(2),
        offset: Some(61),
        goroutine: Some(1_234),
        ..span(
            "d1",
            "b1",
            "process orders",
            "order-processor",
            (12.2, 30.1),
        )
    };
    let insert = Span {
        error: Some("23505".into()),
        goroutine: Some(1_234),
        statement: Some("INSERT INTO orders VALUES (?)".into()),
        ..span(
            "e1",
            "d1",
            "INSERT orders",
            "order-processor",
            (15.0, 3.256),
        )
    };
    let batch = Span {
        partition: Some(0),
        offset: Some(7),
        messages: Some(120),
        thread: Some(99),
        links: vec![
            Linked {
                trace_id: "0123456789abcdef".into(),
                offset: Some(7),
                ..Linked::default()
            };
            5
        ],
        links_left_out: 88,
        ..span(
            "f1",
            "77aa",
            "process a-topic-with-a-rather-long-name",
            "mail",
            (0.0, 1_500.0),
        )
    };
    [
        Trace {
            trace_id: "5b8aa5a2d2c872e8321cf37308d69df2".into(),
            start_ms: 1_795_425_059_042,
            duration_ms: 42.3,
            failed: true,
            spans: vec![request, send, poll, process, insert],
            ..Trace::default()
        },
        Trace {
            trace_id: "051581bf3cb55c13321cf37308d69df2".into(),
            start_ms: 1_795_425_059_000,
            duration_ms: 1_500.0,
            spans: vec![batch],
            spans_left_out: 3,
            ..Trace::default()
        },
    ]
}

fn drawn(columns: Option<usize>, locale: &str, details: bool) -> String {
    let traces = traces();
    let look = Look {
        columns,
        glyphs: Glyphs::of(|name| (name == "LANG").then(|| locale.to_owned())),
        details,
    };
    draw(&traces.iter().collect::<Vec<_>>(), &look)
}

#[test]
fn as_wide_as_the_terminal() {
    for columns in [80, 120, 200] {
        let text = drawn(Some(columns), "C.UTF-8", false);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(columns), "{text}");
        insta::assert_snapshot!(format!("{columns}_columns"), text);
    }
    // However narrow: it does not fail.
    for columns in 0..80 {
        drawn(Some(columns), "C", false);
    }
}

#[test]
fn without_a_terminal_nothing_is_cut() {
    let text = drawn(None, "POSIX", true);
    assert!(text.is_ascii());
    insta::assert_snapshot!("details_ascii", text);
}

#[test]
fn the_first_variable_that_is_set_names_the_locale() {
    let check = |set: &[(&str, &str)], expected: &Glyphs| {
        let env = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(Glyphs::of(env), expected, "{set:?}");
    };
    check(&[], &ASCII);
    check(&[("LANG", "de_DE.utf8")], &UTF8);
    check(&[("LC_ALL", ""), ("LANG", "en_US.UTF-8")], &UTF8);
    check(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")], &ASCII);
    check(&[("LC_CTYPE", "C.UTF-8"), ("LANG", "C")], &UTF8);
}
