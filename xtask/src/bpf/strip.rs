//! Takes the debug sections out of the linked object: 500 KB become 100. BTF and symbols stay, the loader needs them.

use anyhow::{Context, Result};
use object::build::elf::{self, SectionData};
use object::elf::SHT_STRTAB;

pub fn without_debug(linked: &[u8]) -> Result<Vec<u8>> {
    let mut builder = elf::Builder::read(linked).context("bpf-linker wrote no ELF file")?;
    for section in &mut builder.sections {
        let name = section.name.to_string();
        section.delete = name.starts_with(".debug") || name.starts_with(".rel.debug");
    }
    builder.delete_orphans();
    // LLVM keeps the names of sections and symbols in one table, the writer in two.
    let names = builder.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    builder
        .write(&mut stripped)
        .context("cannot write the stripped object")?;
    Ok(stripped)
}
