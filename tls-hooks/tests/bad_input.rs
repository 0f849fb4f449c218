//! Lying, cut and shrinking files: each gives an error or an absent fact, never a panic and never a table that grows.

#[path = "../../symbolizer/tests/support/mod.rs"]
mod support;
#[path = "../../symbolizer/tests/support/synthetic.rs"]
mod synthetic;

use support::fixture;
use symbolizer::code::{Convention, Register};
use symbolizer::{Binary, Error, Table};
use synthetic::{
    DATA, EXECUTE, FUNCTIONS, Header, Image, MODULES, READ, RODATA, TEXT, WRITE, build_info,
    go_program, good_info, good_table, pclntab,
};
use tls_hooks::{HookPlan, ReturnSite, Returns, Scope, plan};

/// Asks everything that can be asked.
fn ask(bytes: &[u8]) -> Result<HookPlan, Error> {
    let binary = Binary::from_bytes(bytes.to_vec())?;
    let plan = plan(&binary);
    binary.identity();
    let mut symbols = 0;
    for table in [Table::Static, Table::Dynamic] {
        binary.visit_symbols(table, |_| symbols += 1);
    }
    assert!(symbols <= bytes.len() / 12);
    for function in binary
        .functions(&["main", "exchange", "SSL_write"])
        .into_iter()
        .flatten()
    {
        binary.body(&function);
        binary.entry_site(&function, &[Register::Rdi], Convention::C);
        binary.function_at(function.address);
    }
    binary.members(&[("connection_s", "last"), ("inner", "count")]);
    if let Some(go) = binary.go() {
        go.functions(&["runtime.main"]);
    }
    Ok(plan)
}

fn refusals(plan: &HookPlan) -> Vec<&str> {
    plan.refused
        .iter()
        .map(|refusal| refusal.reason.as_str())
        .collect()
}

#[test]
fn the_synthetic_program_is_a_good_one() {
    let plan = ask(&go_program(good_table(), good_info()).build()).unwrap();
    assert_eq!(plan.refused, []);
    assert_eq!(plan.scope, Scope::File);
    assert_eq!(plan.client, Some(("franz-go", "v1.22.2".to_owned())));
    let found: Vec<(&str, Option<u64>, Returns)> = plan
        .hooks
        .into_iter()
        .map(|hook| (hook.name, hook.entry, hook.returns))
        .collect();
    // Text begins behind the file header and three program headers; `push` is 11 bytes in, `ret` 13.
    let text = 64 + 3 * 56;
    assert_eq!(
        found,
        [
            (
                "crypto/tls.(*Conn).Read",
                Some(text + 32 + 11),
                Returns::Sites(vec![ReturnSite::in_register(text + 32 + 13)])
            ),
            (
                "crypto/tls.(*Conn).Write",
                Some(text + 64 + 11),
                Returns::Sites(vec![ReturnSite::in_register(text + 64 + 13)])
            ),
            ("crypto/tls.(*Conn).Close", Some(text + 11), Returns::None),
        ]
    );
}

#[test]
fn what_is_not_a_program_is_named() {
    let good = go_program(good_table(), good_info()).build();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        ask(&file).map(|_| ()).map_err(|error| error.to_string())
    };
    let text = |text: &str| Err(text.to_owned());
    assert_eq!(with(0, b"MZ"), text("not an ELF file"));
    assert_eq!(
        with(4, &[1]),
        text("not supported: only 64-bit little-endian ELF")
    );
    assert_eq!(
        with(5, &[2]),
        text("not supported: only 64-bit little-endian ELF")
    );
    assert_eq!(
        with(16, &[1]),
        text("not supported: neither an executable nor a shared object")
    );
    assert_eq!(
        with(18, &[40]),
        text("not supported: machine is neither x86-64 nor aarch64")
    );
    assert_eq!(
        with(56, &[0, 0]),
        text("malformed ELF: number of program headers")
    );
    assert_eq!(
        with(56, &[0xff, 0xff]),
        text("malformed ELF: number of program headers")
    );
    assert_eq!(
        with(32, &[0xff; 8]),
        text("malformed ELF: program headers past the end")
    );
    // Nobody needs section headers to run a program.
    assert_eq!(with(40, &[0xff; 8]), Ok(()));
    assert_eq!(with(60, &[0xff; 4]), Ok(()));
    assert!(matches!(ask(&[]), Err(Error::NotElf)));
    assert!(matches!(
        Binary::open(std::path::Path::new("/")),
        Err(Error::Io(_))
    ));
    assert!(matches!(
        Binary::open(std::path::Path::new("/dev/zero")),
        Err(Error::Io(_))
    ));
}

