//! `.go.buildinfo`: Go version and modules (debug/buildinfo of the Go library describes the format).
//!
//! In: a binary. Out: [`BuildInfo`]. Both forms are read: strings in place (Go 1.18 and later) and pointers to Go
//! strings (before), the latter so that a too old version can be named instead of called "not Go".

use std::fmt;

use object::elf;

use crate::Binary;

const MAGIC: &[u8] = b"\xff Go buildinf:";
const VERSION_LIMIT: u64 = 256;
/// Module lists of the largest programs are some tens of KiB.
const MODULES_LIMIT: u64 = 1 << 20;
/// Without its section the header is in the first data segment, which debug/buildinfo searches this far.
const SEARCH: u64 = 64 << 10;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildInfo {
    pub version: GoVersion,
    /// The main module; `None` for builds without module information.
    pub main: Option<Module>,
    pub dependencies: Vec<Module>,
}

/// `go1.26.8`, `go1.22.1 X:boringcrypto`, `devel go1.27-abcdef`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoVersion(pub String);

impl GoVersion {
    /// 26 of `go1.26.8`; `None` when the text has no such form.
    pub fn minor(&self) -> Option<u32> {
        let rest = self.0.split("go1.").nth(1)?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }
}

impl fmt::Display for GoVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// As it is imported.
    pub path: String,
    pub version: String,
    /// The module that a `replace` directive put in its place: path and version (empty for a folder).
    pub replaced_by: Option<(String, String)>,
}

pub(super) fn read(binary: &Binary) -> Option<BuildInfo> {
    let address = locate(binary)?;
    let header = binary.read(address, 32)?;
    let (pointer_size, flags) = (*header.get(14)?, *header.get(15)?);
    let (version, modules) = if flags & 2 != 0 {
        let (version, next) = inline(binary, address.checked_add(32)?, VERSION_LIMIT)?;
        (
            version,
            inline(binary, next, MODULES_LIMIT)
                .map(|(modules, _)| modules)
                .unwrap_or_default(),
        )
    } else if pointer_size == 8 && flags & 1 == 0 {
        let pointers = [
            binary.word(address.checked_add(16)?)?,
            binary.word(address.checked_add(24)?)?,
        ];
        let text = |at: u64, limit: u64| go_string(binary, at, limit);
        (
            text(pointers[0], VERSION_LIMIT)?,
            text(pointers[1], MODULES_LIMIT).unwrap_or_default(),
        )
    } else {
        return None;
    };
    let version = GoVersion(String::from_utf8(version).ok()?);
    // The text stands between two 16-byte marks, which are not UTF-8.
    let text = modules
        .get(16..modules.len().saturating_sub(16))
        .unwrap_or_default();
    let (main, dependencies) = parse(&String::from_utf8_lossy(text));
    Some(BuildInfo {
        version,
        main,
        dependencies,
    })
}

fn locate(binary: &Binary) -> Option<u64> {
    let starts_here = |address: u64| binary.read(address, 14).is_some_and(|bytes| bytes == MAGIC);
    if let Some(section) = binary
        .elf
        .section(".go.buildinfo")
        .filter(|s| s.kind != elf::SHT_NOBITS.0)
    {
        return starts_here(section.address).then_some(section.address);
    }
    let segment = binary
        .elf
        .segments
        .iter()
        .find(|s| s.writable && !s.executable)?;
    let bytes = binary.read(segment.address, segment.file_size.min(SEARCH))?;
    let aligned = memchr::memmem::find_iter(&bytes, MAGIC).find(|at| at.is_multiple_of(16))?;
    segment.address.checked_add(aligned as u64)
}

/// A varint length and that many bytes; also the address behind them.
fn inline(binary: &Binary, address: u64, limit: u64) -> Option<(Vec<u8>, u64)> {
    let head = binary.read(address, 10)?;
    let mut len = 0u64;
    for (index, byte) in head.iter().enumerate().take(9) {
        len |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let from = address.checked_add(index as u64 + 1)?;
            let bytes = exact(binary, from, len, limit)?;
            return Some((bytes, from.checked_add(len)?));
        }
    }
    None
}

/// A Go string header (pointer, length) and its bytes.
fn go_string(binary: &Binary, address: u64, limit: u64) -> Option<Vec<u8>> {
    let data = binary.word(address)?;
    let len = binary.word(address.checked_add(8)?)?;
    exact(binary, data, len, limit)
}

fn exact(binary: &Binary, address: u64, len: u64, limit: u64) -> Option<Vec<u8>> {
    if len == 0 {
        return Some(Vec::new());
    }
    if len > limit {
        return None;
    }
    binary
        .read(address, len)
        .filter(|bytes| bytes.len() as u64 == len)
}

/// Lines `mod|dep|=>` TAB path TAB version TAB sum; a `=>` replaces the module before it.
fn parse(text: &str) -> (Option<Module>, Vec<Module>) {
    let mut main = None;
    let mut dependencies: Vec<Module> = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        let kind = fields.next().unwrap_or_default();
        let path = fields.next().unwrap_or_default().to_owned();
        let version = fields.next().unwrap_or_default().to_owned();
        match kind {
            "mod" => {
                main = Some(Module {
                    path,
                    version,
                    replaced_by: None,
                })
            }
            "dep" => dependencies.push(Module {
                path,
                version,
                replaced_by: None,
            }),
            "=>" => {
                let last = dependencies.last_mut().or(main.as_mut());
                if let Some(module) = last {
                    module.replaced_by = Some((path, version));
                }
            }
            _ => {}
        }
    }
    (main, dependencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_modules_keep_the_path_of_their_import() {
        let text = "path\tx/cmd\nmod\tx\t(devel)\t\ndep\tgithub.com/IBM/sarama\tv1.43.0\n=>\t../fork\t\n\
                    dep\tgithub.com/twmb/franz-go\tv1.22.2\th1:abc\nbuild\t-compiler=gc\n";
        let (main, dependencies) = parse(text);
        assert_eq!(main.map(|m| m.path), Some("x".into()));
        assert_eq!(dependencies.len(), 2);
        assert_eq!(
            dependencies[0].replaced_by,
            Some(("../fork".into(), "".into()))
        );
        assert_eq!(
            dependencies[1],
            Module {
                path: "github.com/twmb/franz-go".into(),
                version: "v1.22.2".into(),
                replaced_by: None
            }
        );
    }

    #[test]
    fn minor_versions() {
        for (text, minor) in [
            ("go1.26.8", Some(26)),
            ("go1.18", Some(18)),
            ("devel go1.27-0e1bd8b5f1", Some(27)),
            ("go1.22.1 X:boringcrypto", Some(22)),
            ("v1", None),
        ] {
            assert_eq!(GoVersion(text.into()).minor(), minor, "{text}");
        }
    }
}
