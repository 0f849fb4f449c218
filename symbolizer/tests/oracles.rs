//! Second opinions on every fixture: goblin lists the same symbols and libraries, nm the same Go functions, objdump the
//! same returns, readelf the same build id.

mod support;

use std::collections::BTreeSet;

use support::{all, fixture, go_versions, name, nm, objdump, output};
use symbolizer::{Binary, BuildId, Function, Machine, Table};

/// (name, address, size, defined) of a table as goblin reads it.
fn of_goblin(elf: &goblin::elf::Elf<'_>, table: Table) -> Vec<(String, u64, u64, bool)> {
    let (symbols, strings) = match table {
        Table::Static => (&elf.syms, &elf.strtab),
        Table::Dynamic => (&elf.dynsyms, &elf.dynstrtab),
    };
    let defined = |s: &goblin::elf::Sym| s.st_shndx != 0 && s.st_value != 0;
    let name = |s: &goblin::elf::Sym| strings.get_at(s.st_name).unwrap_or_default().to_owned();
    symbols
        .iter()
        .map(|s| (name(&s), s.st_value, s.st_size, defined(&s)))
        .collect()
}

#[test]
fn goblin_lists_the_same_symbols_and_libraries() {
    for path in all() {
        let bytes = std::fs::read(&path).unwrap();
        let elf = goblin::elf::Elf::parse(&bytes).unwrap();
        let binary = Binary::open(&path).unwrap();
        assert_eq!(binary.needed(), elf.libraries, "{}", name(&path));
        assert_eq!(binary.soname().as_deref(), elf.soname, "{}", name(&path));
        for table in [Table::Static, Table::Dynamic] {
            let mut found = Vec::new();
            binary.visit_symbols(table, |s| {
                found.push((s.name, s.address, s.size, s.defined))
            });
            let mut wanted = of_goblin(&elf, table);
            // The first entry of a table is empty; goblin leaves it out when a hash table counts no symbol.
            found.retain(|(name, address, ..)| !name.is_empty() || *address != 0);
            wanted.retain(|(name, address, ..)| !name.is_empty() || *address != 0);
            assert_eq!(found.len(), wanted.len(), "{} {table:?}", name(&path));
            let differs = found
                .iter()
                .zip(&wanted)
                .find(|(ours, theirs)| ours != theirs);
            assert_eq!(differs, None, "{} {table:?}", name(&path));
        }
    }
}

#[test]
fn functions_are_found_by_name_as_in_the_listing() {
    // Every 50th defined function, and names that do not exist.
    for fixture_name in [
        "wheel-openssl-3.5",
        "system-libssl.so",
        "confluent",
        "go1.26-external-pie",
        "c-static-pie",
    ] {
        let binary = Binary::open(&fixture(fixture_name)).unwrap();
        let mut listed: Vec<(String, u64)> = Vec::new();
        for table in [Table::Static, Table::Dynamic] {
            binary.visit_symbols(table, |s| {
                let plain = !s.name.contains(['.', '@']) || s.name.starts_with("crypto/tls.");
                if s.defined && s.function && plain {
                    listed.push((s.name, s.address));
                }
            });
        }
        let names: Vec<&str> = listed
            .iter()
            .step_by(50)
            .map(|(name, _)| name.as_str())
            .collect();
        let found = binary.functions(&names);
        assert!(names.len() > 3, "{fixture_name}: {}", names.len());
        for (name, function) in names.iter().zip(found) {
            let function = function.unwrap_or_else(|| panic!("{fixture_name}: {name} not found"));
            // Several local functions may share a name; the one found is one of them.
            let same: Vec<u64> = listed
                .iter()
                .filter(|(n, _)| n == name)
                .map(|(_, address)| *address)
                .collect();
            assert!(same.contains(&function.address), "{fixture_name}: {name}");
        }
        assert_eq!(
            binary.functions(&["no_such_function", "", "SSL_rea"]),
            [None, None, None]
        );
    }
}

#[test]
fn imports_are_not_functions_of_the_file() {
    for file in ["c-dynamic", "system-librdkafka.so"] {
        let binary = Binary::open(&fixture(file)).unwrap();
        assert_eq!(
            binary.functions(&["SSL_read", "SSL_write", "SSL_set_fd"]),
            [None, None, None],
            "{file}"
        );
        assert!(
            binary.needed().contains(&"libssl.so.3".to_owned()),
            "{file}"
        );
    }
}

