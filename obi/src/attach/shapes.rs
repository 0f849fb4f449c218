//! Call shapes by number. In: shapes of hook plans; out: the index that goes into an attach cookie, and what must be written into the
//! kernel's table. Equal shapes share a number, so that the table stays small however many files are hooked.

#[derive(Debug)]
pub struct Shapes<T> {
    known: Vec<T>,
    /// Elements of the kernel's table.
    limit: u32,
}

impl<T: PartialEq> Shapes<T> {
    pub fn new(limit: u32) -> Shapes<T> {
        Shapes {
            known: Vec::new(),
            limit,
        }
    }

    /// By number.
    pub fn known(&self) -> &[T] {
        &self.known
    }

    /// Number of the shape, and whether it is new. `None`: the table is full.
    pub fn intern(&mut self, shape: T) -> Option<(u32, bool)> {
        if let Some(at) = self.known.iter().position(|known| *known == shape) {
            return Some((u32::try_from(at).ok()?, false));
        }
        let at = u32::try_from(self.known.len()).ok();
        let at = at.filter(|at| *at < self.limit)?;
        self.known.push(shape);
        Some((at, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obi_abi::{CallShape, SHAPES};

    fn shape(itab: u32) -> CallShape {
        CallShape {
            role: obi_abi::role::READ,
            source: obi_abi::source::GO_TLS,
            abi: obi_abi::abi::GO,
            handle: 10,
            buffer: 5,
            length: 11,
            count: obi_abi::count::RETURN,
            count_arg: obi_abi::NO_REG,
            result: 10,
            task: 1,
            fd_steps: 0,
            reserved: 0,
            fd_path: [0; 4],
            itab,
            goid: 0,
            reader: 0,
        }
    }

    #[test]
    fn equal_shapes_share_a_number_and_the_table_has_an_end() {
        let mut shapes = Shapes::new(SHAPES);
        assert_eq!(shapes.intern(shape(1)), Some((0, true)));
        assert_eq!(shapes.intern(shape(2)), Some((1, true)));
        assert_eq!(shapes.intern(shape(1)), Some((0, false)));
        for n in 2..SHAPES {
            assert_eq!(shapes.intern(shape(n + 1)), Some((n, true)));
        }
        assert_eq!(shapes.intern(shape(100_000)), None);
        assert_eq!(shapes.intern(shape(2)), Some((1, false)));
    }
}
