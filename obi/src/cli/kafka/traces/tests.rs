//! What is picked, folded, and said where there is nothing.

use clap::Parser;

use super::*;
use crate::store::traces::report::Linked;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn args(words: &[&str]) -> Args {
    Cli::parse_from([&["traces"], words].concat()).args
}

fn trace(id: &str, duration_ms: f64, span: Span) -> Trace {
    Trace {
        trace_id: id.to_owned(),
        duration_ms,
        failed: span.error.is_some(),
        spans: vec![span],
        ..Trace::default()
    }
}

fn answer(keys: Keys) -> Traces {
    let key = match keys {
        Keys::Hash => hashed(b"k1"),
        _ => "k1".to_owned(),
    };
    let send = Span {
        topic: Some("orders".into()),
        key: Some(key),
        service: "shop".into(),
        ..Span::default()
    };
    let failed = Span {
        topic: Some("payments".into()),
        error: Some("TIMEOUT".into()),
        service: "till".into(),
        ..Span::default()
    };
    let link = |to: &str| Linked {
        trace_id: to.to_owned(),
        name: Some("send orders".into()),
        ..Linked::default()
    };
    let batch = Span {
        service: "mail".into(),
        topic: Some("orders".into()),
        links: vec![link("aa"), link("gone")],
        ..Span::default()
    };
    let commit = Span {
        links: vec![link("dd")],
        ..batch.clone()
    };
    Traces {
        schema: String::new(),
        makes: Makes {
            kafka: true,
            read_records: true,
            spans_per_second: 100,
            keys,
            ..Makes::default()
        },
        traces: vec![
            trace("aa", 2.0, send),
            trace("bb", 9.0, failed),
            trace("cc", 5.0, batch),
            trace("dd", 1.0, commit),
        ],
        forgotten: 0,
        spans_left_out: 0,
    }
}

fn picked(words: &[&str], keys: Keys) -> Vec<String> {
    let (mut answer, args) = (answer(keys), args(words));
    pick(&mut answer, &Wanted::new(&args).unwrap(), &args);
    answer
        .traces
        .into_iter()
        .map(|trace| trace.trace_id)
        .collect()
}

#[test]
fn what_is_asked_for() {
    let check = |words: &[&str], expected: &[&str]| {
        assert_eq!(picked(words, Keys::Text), expected, "{words:?}")
    };
    check(&[], &["aa", "bb", "cc", "dd"]);
    check(&["--slowest"], &["bb", "cc", "aa", "dd"]);
    check(&["--errors"], &["bb"]);
    check(&["--topic", "pay*"], &["bb"]);
    check(&["--service", "shop", "--service", "till"], &["aa", "bb"]);
    check(&["--key", "k1"], &["aa"]);
    check(&["--key", "k2"], &[]);
    check(&["--trace", "B"], &["bb"]);
    check(
        &["--topic", "orders", "--slowest", "-n", "1"],
        &["cc", "aa", "dd"],
    );
    check(&["--slowest", "-n", "1", "--output", "json"], &["bb"]);
    assert_eq!(picked(&["--key", "k1"], Keys::Hash), ["aa"]);
    assert_eq!(picked(&["--key", &hashed(b"k1")], Keys::Hash), ["aa"]);
    for wrong in [["--trace", "x1"], ["--trace", ""], ["--topic", "a["]] {
        let error = Wanted::new(&args(&wrong)).err().unwrap();
        let failure = error.downcast_ref::<Failure>().unwrap();
        assert_eq!(failure.exit, Exit::Usage, "{wrong:?}");
    }
}

fn shown(words: &[&str], answer: &Traces, known: usize) -> String {
    let look = Look {
        columns: None,
        glyphs: Glyphs::of(|_| None),
        details: false,
    };
    render(answer, known, &args(words), &look)
}

#[test]
fn what_only_links_stands_beside_it() {
    let folded = |words: &[&str]| {
        let text = shown(words, &answer(Keys::Text), 4);
        let ids = ["aa", "bb", "cc", "dd"].into_iter();
        let ids = ids.filter(|id| text.lines().any(|line| line.starts_with(id)));
        let ids: Vec<&str> = ids.collect();
        (ids, text.lines().last().unwrap().to_owned())
    };
    let (ids, last) = folded(&[]);
    // A commit of a batch: its poll is not shown, so it is.
    assert_eq!(ids, ["aa", "bb", "dd"]);
    assert_eq!(
        last,
        "3 of 4 traces; 1 that only link to others: --all; START and TIME: ms; spans of 100 messages/s at most"
    );
    assert_eq!(folded(&["--all"]).0, ["aa", "bb", "cc", "dd"]);
    assert_eq!(
        folded(&["--slowest", "-n", "0"]).0,
        ["aa", "bb", "cc", "dd"]
    );
    assert_eq!(folded(&["-n", "1"]).0, ["aa"]);
}

#[test]
fn an_empty_answer_says_what_would_fill_it() {
    let empty = |words: &[&str], known: usize, change: &dyn Fn(&mut Makes)| {
        let mut answer = answer(Keys::Text);
        answer.traces.clear();
        change(&mut answer.makes);
        shown(words, &answer, known)
    };
    assert_eq!(
        empty(&[], 0, &|_| {}),
        "no trace to show\n\
         a trace begins when a Kafka client of this node sends or gets a record\n\
         what applications do with records needs instrumentation.kafka.client_hooks: true\n\
         their HTTP requests and PostgreSQL statements need instrumentation.app.enabled: true\n"
    );
    assert_eq!(
        empty(&[], 0, &|makes| makes.spans_per_second = 0),
        "no trace to show\nno span is made: instrumentation.kafka.spans_per_second is 0\n"
    );
    assert_eq!(
        empty(&[], 0, &|makes| makes.kafka = false),
        "no trace to show\nnothing is watched: instrumentation.kafka.enabled is false\n"
    );
    assert_eq!(
        empty(&[], 0, &|makes| makes.read_records = false),
        "no trace to show\n\
         records have no spans: instrumentation.kafka.read_records is false\n\
         their HTTP requests and PostgreSQL statements need instrumentation.app.enabled: true\n"
    );
    assert_eq!(
        empty(&["--key", "k"], 7, &|makes| makes.keys = Keys::None),
        "no trace to show\n\
         keys are not kept: instrumentation.kafka.capture_key is false\n\
         none of 7 traces is what was asked for\n"
    );
}
