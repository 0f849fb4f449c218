//! Offsets from DWARF against the compiler's own, and the tables of Go's library against the DWARF of Go programs.

mod support;

use support::{fixture, go_versions, output};
use symbolizer::Binary;

#[test]
fn offsets_in_c_are_those_that_the_program_prints() {
    let members = ["name", "first", "port", "socket", "last"];
    let wanted: Vec<(&str, &str)> = members
        .iter()
        .map(|member| ("connection_s", *member))
        .collect();
    for file in ["layout-dwarf4", "layout-dwarf5", "layout-compressed"] {
        let path = fixture(file);
        let printed = output("sh", &["-c", &format!("{} || exit 0", path.display())]);
        let binary = Binary::open(&path).unwrap();
        for (member, found) in members.iter().zip(binary.members(&wanted)) {
            let line = format!("{member} {}", found.expect(member));
            assert!(printed.lines().any(|l| l == line), "{file}: {line}");
        }
        let others = [
            ("inner", "count"),
            ("inner", "sizeof"),
            ("connection_s", "fd"),
            ("inner", "name"),
            ("no_such", "name"),
            ("no_such", "sizeof"),
        ];
        assert_eq!(
            binary.members(&others),
            [Some(8), Some(16), None, None, None, None],
            "{file}"
        );
    }
    let without = Binary::open(&fixture("layout-none")).unwrap();
    assert_eq!(without.members(&wanted), [None; 5]);
}

#[test]
fn the_tables_of_go_are_what_its_dwarf_says() {
    let wanted = [
        ("crypto/tls.Conn", "conn"),
        ("net.conn", "fd"),
        ("net.netFD", "pfd"),
        ("internal/poll.FD", "Sysfd"),
        ("runtime.g", "goid"),
        ("runtime.g", "m"),
        ("runtime.g", "parentGoid"),
    ];
    for version in go_versions() {
        let binary = Binary::open(&fixture(&format!("{version}-exe"))).unwrap();
        let by_dwarf = binary.members(&wanted);
        // Without DWARF only the table can answer.
        let stripped = Binary::open(&fixture(&format!("{version}-exe-stripped"))).unwrap();
        let by_table: Vec<Option<u64>> = wanted
            .iter()
            .map(|member| stripped.go().unwrap().members(&[*member])[0])
            .collect();
        assert_eq!(by_table, by_dwarf, "{version}");
        assert_eq!(
            by_dwarf[..4],
            [Some(0), Some(0), Some(0), Some(16)],
            "{version}"
        );
    }
}