#[test]
fn a_lying_function_table_gives_no_hooks() {
    type Lie = (&'static str, fn(&mut Header));
    let lies: [Lie; 8] = [
        ("count of functions", |h| h.count = u64::MAX),
        ("more functions than bytes", |h| h.count = 1 << 20),
        ("no functions", |h| h.count = 0),
        ("names behind functions", |h| h.names = h.functions + 8),
        ("names past the end", |h| h.names = u64::MAX),
        ("functions past the end", |h| h.functions = u64::MAX - 4),
        ("text that is not code", |h| h.text = RODATA),
        ("an older magic", |h| h.magic = 0xffff_fffb),
    ];
    for (lie, change) in lies {
        let table = pclntab(&FUNCTIONS, 96, change);
        let plan = ask(&go_program(table, good_info()).build()).unwrap();
        assert_eq!(plan.hooks, [], "{lie}");
        assert_eq!(
            refusals(&plan),
            ["no readable function table (.gopclntab) in this go1.22.12 binary"],
            "{lie}"
        );
    }
}

#[test]
fn functions_that_lie_about_their_extent_are_refused() {
    // Read begins behind Write: its extent is negative, that of Close reaches over everything.
    let table = pclntab(
        &[FUNCTIONS[0], (FUNCTIONS[1].0, 96), (FUNCTIONS[2].0, 64)],
        u32::MAX,
        |_| {},
    );
    let plan = ask(&go_program(table, good_info()).build()).unwrap();
    let names: Vec<&str> = plan.hooks.iter().map(|hook| hook.name).collect();
    assert_eq!(names, ["crypto/tls.(*Conn).Close"]);
    assert_eq!(
        refusals(&plan),
        [
            "not linked into the program: it is never called directly",
            "its machine code could not be decoded"
        ]
    );
    // Records that point at themselves, at each other, past the end.
    for record in [0u32, 8, 28, u32::MAX] {
        let mut table = good_table();
        let entries = table.len() - 3 * 44 - 28;
        for index in 0..3 {
            table[entries + index * 8 + 4..entries + index * 8 + 8]
                .copy_from_slice(&record.to_le_bytes());
        }
        let plan = ask(&go_program(table, good_info()).build()).unwrap();
        assert_eq!(plan.hooks, [], "{record:#x}");
    }
}

#[test]
fn lying_build_information_is_absent() {
    let good = good_info();
    for lie in [
        good[..20].to_vec(),
        [&good[..32], &[0xff; 32]].concat(),
        [&good[..32], &[0xff, 0xff, 0x03], &[b'g'; 40]].concat(),
        [&good[..15], &[0], &good[16..]].concat(),
        [&good[..32], &[3, 0xff, 0xfe, 0xfd, 0]].concat(),
    ] {
        let plan = ask(&go_program(good_table(), lie).build()).unwrap();
        assert_eq!(plan, HookPlan::default());
    }
    // A cut list of modules still leaves the version.
    let cut = build_info("go1.22.12", MODULES);
    let plan = ask(&go_program(good_table(), cut[..cut.len() - 20].to_vec()).build()).unwrap();
    assert_eq!((plan.hooks.len(), plan.client), (3, None));
}

/// Neither its table row nor its DWARF is taken for that of a neighbour.
#[test]
fn a_client_release_never_seen_is_refused() {
    for name in ["franz", "franz-stripped"] {
        let mut bytes = std::fs::read(fixture(name)).unwrap();
        let (known, never) = (b"v1.22.2", b"v1.99.2");
        let texts = bytes.windows(known.len()).enumerate();
        let places = texts.filter(|(_, text)| text == known).map(|(at, _)| at);
        let places: Vec<usize> = places.collect();
        assert!(!places.is_empty());
        for at in places {
            bytes[at..at + never.len()].copy_from_slice(never);
        }
        let plan = ask(&bytes).unwrap();
        assert_eq!(
            plan.client,
            Some(("franz-go", "v1.99.2".to_owned())),
            "{name}"
        );
        assert_eq!(plan.calls, [], "{name}");
        let refused: Vec<&str> = plan.calls_refused.iter().map(|r| r.hook).collect();
        assert_eq!(refused, ["github.com/twmb/franz-go"], "{name}");
    }
}

/// An accessor that does something else shows no offset: topics stay unnamed, and an event is taken for nothing.
#[test]
fn accessors_that_lie_show_nothing() {
    let path = fixture("system-librdkafka.so");
    let binary = Binary::open(&path).unwrap();
    let names = ["rd_kafka_topic_name", "rd_kafka_event_type"];
    let mut bytes = std::fs::read(&path).unwrap();
    for function in binary.functions(&names) {
        let at = binary.file_offset(function.unwrap().address).unwrap() as usize;
        // mov rax, [rdi + 8]; inc rax; ret
        bytes[at..at + 8].copy_from_slice(&[0x48, 0x8b, 0x47, 0x08, 0x48, 0xff, 0xc0, 0xc3]);
    }
    let plan = ask(&bytes).unwrap();
    let refused: Vec<&str> = plan.calls_refused.iter().map(|r| r.hook).collect();
    assert_eq!(
        refused,
        ["rd_kafka_event_message_next", "rd_kafka_topic_name"]
    );
    assert!(!plan.calls.iter().any(|call| call.name.contains("event")));
    let poll = plan
        .calls
        .iter()
        .filter(|call| call.name == "rd_kafka_consumer_poll");
    for call in poll {
        assert_eq!(call.shape.topic_form, obi_abi::client::topic_form::NOTHING);
    }
}

#[test]
fn old_go_is_named() {
    let plan = ask(&go_program(good_table(), build_info("go1.16.5", MODULES)).build()).unwrap();
    let wanted = "built by Go 1.16, whose calling convention is not supported (1.18 and later are)";
    assert_eq!(refusals(&plan), [wanted]);
    assert_eq!(
        plan.refused[0].mend,
        "build the program with Go 1.18 or later"
    );
}

#[test]
fn tables_that_claim_too_much_are_cut_at_the_file() {
    let symbol = [
        1u32.to_le_bytes().to_vec(),
        vec![0x12, 0, 1, 0],
        TEXT.to_le_bytes().to_vec(),
        vec![0xff; 8],
    ]
    .concat();
    let image = Image::default()
        .segment(READ | EXECUTE, TEXT, synthetic::go_function())
        .segment(READ | WRITE, DATA, vec![0; 16])
        .section(".symtab", 2, 0, symbol)
        .section(".strtab", 3, 0, b"\0SSL_write".to_vec());
    // The name has no end, and the function is larger than the file.
    let plan = ask(&image.build()).unwrap();
    assert_eq!(plan.hooks, []);
    let file = image.build();
    let sections = u64::from_le_bytes(file[40..48].try_into().unwrap()) as usize;
    for section in 0..4 {
        for field in [24, 32, 40] {
            let mut lie = file.clone();
            lie[sections + section * 64 + field..][..8].copy_from_slice(&[0xff; 8]);
            ask(&lie).unwrap();
        }
    }
}

#[test]
fn a_cut_file_never_panics() {
    for name in ["layout-dwarf5", "layout-compressed", "c-dynamic"] {
        let bytes = std::fs::read(fixture(name)).unwrap();
        for len in (0..bytes.len()).step_by(97) {
            let _ = ask(&bytes[..len]);
        }
    }
}

/// xorshift64: the same changes on every run.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn a_changed_file_never_panics() {
    let mut files: Vec<Vec<u8>> = vec![go_program(good_table(), good_info()).build()];
    for name in ["layout-dwarf5", "layout-dwarf4", "c-dynamic"] {
        files.push(std::fs::read(fixture(name)).unwrap());
    }
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for bytes in files {
        for _ in 0..400 {
            let mut changed = bytes.clone();
            for _ in 0..1 + next(&mut state) % 8 {
                let at = next(&mut state) as usize % changed.len();
                let edge = [0, 0xff, 0x7f, 0x80, next(&mut state) as u8];
                changed[at] = edge[next(&mut state) as usize % edge.len()];
            }
            let _ = ask(&changed);
        }
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_gives_absent_facts() {
    let path = std::env::temp_dir().join(format!("obi-shrinks-{}", std::process::id()));
    std::fs::copy(fixture("c-dynamic"), &path).unwrap();
    let binary = Binary::open(&path).unwrap();
    assert_eq!(binary.needed(), ["libssl.so.3", "libc.so.6"]);
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(100)
        .unwrap();
    assert_eq!(binary.needed(), [""; 0]);
    assert_eq!(binary.functions(&["main"]), [None]);
    assert_eq!(plan(&binary), HookPlan::default());
    std::fs::remove_file(&path).unwrap();
}

/// The seeds of the fuzz targets that are made here; `UPDATE_SEEDS=1` writes them.
#[test]
fn seeds_of_the_fuzz_targets_are_current() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus");
    let go118 = pclntab(&FUNCTIONS, 96, |header| header.magic = 0xffff_fff0);
    for (name, bytes) in [
        ("elf/seed-go", go_program(good_table(), good_info()).build()),
        ("pclntab/seed-go1.20", good_table()),
        ("pclntab/seed-go1.18", go118),
        ("buildinfo/seed-go1.22", good_info()),
    ] {
        let path = corpus.join(name);
        if std::env::var_os("UPDATE_SEEDS").is_some() {
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(
            std::fs::read(&path).unwrap() == bytes,
            "{name}: run this test with UPDATE_SEEDS=1"
        );
    }
}
