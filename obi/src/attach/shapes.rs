//! Call shapes by number. In: shapes of hook plans; out: the index that goes into an attach cookie, and what must be written into the
//! kernel's table. Equal shapes share a number, so that the table stays small however many files are hooked.

use obi_abi::{CallShape, SHAPES};

#[derive(Debug, Default)]
pub struct Shapes(Vec<CallShape>);

impl Shapes {
    /// Number of the shape, and whether it is new. `None`: the table is full.
    pub fn intern(&mut self, shape: CallShape) -> Option<(u32, bool)> {
        if let Some(at) = self.0.iter().position(|known| *known == shape) {
            return Some((u32::try_from(at).ok()?, false));
        }
        let at = u32::try_from(self.0.len()).ok().filter(|at| *at < SHAPES)?;
        self.0.push(shape);
        Some((at, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            reserved2: 0,
        }
    }

    #[test]
    fn equal_shapes_share_a_number_and_the_table_has_an_end() {
        let mut shapes = Shapes::default();
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
