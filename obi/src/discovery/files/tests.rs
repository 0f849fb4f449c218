//! Real files. In: who asks; out: one look at each file, in one stage or two.

#[path = "../../../../symbolizer/tests/support/mod.rs"]
mod support;

use super::*;

fn answer(files: &mut Files) -> Answer {
    let looked = files.looked().recv().unwrap();
    files.answered(looked)
}

fn first(files: &mut Files) -> Arc<KnownFile> {
    match answer(files) {
        Answer::First(_, Some(Look::Something(file))) => file,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_is_looked_into_once_and_all_who_wait_are_told() {
    let root = Path::new("/proc");
    let pid = std::process::id();
    let mut files = Files::start(root, true).unwrap();
    let libc = process::mappings(root, pid)
        .into_iter()
        .find(|m| m.path.to_string_lossy().contains("libc.so"))
        .unwrap();
    assert!(files.ask(pid, &libc, Urgency::Later).is_none());
    assert!(files.ask(pid, &libc, Urgency::Now).is_none());
    assert_eq!(files.waiting(), 1);
    let told = |answer: Answer| match answer {
        Answer::First(pids, Some(Look::Nothing)) => pids,
        other => panic!("{other:?}"),
    };
    assert_eq!(told(answer(&mut files)), [pid]);
    assert_eq!(told(answer(&mut files)), [0; 0]);
    assert!(matches!(
        files.ask(pid, &libc, Urgency::Now),
        Some(Look::Nothing)
    ));
    assert_eq!(files.waiting(), 0);
}

#[test]
fn calls_of_a_client_library_come_after_what_shows_the_conversation() {
    let (root, client) = (Path::new("/"), support::fixture("system-librdkafka.so"));
    let mut files = Files::start(Path::new("/proc"), true).unwrap();
    let id = files.ask_installed(root, &client).unwrap();
    let file = first(&mut files);
    assert_eq!((file.id, file.plan.calls.len()), (id, 0));
    assert!(file.awaits_calls);
    assert_eq!(file.plan.hooks.len(), 1, "rd_kafka_new");
    assert_eq!(files.waiting(), 1, "its calls are looked for");
    let whole = match answer(&mut files) {
        Answer::Calls(file) => file,
        other => panic!("{other:?}"),
    };
    assert_eq!(files.waiting(), 0);
    assert!(!whole.awaits_calls);
    let binary = symbolizer::Binary::open(&client).unwrap();
    assert_eq!(whole.plan, tls_hooks::plan(&binary));
    assert!(whole.plan.calls.len() > 10, "{}", whole.plan.calls.len());
    assert_eq!((whole.id, &whole.path), (id, &client));
    // Who comes later finds both at once.
    let id_again = files.ask_installed(root, &client);
    assert_eq!(id_again, Some(id));
    assert!(
        matches!(files.looks.get(&id), Some(Look::Something(known)) if known.plan == whole.plan)
    );

    // A copy of it, as in another container, is told of in one answer.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("librdkafka.so.1");
    std::fs::copy(&client, &copy).unwrap();
    let other = files.ask_installed(root, &copy).unwrap();
    assert_ne!(other, id);
    let copied = first(&mut files);
    assert_eq!((copied.id, &copied.plan), (other, &whole.plan));
    assert!(!copied.awaits_calls);
    assert_eq!(files.waiting(), 0);
}

#[test]
fn a_file_that_is_looked_into_twice_learns_its_calls_once() {
    let client = support::fixture("system-librdkafka.so");
    let mut files = Files::start(Path::new("/proc"), true).unwrap();
    let id = files.ask_installed(Path::new("/"), &client).unwrap();
    // As if it had been asked for by a scan, too.
    let job = Job {
        pid: 0,
        mapping: Mapping {
            start: 0,
            end: 0,
            path: client.clone(),
        },
        id,
        file: Some(File::open(&client).unwrap()),
    };
    files.queues.later.send(job).unwrap();
    let (mut stages, mut calls) = (0, 0);
    while calls == 0 || stages < 2 {
        match answer(&mut files) {
            Answer::First(..) => stages += 1,
            Answer::Calls(file) => {
                assert_eq!(file.id, id);
                calls += 1;
            }
            Answer::Nothing => {}
        }
    }
    assert_eq!((stages, calls, files.waiting()), (2, 1, 0));
}

#[test]
fn nobody_looks_for_calls_that_are_not_wanted() {
    let client = support::fixture("system-librdkafka.so");
    let mut files = Files::start(Path::new("/proc"), false).unwrap();
    files.ask_installed(Path::new("/"), &client).unwrap();
    let file = first(&mut files);
    assert!(!file.awaits_calls);
    assert_eq!((file.plan.calls.len(), files.waiting()), (0, 0));
}
