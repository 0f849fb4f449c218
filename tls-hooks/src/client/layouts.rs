//! Layouts and signatures of the Kafka clients for Go, and of servers beside them: what must be known of a release before it is hooked.
//! A part of a module is asked for by the module's path; where it has several, the others by the path of their package.
//!
//! In: a Go program. Out: offsets in structs by its own DWARF, else by the table of the release that its build information names;
//! where functions take arguments and leave results, by the table alone. Whatever the table does not name (a fork, a pseudo-version, a
//! release newer than the table) is not guessed. The table is made by `cargo xtask layouts`.

use symbolizer::code::Register;
use symbolizer::{Binary, Go};

const TABLE: &str = include_str!("layouts/table.txt");
/// The member that asks for the size of a struct.
pub const SIZE: &str = "sizeof";

/// Offsets in bytes of (struct, member) of the package of `module` that holds its Kafka client, in the order of `wanted`. All members of a
/// struct are from one source. Ask once for all: the DWARF is read anew each time.
pub fn offsets(
    binary: &Binary,
    go: &Go<'_>,
    module: &str,
    wanted: &[(&str, &str)],
) -> Vec<Option<u16>> {
    let Some(part) = Part::of(module) else {
        return vec![None; wanted.len()];
    };
    let names: Vec<(String, &str)> = wanted
        .iter()
        .map(|(structure, member)| (format!("{}.{structure}", part.package), *member))
        .collect();
    let names: Vec<(&str, &str)> = names.iter().map(|(s, m)| (s.as_str(), *m)).collect();
    let told = binary.members(&names);
    let told_of = |structure: &str| {
        let answers = wanted.iter().zip(&told);
        answers
            .filter(|((of, _), _)| *of == structure)
            .any(|(_, answer)| answer.is_some())
    };
    let release = release(go, part.module);
    wanted
        .iter()
        .zip(&told)
        .map(|((structure, member), told)| {
            let offset = match told_of(structure) {
                true => (*told)?,
                false => part.offset(release?, structure, member)?,
            };
            u16::try_from(offset).ok()
        })
        .collect()
}

/// The signature of a function (`(*Client).PollRecords`) in the release that the program holds.
pub fn signature(go: &Go<'_>, module: &str, function: &str) -> Option<Signature> {
    let part = Part::of(module)?;
    part.signature(release(go, part.module)?, function)
}

/// Whether the table names the release that the program holds.
pub fn knows(go: &Go<'_>, module: &str) -> bool {
    let Some(part) = Part::of(module) else {
        return false;
    };
    release(go, part.module).is_some_and(|release| part.releases.contains(&release))
}

/// The module of a part.
pub fn module(of: &str) -> Option<&'static str> {
    Part::of(of).map(|part| part.module)
}

/// What the linker calls a function of the module's client.
pub fn symbol(module: &str, function: &str) -> Option<String> {
    Some(format!("{}.{function}", Part::of(module)?.package))
}

/// A function as a release declares it, and where it takes and leaves its values (x86-64).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// As in the source, without receiver and name.
    pub text: &'static str,
    arguments: &'static str,
    results: &'static str,
}

/// Where a value stands, at the first instruction of a function (arguments) or at its RETs (results).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// One register for each word.
    Registers(Vec<Register>),
    /// Bytes above the stack pointer.
    Stack(u16),
}

impl Signature {
    /// By its name; values without one are numbered. `None` too for a value of no size, or of a type that is not known.
    pub fn argument(&self, name: &str) -> Option<Place> {
        place(self.arguments, name)
    }

    pub fn result(&self, name: &str) -> Option<Place> {
        place(self.results, name)
    }
}

fn place(places: &str, name: &str) -> Option<Place> {
    let text = places
        .split(' ')
        .find_map(|place| place.strip_prefix(name)?.strip_prefix('='))?;
    if let Some(bytes) = text.strip_prefix("stack+") {
        return Some(Place::Stack(bytes.parse().ok()?));
    }
    let registers = text.split(':').map(register).collect::<Option<_>>()?;
    Some(Place::Registers(registers))
}

/// In Go's names; none of floating point, which no hook reads.
fn register(name: &str) -> Option<Register> {
    Some(match name {
        "AX" => Register::Rax,
        "BX" => Register::Rbx,
        "CX" => Register::Rcx,
        "DI" => Register::Rdi,
        "SI" => Register::Rsi,
        "R8" => Register::R8,
        "R9" => Register::R9,
        "R10" => Register::R10,
        "R11" => Register::R11,
        _ => return None,
    })
}

/// The version of `module` that was built in, when it is the module itself and not a fork or a folder in its place.
fn release<'a>(go: &'a Go<'_>, module: &str) -> Option<&'a str> {
    let found = go.info.dependencies.iter().find(|of| of.path == module)?;
    match &found.replaced_by {
        None => Some(&found.version),
        Some((path, version)) if path == module => Some(version),
        Some(_) => None,
    }
}

/// A module's part of the table.
struct Part {
    module: &'static str,
    package: &'static str,
    releases: Vec<&'static str>,
    rows: &'static str,
}

impl Part {
    fn of(module: &str) -> Option<Part> {
        let names = |part: &&str| {
            let mut lines = part.lines();
            let mut next = |word| lines.next().and_then(|line| line.strip_prefix(word));
            [next("module "), next("package ")].contains(&Some(module))
        };
        let rows = TABLE.split("\n\n").find(names)?;
        let after = |word: &'static str| rows.lines().filter_map(move |l| l.strip_prefix(word));
        Some(Part {
            module: after("module ").next()?,
            package: after("package ").next()?,
            releases: after("releases ")
                .flat_map(|line| line.split(' '))
                .collect(),
            rows,
        })
    }

    fn offset(&self, release: &str, structure: &str, member: &str) -> Option<u64> {
        self.row(release, &["member", structure, member])?
            .parse()
            .ok()
    }

    fn signature(&self, release: &str, function: &str) -> Option<Signature> {
        let row = self.row(release, &["function", function])?;
        let mut parts = row.strip_prefix("| ")?.splitn(3, " | ");
        Some(Signature {
            arguments: parts.next()?,
            results: parts.next()?,
            text: parts.next()?,
        })
    }

    /// The answer of the row that begins with `subject` and holds for `release`.
    fn row(&self, release: &str, subject: &[&str]) -> Option<&'static str> {
        let place = |version: &str| self.releases.iter().position(|known| *known == version);
        let at = place(release)?;
        self.rows.lines().find_map(|line| {
            let mut rest = line;
            for word in subject {
                rest = rest.strip_prefix(word)?.strip_prefix(' ')?;
            }
            let (from, rest) = rest.split_once(' ')?;
            let (to, answer) = rest.split_once(' ')?;
            (place(from)?..=place(to)?).contains(&at).then_some(answer)
        })
    }
}

#[cfg(test)]
mod tests;
