//! Where members stand in the running kernel's structures, read from its own type information (BTF).
//!
//! In: `/sys/kernel/btf/vmlinux`. Out: the constants that the BPF programs follow from a descriptor to its socket. It
//! reads only structures and enumerations; the rest of the format is stepped over. Format: kernel documentation,
//! Documentation/bpf/btf.rst.

use obi_abi::KernelOffsets;

/// Where the kernel shows its BTF (CONFIG_DEBUG_INFO_BTF).
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {VMLINUX}: {0}")]
    Read(#[from] std::io::Error),
    #[error("the kernel's BTF is cut short or of an unknown form")]
    Malformed,
    #[error("the kernel's BTF has no {0}")]
    Absent(&'static str),
}

/// The offsets of the running kernel.
pub fn of_running_kernel() -> Result<KernelOffsets, Error> {
    of_btf(&std::fs::read(VMLINUX)?)
}

/// The offsets that a BTF blob gives.
pub fn of_btf(bytes: &[u8]) -> Result<KernelOffsets, Error> {
    let btf = Btf::parse(bytes).ok_or(Error::Malformed)?;
    let member = |structure: &'static str, names: &[&'static str]| {
        let name = names.first().copied().unwrap_or(structure);
        names
            .iter()
            .find_map(|member| btf.member(structure, member))
            .ok_or(Error::Absent(name))
    };
    let value = |name: &'static str| btf.enum_value("iter_type", name).ok_or(Error::Absent(name));
    Ok(KernelOffsets {
        task_files: member("task_struct", &["files"])?,
        task_signal: member("task_struct", &["signal"])?,
        task_mm: member("task_struct", &["mm"])?,
        task_real_parent: member("task_struct", &["real_parent"])?,
        task_tgid: member("task_struct", &["tgid"])?,
        signal_live: member("signal_struct", &["live"])?,
        files_fdt: member("files_struct", &["fdt"])?,
        fdtable_max_fds: member("fdtable", &["max_fds"])?,
        fdtable_fd: member("fdtable", &["fd"])?,
        file_inode: member("file", &["f_inode"])?,
        file_private_data: member("file", &["private_data"])?,
        inode_mode: member("inode", &["i_mode"])?,
        socket_sk: member("socket", &["sk"])?,
        sock_protocol: member("sock", &["sk_protocol"])?,
        sock_socket: member("sock", &["sk_socket"])?,
        skc_family: member("sock_common", &["skc_family"])?,
        skc_state: member("sock_common", &["skc_state"])?,
        skc_num: member("sock_common", &["skc_num"])?,
        skc_dport: member("sock_common", &["skc_dport"])?,
        skc_daddr: member("sock_common", &["skc_daddr"])?,
        skc_rcv_saddr: member("sock_common", &["skc_rcv_saddr"])?,
        skc_v6_daddr: member("sock_common", &["skc_v6_daddr"])?,
        skc_v6_rcv_saddr: member("sock_common", &["skc_v6_rcv_saddr"])?,
        skc_net: member("sock_common", &["skc_net"])?,
        net_inum: member("net", &["ns"])? + member("ns_common", &["inum"])?,
        msghdr_iter: member("msghdr", &["msg_iter"])?,
        iter_type: member("iov_iter", &["iter_type"])?,
        iter_iov_offset: member("iov_iter", &["iov_offset"])?,
        // Named `iov` before 6.4.
        iter_iov: member("iov_iter", &["__iov", "iov"])?,
        iter_nr_segs: member("iov_iter", &["nr_segs"])?,
        iter_ubuf_value: value("ITER_UBUF")?,
        iter_iovec_value: value("ITER_IOVEC")?,
    })
}

const HEADER: usize = 24;
const MAGIC: u32 = 0xeb9f;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
/// Anonymous structures nest two or three deep in practice.
const DEPTH: u32 = 8;

struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Position in `types` of each type; type ids begin at 1.
    starts: Vec<u32>,
}

struct Type {
    at: usize,
    name: u32,
    kind: u32,
    count: usize,
    /// Members hold the width of a bit field in the upper byte of their offset.
    bit_fields: bool,
}