/// Go programs with symbols, and their twins without.
const GO_PAIRS: [(&str, &str); 3] = [
    ("exe", "exe-stripped"),
    ("external", "external-stripped"),
    ("external-pie", "external-pie-stripped"),
];

#[test]
fn pclntab_names_the_functions_that_nm_names() {
    for version in go_versions() {
        for (symbols, stripped) in GO_PAIRS {
            let path = fixture(&format!("{version}-{symbols}"));
            // Go's own functions in nm's list; the rest is C, assembly without a frame, or generated twice.
            let wanted: Vec<(u64, u64, String)> = nm(&path)
                .into_iter()
                .filter(|(_, _, name)| name.starts_with("crypto/tls."))
                .collect();
            let distinct: BTreeSet<&str> =
                wanted.iter().map(|(_, _, name)| name.as_str()).collect();
            assert!(
                distinct.len() > 250,
                "{version}-{symbols}: {}",
                distinct.len()
            );
            let names: Vec<&str> = distinct.iter().copied().collect();
            let binary = Binary::open(&fixture(&format!("{version}-{stripped}"))).unwrap();
            let go = binary.go().unwrap();
            let found = go.functions(&names);
            for (address, size, name) in &wanted {
                let at = names.iter().position(|n| n == name).unwrap();
                let function = found[at]
                    .as_ref()
                    .unwrap_or_else(|| panic!("{version}-{stripped}: no {name}"));
                assert_eq!(function.address, *address, "{version}-{stripped}: {name}");
                // The table knows where the next function begins, nm where this one ends.
                assert!(
                    function.size >= *size && function.size < size + 64,
                    "{version}-{stripped}: {name}"
                );
            }
        }
    }
}

#[test]
fn returns_are_those_of_objdump() {
    let mut cases: Vec<(String, Vec<&str>)> = Vec::new();
    let go = vec![
        "crypto/tls.(*Conn).Read",
        "crypto/tls.(*Conn).Write",
        "crypto/tls.(*Conn).Close",
    ];
    for version in go_versions() {
        for kind in ["exe", "pie", "external", "external-pie"] {
            cases.push((format!("{version}-{kind}"), go.clone()));
        }
    }
    cases.push(("franz".into(), go.clone()));
    cases.push(("franz-go1.22".into(), go));
    let openssl = vec![
        "SSL_read",
        "SSL_write",
        "SSL_free",
        "ssl_read_internal",
        "ssl_write_internal",
        "SSL_CTX_new",
    ];
    for file in [
        "wheel-openssl-3.5",
        "wheel-openssl-1.1.1",
        "wheel-openssl-4.0",
        "c-static",
        "confluent",
    ] {
        cases.push((file.into(), openssl.clone()));
    }
    for (file, names) in cases {
        let path = fixture(&file);
        let binary = Binary::open(&path).unwrap();
        for function in binary.functions(&names).into_iter().flatten() {
            let wanted: Vec<u64> =
                objdump(&path, function.address, function.address + function.size)
                    .into_iter()
                    .filter(|(_, text)| text.split(' ').any(|word| word == "ret"))
                    .map(|(address, _)| address)
                    .collect();
            let body = binary.body(&function).unwrap();
            assert_eq!(body.returns, wanted, "{file}: {}", function.name);
            assert!(body.whole, "{file}: {}", function.name);
        }
    }
}

#[test]
fn unwind_tables_give_the_extents_of_the_symbols() {
    for file in [
        "wheel-openssl-3.5",
        "c-static-pie",
        "c-static",
        "c-shared.so",
    ] {
        let stripped = Binary::open(&fixture(&format!("{file}-stripped"))).unwrap();
        let binary = Binary::open(&fixture(file)).unwrap();
        let names = [
            "SSL_read",
            "SSL_write",
            "ssl_read_internal",
            "ssl_write_internal",
            "SSL_set_fd",
            "SSL_clear",
        ];
        for function in binary.functions(&names).into_iter().flatten() {
            let extent = Some((function.address, function.size));
            for inside in [0, 1, function.size - 1] {
                assert_eq!(
                    stripped.function_at(function.address + inside),
                    extent,
                    "{file}: {}",
                    function.name
                );
            }
        }
    }
}

