//! One ELF file and the questions it answers.
//!
//! In: a path. Out: facts, each read when asked for; nothing is kept but headers. Addresses are ELF virtual
//! addresses; [`Binary::file_offset`] turns one into the file offset that a uprobe wants.

use std::path::Path;

use crate::code::{self, Body, Site};
use crate::elf::{Elf, Machine, Section, Segment};
use crate::source::Source;
use crate::symbols::{self, Function, Symbol, Table};
use crate::{BuildId, Error, Go, Identity, build_id, dwarf, go, relocations, scan, unwind};

pub struct Binary {
    pub(crate) source: Source,
    pub(crate) elf: Elf,
}

impl Binary {
    /// Reads the headers of the file at `path`. The file stays open, so later questions are about the same inode.
    pub fn open(path: &Path) -> Result<Binary, Error> {
        Binary::parse(Source::open(path)?)
    }

    /// The same over bytes in memory, for tests and fuzzing.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Binary, Error> {
        Binary::parse(Source::memory(bytes))
    }

    fn parse(source: Source) -> Result<Binary, Error> {
        let elf = Elf::parse(&source)?;
        Ok(Binary { source, elf })
    }

    pub fn machine(&self) -> Machine {
        self.elf.machine
    }

    pub fn sections(&self) -> &[Section] {
        &self.elf.sections
    }

    pub fn build_id(&self) -> BuildId {
        build_id::read(&self.source, &self.elf)
    }

    pub fn identity(&self) -> Identity {
        Identity {
            build_id: self.build_id(),
            size: self.source.len(),
        }
    }

    /// Libraries that the dynamic linker loads with this file (DT_NEEDED), in order.
    pub fn needed(&self) -> Vec<String> {
        symbols::needed(&self.source, &self.elf)
    }

    /// The name under which other files need this one (DT_SONAME).
    pub fn soname(&self) -> Option<String> {
        symbols::soname(&self.source, &self.elf)
    }

    /// Addresses of variables defined in this file, in the order of `names`.
    pub fn variables(&self, names: &[&str]) -> Vec<Option<u64>> {
        let found = symbols::find(&self.source, &self.elf, names, symbols::Kind::Variable);
        found
            .into_iter()
            .map(|variable| Some(variable?.address))
            .collect()
    }

    /// Functions defined in this file, in the order of `names`. Sizes that the symbol table leaves out are filled in
    /// from unwind tables where there are any.
    pub fn functions(&self, names: &[&str]) -> Vec<Option<Function>> {
        let mut found = symbols::find(&self.source, &self.elf, names, symbols::Kind::Function);
        for function in found.iter_mut().flatten().filter(|f| f.size == 0) {
            if let Some((start, size)) = self.function_at(function.address)
                && start == function.address
            {
                function.size = size;
            }
        }
        found
    }

    /// Every entry of a symbol table, for listings.
    pub fn visit_symbols(&self, table: Table, mut each: impl FnMut(Symbol)) {
        symbols::visit(&self.source, &self.elf, table, &mut each);
    }

    /// First address and size of the function that holds `address`, from unwind tables.
    pub fn function_at(&self, address: u64) -> Option<(u64, u64)> {
        unwind::function(&self.source, &self.elf, address)
    }

    pub fn file_offset(&self, address: u64) -> Option<u64> {
        self.elf.offset_of(address)
    }

    pub fn address(&self, file_offset: u64) -> Option<u64> {
        self.elf.address_of(file_offset)
    }

    /// The word at `address` with relative relocations applied (load address 0).
    pub fn word(&self, address: u64) -> Option<u64> {
        relocations::words(&self.source, &self.elf, &[address])
            .into_iter()
            .next()?
    }

    /// Up to `len` bytes (at most 4 MiB) at a virtual address; fewer at the end of a segment.
    pub fn read(&self, address: u64, len: u64) -> Option<Vec<u8>> {
        let (segment, position) = self
            .elf
            .segments
            .iter()
            .find_map(|s| Some((s, s.position(address)?)))?;
        let len = len.min(segment.file_size - position);
        self.source.read(
            segment.offset.checked_add(position)?,
            usize::try_from(len).ok()?,
        )
    }

    /// The instructions of a function: return sites, calls. `None` when its extent is unknown or unreadable.
    pub fn body(&self, function: &Function) -> Option<Body> {
        let bytes = self.code(function)?;
        Some(code::body(self.elf.machine, &bytes, function.address))
    }

    /// The cheapest probe site near the entry at which `args` still hold the arguments; of a Go function behind its stack check, which runs again.
    pub fn entry_site(
        &self,
        function: &Function,
        args: &[code::Register],
        convention: code::Convention,
    ) -> Option<Site> {
        let bytes = self.code(function)?;
        Some(code::entry_site(
            self.elf.machine,
            &bytes,
            function.address,
            args,
            convention,
        ))
    }

    /// The RET instructions of a Go function, each with the deferred calls before it.
    pub fn exits(&self, function: &Function) -> Option<Vec<code::Exit>> {
        let bytes = self.code(function)?;
        Some(code::exits(self.elf.machine, &bytes, function.address))
    }

    /// The first cheap probe site of a Go function, behind its stack check; `None` when there is none before the function does more.
    pub fn shallow_site(&self, function: &Function) -> Option<code::Shallow> {
        code::shallow_site(self.elf.machine, &self.code(function)?, function.address)
    }

    /// Where a Go function keeps the argument that arrives in `register`, all through its body: bytes above the stack pointer.
    pub fn kept_at(&self, function: &Function, register: code::Register) -> Option<u32> {
        let bytes = self.code(function)?;
        code::kept_at(self.elf.machine, &bytes, function.address, register)
    }

    /// The members of structs that the machine code of a function names.
    pub fn members_named(&self, function: &Function) -> Vec<code::Member> {
        self.code(function).map_or_else(Vec::new, |bytes| {
            code::members(self.elf.machine, &bytes, function.address)
        })
    }

    /// What an accessor function gives back, on each way through it: the word at the end of this path of member offsets from its first
    /// argument. `None`: the function does more than that.
    pub fn accessor_paths(&self, function: &Function) -> Option<Vec<Vec<u16>>> {
        code::accessor_paths(self.elf.machine, &self.code(function)?, function.address)
    }

    /// The cheapest probe site behind the call instruction at `call` in `function`, which only that call leads to and
    /// at which `keep` is as the callee left it.
    pub fn site_behind_call(
        &self,
        function: &Function,
        call: u64,
        keep: &[code::Register],
    ) -> Option<Site> {
        code::site_behind_call(
            self.elf.machine,
            &self.code(function)?,
            function.address,
            call,
            keep,
        )
    }

    /// The one of `candidates` that holds an address on the stack when `function` reaches the call at `call`: a pointer
    /// to a local variable.
    pub fn stack_argument(
        &self,
        function: &Function,
        call: u64,
        candidates: &[code::Register],
    ) -> Option<code::Register> {
        code::stack_argument(
            self.elf.machine,
            &self.code(function)?,
            function.address,
            call,
            candidates,
        )
    }

    fn code(&self, function: &Function) -> Option<Vec<u8>> {
        if function.size == 0 || function.size > code::FUNCTION_LIMIT {
            return None;
        }
        let executable = self
            .elf
            .segments
            .iter()
            .any(|s| s.executable && s.position(function.address).is_some());
        let bytes = executable.then(|| self.read(function.address, function.size))??;
        (bytes.len() as u64 == function.size).then_some(bytes)
    }

    /// Addresses of each of `needles` (at most 4 KiB long) in read-only data, at most `limit` of each, in one walk.
    pub fn find_in_rodata(&self, needles: &[&[u8]], limit: usize) -> Vec<Vec<u64>> {
        // Old linkers put read-only data and code into one executable segment.
        scan::bytes(&self.source, &self.elf, needles, limit, |segment| {
            !segment.writable
        })
    }

    /// Addresses in data at which the addresses `words` stand one behind the other (a table of functions), at most
    /// `limit`, relative relocations applied.
    pub fn find_words(&self, words: &[u64], limit: usize) -> Vec<u64> {
        let needle: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let data: fn(&Segment) -> bool = |segment| !segment.executable;
        let mut found = scan::bytes(&self.source, &self.elf, &[&needle], limit, data).concat();
        if found.is_empty() && self.elf.dynamic_type {
            found = relocations::runs(&self.source, &self.elf, words, limit);
        }
        found.retain(|address| address.is_multiple_of(8));
        found
    }

    /// Instructions that load one of `targets` into a register: (instruction, target), at most `limit`.
    pub fn find_address_loads(&self, targets: &[u64], limit: usize) -> Vec<(u64, u64)> {
        let mut targets = targets.to_vec();
        targets.sort_unstable();
        scan::address_loads(&self.source, &self.elf, &targets, limit)
    }

    /// Direct calls of and jumps to `target`, at most `limit`.
    pub fn find_calls(&self, target: u64, limit: usize) -> Vec<u64> {
        scan::direct_calls(&self.source, &self.elf, target, limit)
    }

    /// Offsets of struct members, in bytes, by DWARF: (struct, member) each, in the order of the questions. The member `sizeof`
    /// is the size of the struct.
    pub fn members(&self, wanted: &[(&str, &str)]) -> Vec<Option<u64>> {
        dwarf::members(&self.source, &self.elf, wanted)
    }

    /// Go build information and functions; `None` for files that the Go linker did not make.
    pub fn go(&self) -> Option<Go<'_>> {
        go::read(self)
    }
}