impl<'a> Btf<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Btf<'a>> {
        if word(bytes, 0)? & 0xffff != MAGIC {
            return None;
        }
        let header = word(bytes, 4)? as usize;
        let section = |at: usize| -> Option<&'a [u8]> {
            let start = header.checked_add(word(bytes, at)? as usize)?;
            bytes.get(start..start.checked_add(word(bytes, at + 4)? as usize)?)
        };
        if header < HEADER {
            return None;
        }
        let mut btf = Btf {
            types: section(8)?,
            strings: section(16)?,
            starts: vec![0],
        };
        let mut at = 0;
        while at < btf.types.len() {
            btf.starts.push(u32::try_from(at).ok()?);
            let this = btf.type_at(at)?;
            at += 12 + trailer(this.kind, this.count)?;
        }
        Some(btf)
    }

    fn type_at(&self, at: usize) -> Option<Type> {
        let info = word(self.types, at + 4)?;
        Some(Type {
            at,
            name: word(self.types, at)?,
            kind: info >> 24 & 0x1f,
            count: (info & 0xffff) as usize,
            bit_fields: info >> 31 != 0,
        })
    }

    fn is_named(&self, name: u32, wanted: &str) -> bool {
        let end = (name as usize).saturating_add(wanted.len());
        self.strings.get(name as usize..end) == Some(wanted.as_bytes())
            && self.strings.get(end) == Some(&0)
    }

    fn types<'b>(&'b self, kind: u32, name: &'b str) -> impl Iterator<Item = Type> + 'b {
        self.starts
            .iter()
            .skip(1)
            .filter_map(|&at| self.type_at(at as usize))
            .filter(move |this| this.kind == kind && self.is_named(this.name, name))
    }

    /// Byte offset of a member, also inside anonymous structures and unions.
    fn member(&self, structure: &str, member: &str) -> Option<u32> {
        self.types(KIND_STRUCT, structure)
            .find_map(|this| self.member_of(&this, member, DEPTH))
    }

    fn member_of(&self, this: &Type, wanted: &str, depth: u32) -> Option<u32> {
        for index in 0..this.count {
            let at = this.at + 12 + index * 12;
            let (name, type_id, offset) = (
                word(self.types, at)?,
                word(self.types, at + 4)?,
                word(self.types, at + 8)?,
            );
            let bits = if this.bit_fields {
                offset & 0xff_ffff
            } else {
                offset
            };
            if self.is_named(name, wanted) {
                return Some(bits / 8);
            }
            if name == 0 && depth > 0 {
                let inner = self.type_at(*self.starts.get(type_id as usize)? as usize)?;
                if (inner.kind == KIND_STRUCT || inner.kind == KIND_UNION)
                    && let Some(within) = self.member_of(&inner, wanted, depth - 1)
                {
                    return Some(bits / 8 + within);
                }
            }
        }
        None
    }

    fn enum_value(&self, enumeration: &str, wanted: &str) -> Option<u32> {
        self.types(KIND_ENUM, enumeration).find_map(|this| {
            (0..this.count).find_map(|index| {
                let at = this.at + 12 + index * 8;
                if self.is_named(word(self.types, at)?, wanted) {
                    word(self.types, at + 4)
                } else {
                    None
                }
            })
        })
    }
}

/// Bytes after the 12 that each type begins with; `None` for a kind not known (its length could not be told).
fn trailer(kind: u32, count: usize) -> Option<usize> {
    match kind {
        1 | 14 | 17 => Some(4),
        3 => Some(12),
        KIND_STRUCT | KIND_UNION | 15 | 19 => Some(count * 12),
        KIND_ENUM | 13 => Some(count * 8),
        2 | 7..=12 | 16 | 18 => Some(0),
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at.checked_add(4)?)?
        .try_into()
        .ok()
        .map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_kernel_has_every_member() {
        let offsets = of_running_kernel().expect("this kernel has BTF");
        // Fixed by the layout that user space relies on, on every kernel: sock_common begins with the two addresses.
        assert_eq!(offsets.skc_daddr, 0);
        assert_eq!(offsets.skc_rcv_saddr, 4);
        assert_eq!(offsets.skc_dport, 12);
        assert_eq!(offsets.skc_num, 14);
        assert_eq!(offsets.skc_family, 16);
        assert!(offsets.task_files > 0 && offsets.task_mm > 0);
    }

    #[test]
    fn cut_and_foreign_input_is_refused() {
        assert!(matches!(of_btf(&[]), Err(Error::Malformed)));
        assert!(matches!(
            of_btf(b"\x7fELF and more than the twenty-four bytes"),
            Err(Error::Malformed)
        ));
        let whole = std::fs::read(VMLINUX).expect("this kernel has BTF");
        for cut in [24, 100, whole.len() / 2, whole.len() - 1] {
            assert!(
                matches!(of_btf(&whole[..cut]), Err(Error::Malformed)),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn absent_member_is_named() {
        // Header, one structure `task_struct` without members, its name.
        let mut blob = Vec::new();
        blob.extend([0x9f, 0xeb, 1, 0]);
        for number in [24u32, 0, 12, 12, 13] {
            blob.extend(number.to_le_bytes());
        }
        for number in [1u32, 4 << 24, 0] {
            blob.extend(number.to_le_bytes());
        }
        blob.extend(b"\0task_struct\0");
        assert!(matches!(of_btf(&blob), Err(Error::Absent("files"))));
    }
}