#[test]
fn build_ids_are_those_of_readelf() {
    for path in all() {
        let notes = output("readelf", &["-nW", path.to_str().unwrap()]);
        let wanted = notes.lines().find_map(|line| {
            line.split("Build ID: ")
                .nth(1)
                .map(|id| id.trim().to_owned())
        });
        let build_id = Binary::open(&path).unwrap().build_id();
        match wanted {
            Some(id) => assert_eq!(build_id.to_string(), id, "{}", name(&path)),
            None => assert!(!matches!(build_id, BuildId::Gnu(_)), "{}", name(&path)),
        }
    }
    // Before 1.24 the Go linker wrote a note of its own only.
    let path = fixture("go1.22-exe-stripped");
    let go = output("go", &["tool", "buildid", path.to_str().unwrap()]);
    let build_id = Binary::open(&path).unwrap().build_id();
    assert_eq!(build_id, BuildId::Go(go.trim().to_owned()));
}

#[test]
fn offsets_and_addresses_follow_the_segments() {
    let binary = Binary::open(&fixture("wheel-openssl-3.5")).unwrap();
    assert_eq!(binary.machine(), Machine::X86_64);
    let [Some(Function { address, .. })] = binary.functions(&["SSL_write"])[..] else {
        panic!("no SSL_write")
    };
    let offset = binary.file_offset(address).unwrap();
    assert_eq!(binary.address(offset), Some(address));
    let bytes = std::fs::read(fixture("wheel-openssl-3.5")).unwrap();
    assert_eq!(
        binary.read(address, 16).unwrap(),
        bytes[offset as usize..offset as usize + 16]
    );
    assert_eq!(binary.file_offset(u64::MAX), None);
    assert_eq!(binary.address(u64::MAX), None);
}

#[test]
fn go_build_information_is_that_of_go_version() {
    for file in [
        "franz",
        "franz-pie-stripped",
        "franz-go1.22-stripped",
        "sarama",
        "confluent-stripped",
        "go1.18-external-pie-stripped",
    ] {
        let path = fixture(file);
        let text = output("go", &["version", "-m", path.to_str().unwrap()]);
        let binary = Binary::open(&path).unwrap();
        let info = binary.go().unwrap().info;
        let first = text.lines().next().unwrap_or_default();
        assert_eq!(
            first.rsplit(": ").next(),
            Some(info.version.0.as_str()),
            "{file}"
        );
        let wanted: Vec<(String, String)> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("dep\t"))
            .map(|rest| {
                let mut fields = rest.split('\t').map(str::to_owned);
                (
                    fields.next().unwrap_or_default(),
                    fields.next().unwrap_or_default(),
                )
            })
            .collect();
        let found: Vec<(String, String)> = info
            .dependencies
            .into_iter()
            .map(|m| (m.path, m.version))
            .collect();
        assert_eq!(found, wanted, "{file}");
    }
    for file in ["c-static", "system-kcat", "wheel-openssl-4.0"] {
        assert!(
            Binary::open(&fixture(file)).unwrap().go().is_none(),
            "{file}"
        );
    }
}

#[test]
fn returns_on_aarch64_are_those_of_go_objdump() {
    let path = fixture("go1.26-arm64");
    let binary = Binary::open(&path).unwrap();
    assert_eq!(binary.machine(), Machine::Aarch64);
    let names = ["crypto/tls.(*Conn).Read", "crypto/tls.(*Conn).Write"];
    for function in binary.go().unwrap().functions(&names).into_iter().flatten() {
        let pattern = format!("^{}$", function.name.replace(['(', '*', ')', '.'], "."));
        let text = output(
            "go",
            &["tool", "objdump", "-s", &pattern, path.to_str().unwrap()],
        );
        let returns: Vec<u64> = text
            .lines()
            .filter(|line| line.split_whitespace().nth(3) == Some("RET"))
            .filter_map(|line| line.split_whitespace().nth(1)?.strip_prefix("0x"))
            .map(|address| u64::from_str_radix(address, 16).unwrap())
            .collect();
        assert!(returns.len() > 3, "{text}");
        assert_eq!(
            binary.body(&function).unwrap().returns,
            returns,
            "{}",
            function.name
        );
    }
}
