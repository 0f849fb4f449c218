//! What a hit will cost, by where its site stands. In: a file and the sites that are to be attached; out: their cookies, with the cell that their
//! hits are counted in (`obi_abi::cost`).
//!
//! The instruction under a probe is read from the file, which is what the kernel does. Sites on one instruction share its trap: the first
//! pays it.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use obi_abi::cost::{CELL_SHIFT, CLASS_BITS, class};
use symbolizer::Machine;
use symbolizer::code::{Cost, cost_of};

use super::numbers::{NamedHook, Numbers};

/// No instruction of x86 is longer.
const INSTRUCTION: usize = 15;

pub struct Cells {
    numbers: Numbers,
    /// `None`: it cannot be opened, and each site is taken for the dearest.
    file: Option<File>,
    trapped: HashSet<u64>,
}

impl Cells {
    pub fn of(path: &Path, numbers: Numbers) -> Cells {
        Cells {
            numbers,
            file: File::open(path).ok(),
            trapped: HashSet::new(),
        }
    }

    /// The cookie of a site; `uretprobe`: it is hit at the return of the function that begins there.
    pub fn cookie(&mut self, cookie: u64, offset: u64, hook: NamedHook, uretprobe: bool) -> u64 {
        let class = if self.trapped.insert(offset) {
            self.class(offset)
        } else {
            class::SHARED
        };
        let class = if uretprobe {
            class | class::RETURN
        } else {
            class
        };
        let cell = u64::from(hook.group.number() << CLASS_BITS | class);
        let cookie = cookie | cell << CELL_SHIFT;
        self.numbers.cookie(cookie, hook)
    }

    fn class(&self, offset: u64) -> u8 {
        let mut bytes = [0; INSTRUCTION];
        let read = self
            .file
            .as_ref()
            .and_then(|file| file.read_at(&mut bytes, offset).ok())
            .and_then(|read| bytes.get(..read));
        match cost_of(HOST, read.unwrap_or_default()) {
            Cost::Replaced => class::NOP5,
            Cost::Emulated => class::EMULATED,
            Cost::SingleStepped => class::STEPPED,
        }
    }
}

const HOST: Machine = if cfg!(target_arch = "x86_64") {
    Machine::X86_64
} else {
    Machine::Aarch64
};

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::budget::Group;

    #[test]
    fn sites_on_one_instruction_share_its_trap() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        // push rbp; ret; nop of five bytes
        file.write_all(&[0x55, 0xc3, 0x0f, 0x1f, 0x44, 0, 0])
            .unwrap();
        let mut cells = Cells::of(file.path(), Numbers::new(false));
        let mut cell = |offset, group, returning| {
            let hook = NamedHook {
                name: "",
                returning,
                group,
            };
            let cookie = cells.cookie(0x1234, offset, hook, returning);
            assert_eq!(cookie & 0xff_ffff, 0x1234);
            cookie >> CELL_SHIFT
        };
        let of = |group: Group, class| u64::from(group.number() << CLASS_BITS | class);
        let (tls, each) = (Group::Tls, Group::EachMessage);
        assert_eq!(cell(1, tls, false), of(tls, class::STEPPED));
        assert_eq!(cell(0, tls, true), of(tls, class::RETURN | class::EMULATED));
        assert_eq!(cell(0, tls, false), of(tls, class::SHARED));
        assert_eq!(cell(0, each, true), of(each, class::RETURN | class::SHARED));
        assert_eq!(cell(2, each, false), of(each, class::NOP5));
        assert_eq!(
            cell(99, each, false),
            of(each, class::STEPPED),
            "behind the end"
        );
    }
}
